"""Sharing memory between threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.encoders.devices.room import Room, fitting_rows


@given(st.integers(0, 10**9), st.integers(1, 10**7), st.integers(1, 2**11), st.integers(0, 10**11))
def test_what_fits_by_the_line_through_two_batches(
    fixed: int, each: int, most: int, budget: int
) -> None:
    asked: list[int] = []

    def peak_bytes(rows: int) -> int:
        asked.append(rows)
        return fixed + rows * each

    rows = fitting_rows(peak_bytes, budget_bytes=budget, most=most)
    assert 1 <= rows <= most
    assert rows == most or rows & (rows - 1) == 0
    assert rows == 1 or fixed + rows * each <= budget
    # The next one up would not fit.
    larger = min(most, 2 * rows)
    assert larger == rows or fixed + larger * each > budget - 1
    assert max(asked, default=0) <= 8


def test_one_thread_is_alone_while_others_wait() -> None:
    room, inside, alone = Room(), threading.Event(), threading.Event()
    go = threading.Event()
    log: list[str] = []

    def other() -> None:
        with room.shared():
            inside.set()
            assert go.wait(30)
            log.append("other leaves")
        alone.wait(30)
        with room.shared():
            log.append("other is back")

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(30)
    with room.shared():
        go.set()
        with room.alone():
            log.append("alone")
            alone.set()
            thread.join(0.1)
            assert log == ["other leaves", "alone"]
    thread.join(30)
    assert log == ["other leaves", "alone", "other is back"]


def test_all_may_want_to_be_alone() -> None:
    room, together = Room(), threading.Barrier(4)
    n_alone, most = 0, 0

    def want() -> None:
        nonlocal n_alone, most
        with room.shared():
            together.wait(30)
            with room.alone():
                n_alone += 1
                most = max(most, n_alone)
                n_alone -= 1

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1


def test_an_error_gives_the_room_back() -> None:
    room = Room()
    with pytest.raises(KeyError), room.shared(), room.alone():
        raise KeyError
    with room.shared(), room.alone():
        pass
