"""Rows sorted on disk come in the order of rows sorted in memory."""

from __future__ import annotations

import random
import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.store import sorting
from longbert.store.sorting import ExternalSort

ROWS = st.lists(st.tuples(st.binary(max_size=2), st.integers(-3, 3)), max_size=60)


@given(ROWS, st.integers(1, 7), st.integers(1, 3), st.integers(2, 3))
def test_rows_come_in_order(
    rows: list[tuple[bytes, int]], in_memory: int, in_chunk: int, merged: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "ROWS_IN_MEMORY", in_memory)
        patch.setattr(sorting, "ROWS_OF_A_CHUNK", in_chunk)
        patch.setattr(sorting, "RUNS_MERGED", merged)
        with ExternalSort[tuple[bytes, int]]() as found:
            for row in rows:
                found.add(row)
            assert [*found.rows()] == sorted(rows)


def test_few_files_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[Any] = []
    temporary = tempfile.TemporaryFile

    def made() -> Any:
        files.append(temporary())
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", made)
    monkeypatch.setattr(sorting, "ROWS_IN_MEMORY", 2)
    monkeypatch.setattr(sorting, "RUNS_MERGED", 3)
    rows = [(number,) for number in range(100)]
    random.Random(0).shuffle(rows)
    most = 0
    with ExternalSort[tuple[int]]() as found:
        for row in rows:
            found.add(row)
            most = max(most, sum(not file.closed for file in files))
        assert [*found.rows()] == sorted(rows)
    # Fifty runs in levels of at most two that wait.
    assert len(files) > 50
    assert most <= 8
    assert all(file.closed for file in files)
