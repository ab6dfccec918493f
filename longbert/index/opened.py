"""The vectors of an output, opened for search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longbert.errors import OutputError
from longbert.index.snapshot import HeldIndex, IndexSnapshot
from longbert.index.table import OpenTable
from longbert.store.index_description import IndexDescription


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """The vectors of passages and of documents, whose rows are those of the tables."""

    description: IndexDescription
    passages: OpenTable
    documents: OpenTable


def open_vectors(snapshot: IndexSnapshot, held: HeldIndex) -> VectorIndex:
    """Open the vectors of a snapshot, from the files that it holds.

    Raises:
        OutputError: a file is missing, damaged, or of other rows than the tables.
    """
    description = held.description
    parts = [part.entry.name for part in snapshot.parts]
    passages, documents = (
        OpenTable.open(held.files, table, parts, metric=description.metric)
        for table in (description.passages, description.documents)
    )
    named = [np.zeros(0, np.int64), *(part.catalog.passage_ids for part in snapshot.parts)]
    fits = np.array_equal(passages.ids, np.concatenate(named))
    if not fits or documents.n_rows != snapshot.n_documents:
        raise OutputError(
            f"the index in {snapshot.output.path} has other rows than its tables: build it again "
            f"from them, with {snapshot.output.index_command}"
        )
    return VectorIndex(description, passages, documents)
