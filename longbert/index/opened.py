"""The vectors of an output, opened for search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longbert.errors import OutputError
from longbert.index.snapshot import IndexSnapshot
from longbert.index.table import OpenTable
from longbert.store.manifest import IndexDescription, IndexEntry


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """The vectors of passages and of documents, whose rows are those of the tables."""

    description: IndexDescription
    passages: OpenTable
    documents: OpenTable


def open_vectors(snapshot: IndexSnapshot, index: IndexEntry) -> VectorIndex:
    """Map the vectors of a snapshot into memory.

    Raises:
        OutputError: a file is damaged, or of other rows than the tables.
    """
    output = snapshot.output
    description = output.index_description(index)
    passages = OpenTable.open(output, description.passages, snapshot.parts)
    documents = OpenTable.open(output, description.documents, snapshot.parts)
    fits = np.array_equal(passages.ids, snapshot.table.passage_ids)
    if not fits or documents.n_rows != len(snapshot.document_ids):
        raise OutputError(
            f"the index in {output.path} has other rows than its tables: "
            "remove the folder index and run longbert again"
        )
    return VectorIndex(description, passages, documents)
