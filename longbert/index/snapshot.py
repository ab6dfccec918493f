"""Opening an output folder for search: its manifest, its index, the columns it needs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.errors import OutputError
from longbert.index.backend import load_faiss
from longbert.index.kinds import index_type
from longbert.index.tables import (
    Integers,
    PassageTable,
    read_document_ids,
    read_passage_table,
)
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexDescription, IndexFile


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """An index and the columns that search needs, from one manifest.

    Attributes:
        passages: FAISS index whose rows are those of ``table``.
        documents: FAISS index whose rows are those of ``document_ids``.
        rows: rows of ``table``, by document and ordinal. Shape: (passages,).
        starts: where each document begins in ``rows``, and the end. Shape: (documents + 1,).
        owner: keeps alive the FAISS object that ``passages`` is part of.
    """

    output: OutputFolder
    description: IndexDescription
    document_ids: Sequence[str]
    table: PassageTable
    passages: Any
    documents: Any
    rows: Integers
    starts: Integers
    owner: Any


def open_snapshot(output: OutputFolder) -> IndexSnapshot:
    """Read what search needs, trusting the manifest only.

    Raises:
        OutputError: there is no finished output, it has no vectors, or a file is damaged.
    """
    manifest = output.finished()
    parts = manifest.part_names
    if manifest.index is None:
        raise OutputError(
            f"{output.path} has no vectors to search, since it was made with --embed none or holds "
            "no document: run longbert with an embedding model, such as --embed minilm"
        )
    description = output.index_description(manifest.index)
    index_type(description.type)
    document_ids = read_document_ids(output, parts)
    positions = {document_id: row for row, document_id in enumerate(document_ids)}
    table = read_passage_table(output, parts, positions)
    with_ids = _read_index(output, description.passages)
    documents = _read_index(output, description.documents)
    faiss = load_faiss()
    ids = faiss.vector_to_array(with_ids.id_map)
    if not np.array_equal(ids, table.passage_ids) or documents.ntotal != len(document_ids):
        raise OutputError(
            f"the index in {output.path} has other rows than its tables: "
            "remove the folder index and run longbert again"
        )
    rows = np.lexsort((table.ordinal, table.document))
    starts = np.searchsorted(table.document[rows], np.arange(len(document_ids) + 1))
    return IndexSnapshot(
        output=output,
        description=description,
        document_ids=document_ids,
        table=table,
        passages=faiss.downcast_index(with_ids.index),
        documents=documents,
        rows=rows,
        starts=starts,
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
