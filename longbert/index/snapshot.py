"""Opening an output folder for search: its manifest, its index, the columns it needs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import IntArray
from longbert.core.ranking import rows_of
from longbert.errors import OutputError
from longbert.index.backend import load_faiss
from longbert.index.kinds import index_type
from longbert.index.lexical.corpus import LexicalCorpus
from longbert.index.tables import PassageTable, read_document_ids, read_passage_table
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexDescription, IndexEntry, IndexFile


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """The FAISS indexes of an output.

    Attributes:
        passages: whose rows are those of the table of passages.
        documents: whose rows are those of the table of documents.
        owner: keeps alive the FAISS object that ``passages`` is part of.
    """

    description: IndexDescription
    passages: Any
    documents: Any
    owner: Any


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """The indexes and the columns that search needs, as one manifest names them.

    Attributes:
        parts: in the order of the tables.
        index: of vectors; None without an embedding model.
        words: the lexical index.
        rows: rows of ``table``, by document and ordinal. Shape: (passages,).
        starts: where each document begins in ``rows``, and the end. Shape: (documents + 1,).
    """

    output: OutputFolder
    parts: Sequence[str]
    document_ids: Sequence[str]
    table: PassageTable
    index: IndexEntry | None
    words: LexicalCorpus
    rows: IntArray
    starts: IntArray

    def rows_of(self, documents: IntArray) -> tuple[IntArray, IntArray]:
        """Rows of ``table`` of some documents, by ordinal, and the number of each one's rows."""
        places, sizes = rows_of(documents, self.starts)
        return self.rows[places], sizes


def open_snapshot(output: OutputFolder) -> IndexSnapshot:
    """Read what search needs, trusting the manifest only.

    Raises:
        OutputError: there is no finished output, or a file is damaged.
    """
    manifest = output.finished()
    parts = manifest.part_names
    document_ids = read_document_ids(output, parts)
    positions = {document_id: row for row, document_id in enumerate(document_ids)}
    table = read_passage_table(output, parts, positions)
    words = LexicalCorpus.open(output, parts)
    totals = words.totals
    if (totals.documents, totals.passages) != (len(document_ids), len(table.passage_ids)):
        raise OutputError(
            f"the lexical index in {output.path} has other rows than its tables: "
            "remove the folder lexical and run longbert again"
        )
    rows = np.lexsort((table.ordinal, table.document))
    return IndexSnapshot(
        output=output,
        parts=parts,
        document_ids=document_ids,
        table=table,
        index=manifest.index,
        words=words,
        rows=rows,
        starts=np.searchsorted(table.document[rows], np.arange(len(document_ids) + 1)),
    )


def open_vectors(snapshot: IndexSnapshot, index: IndexEntry) -> VectorIndex:
    """Read the FAISS indexes of a snapshot.

    Raises:
        OutputError: a file is damaged, or of other rows than the tables.
    """
    output = snapshot.output
    description = output.index_description(index)
    index_type(description.type)
    with_ids = _read_index(output, description.passages)
    documents = _read_index(output, description.documents)
    faiss = load_faiss()
    ids = faiss.vector_to_array(with_ids.id_map)
    fits = np.array_equal(ids, snapshot.table.passage_ids)
    if not fits or documents.ntotal != len(snapshot.document_ids):
        raise OutputError(
            f"the index in {output.path} has other rows than its tables: "
            "remove the folder index and run longbert again"
        )
    return VectorIndex(
        description=description,
        passages=faiss.downcast_index(with_ids.index),
        documents=documents,
        owner=with_ids,
    )


def _read_index(output: OutputFolder, entry: IndexFile) -> Any:
    data = output.read_checked(entry.file, entry.sha256)
    faiss = load_faiss()
    try:
        index = faiss.read_index(faiss.PyCallbackIOReader(io.BytesIO(data).read))
    except RuntimeError as error:
        raise OutputError(
            f"{output.join(entry.file)} cannot be read by FAISS {faiss.__version__} "
            f"({str(error).splitlines()[0]}): remove the folder index and run longbert again"
        ) from None
    if index.ntotal != entry.count:
        raise OutputError(
            f"{output.join(entry.file)} has {index.ntotal} vectors, but its description says "
            f"{entry.count}: remove the folder index and run longbert again"
        )
    return index
