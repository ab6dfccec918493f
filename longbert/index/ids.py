"""Ids of an index, which have to be unique: a clash is found when rows are added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from longbert.arrays import IntArray
from longbert.errors import OutputError
from longbert.index.tables import vector_batches
from longbert.store.folder import OutputFolder


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
    ascending = np.sort(new)
    clashes = ascending[1:][ascending[1:] == ascending[:-1]]
    for ids in held:
        if len(ascending):
            place = np.searchsorted(ascending, ids).clip(max=len(ascending) - 1)
            clashes = np.append(clashes, ids[ascending[place] == ids])
    if not len(clashes):
        return
    clash = int(clashes[0])
    first, second = _owners(output, table, parts, clash)
    if table == "documents":
        raise OutputError(
            f"the output has two documents {first!r}: ids must be unique, "
            "run longbert again into an empty folder"
        )
    raise OutputError(
        f"passages of the documents {first!r} and {second!r} have the same passage_id {clash}: "
        "give one of the documents another id and run again"
    )


def _owners(output: OutputFolder, table: str, parts: Sequence[str], wanted: int) -> tuple[str, str]:
    """The first two documents that have an id."""
    found = [
        batch.document_ids[place]
        for part in parts
        for batch in vector_batches(output, table, part)
        for place in np.flatnonzero(batch.ids == wanted).tolist()
    ]
    return found[0], found[1]
