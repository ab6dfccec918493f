"""Texts of passages, from the tables that a snapshot holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longbert.arrays import IntArray
from longbert.errors import OutputError
from longbert.index.snapshot import IndexSnapshot
from longbert.store.held import HeldFile


def read_texts(snapshot: IndexSnapshot, passages: Sequence[int]) -> dict[int, str]:
    """Read the texts of some passages, each row group at most once.

    Args:
        passages: positions in the corpus.

    Returns:
        The text of each.

    Raises:
        OutputError: a table is damaged, or on another machine and not there any more.
    """
    wanted = np.array(sorted(set(passages)), np.int64)
    texts: dict[int, str] = {}
    for number, here in snapshot.parts_of(wanted, snapshot.first_passages):
        part = snapshot.parts[number]
        first = int(snapshot.first_passages[number])
        found = _texts(part.tables["passages"], wanted[here] - first)
        texts.update(zip(wanted[here].tolist(), found, strict=True))
    return texts


def _texts(held: HeldFile, rows: IntArray) -> list[str]:
    """The texts of some rows, ascending, of one table."""
    texts: list[str] = []
    try:
        file = pq.ParquetFile(pa.BufferReader(held.read()), pre_buffer=False)
        groups = range(file.num_row_groups)
        sizes = [file.metadata.row_group(number).num_rows for number in groups]
        for number, (first, stop) in zip(groups, pairwise(np.cumsum([0, *sizes])), strict=True):
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, stop)]
            if len(here):
                column = file.read_row_group(number, columns=["text"], use_threads=False)["text"]
                # Taking them all at once would load pyarrow.compute and pandas.
                texts += [column[row].as_py() for row in (here - first).tolist()]
    except pa.ArrowException as error:
        raise OutputError(
            f"{held.path} is damaged, and no table any more: {held.remedy}"
        ) from error
    if len(texts) != len(rows):
        raise OutputError(f"{held.path} has fewer rows than its catalog: {held.remedy}")
    return texts
