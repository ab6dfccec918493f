"""What a device is called, for people."""

from __future__ import annotations

import platform

import pytest
import torch

from longbert.encoders.runtime.device import device_description


@pytest.mark.parametrize(("n_threads", "threads"), [(1, "1 thread"), (2, "2 threads")])
def test_a_processor_is_described_for_people(
    n_threads: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    assert device_description(torch.device("cpu")) == f"cpu ({platform.machine()}, {threads})"
