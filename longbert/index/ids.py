"""Ids of an index, which have to be unique: a clash is found when rows are added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from longbert.arrays import IntArray
from longbert.errors import OutputError
from longbert.index.tables import vector_batches
from longbert.store.folder import OutputFolder

IDS_AT_ONCE = 1 << 21
"""That are looked at together: 16 MiB."""

_HIGHEST_ID = 1 << 63


def refuse_clash(
    output: OutputFolder,
    table: str,
    parts: Sequence[str],
    new: IntArray,
    held: Iterable[IntArray] = (),
) -> None:
    """Refuse two rows with the same id, naming their documents.

    Args:
        output: the folder.
        table: ``"documents"`` or ``"passages"``.
        parts: with all rows, in order; they are read only where there is a clash.
        new: ids that are added.
        held: ids that are there, unique among themselves.

    Raises:
        OutputError: two ids are the same.
    """
    clash = _first_clash(new, list(held))
    if clash is None:
        return
    first, second = owners_of(output, table, parts, clash)
    if table == "documents":
        raise OutputError(
            f"the output has two documents {first!r}: ids must be unique, "
            "run longbert again into an empty folder"
        )
    raise OutputError(
        f"passages of the documents {first!r} and {second!r} have the same passage_id {clash}: "
        "give one of the documents another id and run again"
    )


def _first_clash(new: IntArray, held: Sequence[IntArray]) -> int | None:
    """The lowest of the ids that are there twice.

    Ids are digests and so about even: of each part of their range as many are sorted as fit.
    """
    n_ranges = -(-len(new) // IDS_AT_ONCE)
    borders = [_HIGHEST_ID * number // n_ranges for number in range(1, n_ranges)]
    for low, high in pairwise([None, *borders, None]):
        ascending = np.sort(np.concatenate([new[:0], *_between([new], low, high)]))
        clashes = [ascending[1:][ascending[1:] == ascending[:-1]]]
        for ids in _between(held, low, high):
            if len(ascending):
                place = np.searchsorted(ascending, ids).clip(max=len(ascending) - 1)
                clashes.append(ids[ascending[place] == ids])
        found = np.concatenate(clashes)
        if len(found):
            return int(found.min())
    return None


def _between(arrays: Iterable[IntArray], low: int | None, high: int | None) -> Iterator[IntArray]:
    """The ids from ``low`` to below ``high``, a few of them at a time."""
    for ids in arrays:
        for start in range(0, len(ids), IDS_AT_ONCE):
            block = ids[start : start + IDS_AT_ONCE]
            is_in = np.ones(len(block), np.bool_)
            if low is not None:
                is_in &= block >= low
            if high is not None:
                is_in &= block < high
            yield block[is_in]


def owners_of(
    output: OutputFolder, table: str, parts: Sequence[str], wanted: int
) -> tuple[str, str]:
    """The first two documents that have an id."""
    found = [
        batch.document_ids[place]
        for part in parts
        for batch in vector_batches(output, table, part)
        for place in np.flatnonzero(batch.ids == wanted).tolist()
    ]
    return found[0], found[1]
