"""Batches in threads of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from longbert.core.threads import in_order
from longbert.encoders.devices.plain import PlainDevice
from longbert.encoders.runtime.parallel import map_in_threads, one_thread


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_whatever_is_done_first() -> None:
    second_is_done = threading.Event()

    def square(number: int) -> int:
        # The first can only end after the second has.
        if number == 0:
            assert second_is_done.wait(30)
        elif number == 1:
            second_is_done.set()
        return number * number

    assert list(map_in_threads(square, range(20), n_threads=2)) == [n * n for n in range(20)]


def test_each_has_one_thread_of_torch() -> None:
    def threads(_: int) -> tuple[int, bool]:
        return torch.get_num_threads(), threading.current_thread() is threading.main_thread()

    assert set(map_in_threads(threads, range(8), n_threads=2)) == {(1, False)}
    assert torch.get_num_threads() == 2
    assert set(map_in_threads(threads, range(8), n_threads=1)) == {(2, True)}


def test_blocks_that_overlap_leave_torch_with_its_threads() -> None:
    first_left, second_entered = threading.Event(), threading.Event()
    found: list[int] = []

    def second() -> None:
        with one_thread():
            second_entered.set()
            assert first_left.wait(30)
        found.append(torch.get_num_threads())

    other = threading.Thread(target=second)
    with one_thread():
        other.start()
        assert second_entered.wait(30)
    first_left.set()
    other.join()
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert [*found, torch.get_num_threads()] == [2, 2, 2]


def test_an_error_ends_it_and_gives_the_threads_back() -> None:
    done: list[int] = []

    def fail(number: int) -> int:
        if number == 1:
            raise KeyError("one")
        done.append(number)
        return number

    results = map_in_threads(fail, range(1000), n_threads=2)
    assert next(results) == 0
    with pytest.raises(KeyError, match="one"):
        list(results)
    assert torch.get_num_threads() == 2
    assert len(done) < 1000


def test_who_stops_early_gets_the_threads_back() -> None:
    results = map_in_threads(abs, range(10), n_threads=2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 2


def test_foreign_code_and_other_devices_run_one_at_a_time() -> None:
    cpu, mps = PlainDevice(torch.device("cpu")), PlainDevice(torch.device("mps"))
    assert cpu.n_batches_at_once("longbert-onednn") == 2
    assert cpu.n_batches_at_once("longbert") == 2
    assert cpu.n_batches_at_once("transformers") == 1
    assert mps.n_batches_at_once("longbert") == 1


def test_no_more_items_are_taken_than_wanted() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    for done, result in enumerate(in_order(str, items(), n_threads=2, at_most=3)):
        assert result == str(done)
        assert len(taken) <= done + 3
    assert len(taken) == 20
