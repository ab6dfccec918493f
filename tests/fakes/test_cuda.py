"""The stand-in for a CUDA device finds what would go wrong on one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fakes.cuda import FakeDriver, MisuseError

DATA = np.ones((2, 3), dtype=np.float32)


def test_streams_must_wait_for_each_other() -> None:
    driver = FakeDriver()
    one, other = driver.new_stream(), driver.new_stream()
    with driver.on(one):
        tensor = driver.upload(DATA)
        doubled = tensor * 2
    with driver.on(other):
        with pytest.raises(MisuseError, match="stream 1 reads what stream 0 makes"):
            _ = tensor + 1
        with pytest.raises(MisuseError, match="stream 1 reads"):
            driver.download([doubled])
        driver.wait(other, one)
        assert driver.download([doubled + 1]).wait()[0].tolist() == [[3] * 3] * 2
    with driver.on(one):
        # It was not told of what the other one did since.
        assert driver.download([tensor]).wait()[0].tolist() == [[1] * 3] * 2


def test_what_was_not_brought_to_the_device_is_refused() -> None:
    driver = FakeDriver()
    here, weight = torch.ones(3), torch.nn.Parameter(torch.ones(3))
    with driver.on(driver.new_stream()):
        tensor = driver.upload(DATA)
        assert (tensor + weight).shape == (2, 3)
        with pytest.raises(MisuseError, match=r"a tensor \(3,\) is not on the device"):
            _ = tensor + here
    assert len(driver.misuses) == 1


def test_waiting_for_the_device_is_noted_and_cannot_be_recorded() -> None:
    driver = FakeDriver()
    with driver.on(driver.new_stream()):
        tensor = driver.upload(DATA)
        assert bool(tensor.all())
        assert len(driver.events("wait for the device")) == 1
        with pytest.raises(RuntimeError, match="cannot be recorded"):
            driver.record(lambda: (tensor * float(tensor.sum().item()),))


def test_recorded_outputs_are_there_after_a_replay_only() -> None:
    driver = FakeDriver()
    with driver.on(driver.new_stream()):
        tensor = driver.upload(DATA)
        recording = driver.record(lambda: (tensor * 2,))
        assert np.isnan(driver.download(recording.outputs).wait()[0]).all()
        recording.replay()
        assert driver.download(recording.outputs).wait()[0].tolist() == [[2] * 3] * 2
