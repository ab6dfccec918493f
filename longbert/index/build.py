"""Building the index from committed tables."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from longbert.arrays import FloatMatrix, IntArray
from longbert.config import METRICS
from longbert.errors import ConfigError, OutputError, nearest
from longbert.index.backend import load_faiss
from longbert.index.kinds import index_type
from longbert.index.tables import RowsDigest, document_batches, document_positions, passage_batches
from longbert.index.vectors import lengths, unit_vectors
from longbert.store.folder import OutputFolder
from longbert.store.layout import index_file
from longbert.store.manifest import (
    IndexDescription,
    IndexEntry,
    IndexFile,
    IndexSettings,
    to_json,
)

_LONGEST = 1e18
"""Length above which an inner product could exceed the range of float32."""


def build_index(
    output: OutputFolder, parts: Sequence[str], settings: IndexSettings
) -> IndexEntry | None:
    """Index the vectors of passages and of documents.

    Every file is named after its content and written atomically, so the same tables give the
    same files, and an index that a manifest names is never overwritten.

    Args:
        output: the folder, with ``documents/`` and ``passages/`` in it.
        parts: names of the tables' files, without ``.parquet``, in order.
        settings: with the metric ``"cosine"`` vectors are scaled to length 1 if they are not, with
            ``"dot"`` they are kept as they are.

    Returns:
        What the manifest names; None if no row has a vector.

    Raises:
        ConfigError: the metric or the type is unknown.
        OutputError: a table is damaged, two passages have the same id, or a file cannot be written.
    """
    kind, metric = settings.type, settings.metric
    if metric not in METRICS:
        raise ConfigError(
            f"metric must be one of {', '.join(METRICS)}, got {metric!r}{nearest(metric, METRICS)}"
        )
    digest = RowsDigest()
    documents = _Collector(kind, metric, "documents", has_ids=False)
    positions: dict[str, int] = {}
    for rows in document_batches(output, parts):
        digest.add_documents(rows)
        documents.add(rows.vectors, rows.document_ids)
        for document_id in rows.document_ids:
            position = len(positions)
            if positions.setdefault(document_id, position) != position:
                raise OutputError(
                    f"the output has two documents {document_id!r}: ids must be unique, "
                    "run longbert again into an empty folder"
                )
    passages = _Collector(kind, metric, "passages", has_ids=True)
    ids: list[IntArray] = []
    owners: list[IntArray] = []
    for batch in passage_batches(output, parts):
        digest.add_passages(batch)
        passages.add(batch.vectors, batch.document_ids, batch.passage_ids)
        ids.append(batch.passage_ids)
        owners.append(document_positions(batch.document_ids, positions))
    _refuse_clash(ids, owners, positions)
    if documents.index is None or passages.index is None:
        _refuse_half(documents, passages)
        return None
    if documents.width != passages.width:
        raise OutputError(
            f"documents have {documents.width} dimensions and passages {passages.width}: "
            "the output mixes two embedding models, run longbert again into an empty folder"
        )
    of_passages = _write_index(output, passages)
    of_documents = _write_index(output, documents)
    description = IndexDescription(
        type=kind,
        exact=index_type(kind).exact,
        metric=metric,
        dimensions=passages.width,
        documents=of_documents,
        passages=of_passages,
        recall_at_10=1.0,
        memory_bytes=of_documents.n_bytes + of_passages.n_bytes,
        rows_sha256=digest.hexdigest(),
        faiss_version=load_faiss().__version__,
    )
    file, sha256 = _write(output, "description", "json", to_json(description))
    return IndexEntry(file=file, sha256=sha256)


def index_files(output: OutputFolder, entry: IndexEntry) -> tuple[str, ...]:
    """Names of all files of an index.

    Raises:
        OutputError: its description is missing or damaged.
    """
    description = output.index_description(entry)
    return entry.file, description.passages.file, description.documents.file


class _Collector:
    """Collects and checks the vectors of a table in an index."""

    def __init__(self, kind: str, metric: str, table: str, *, has_ids: bool) -> None:
        self.index: Any = None
        self.width = 0
        self.table = table
        self._kind = index_type(kind)
        self._metric = metric
        self._has_ids = has_ids
        self.longest = 0.0
        self.rows = 0

    def add(
        self,
        vectors: FloatMatrix | None,
        document_ids: Sequence[str],
        passage_ids: IntArray | None = None,
    ) -> None:
        if (vectors is None and self.index is not None) or (
            vectors is not None and self.index is None and self.rows
        ):
            raise OutputError(
                f"the table {self.table} has vectors in some rows only: "
                "the output is damaged, run longbert again into an empty folder"
            )
        self.rows += len(document_ids)
        if vectors is None:
            return
        if self.index is None:
            self.width = vectors.shape[1]
            self.index = self._kind.make(self.width)
            if self._has_ids:
                self.index = load_faiss().IndexIDMap2(self.index)
        if vectors.shape[1] != self.width:
            raise OutputError(
                f"the table {self.table} has vectors of {self.width} and of {vectors.shape[1]} "
                "dimensions: the output is damaged, run longbert again into an empty folder"
            )
        norms = lengths(vectors)
        wrong = np.flatnonzero(~(norms <= _LONGEST))
        if len(wrong):
            raise OutputError(
                f"the table {self.table} has a vector of {document_ids[int(wrong[0])]!r} that is "
                f"not finite or longer than {_LONGEST:.0e}: run longbert again with "
                "--precision float32"
            )
        stored = unit_vectors(vectors) if self._metric == "cosine" else vectors
        self.longest = max(self.longest, float(lengths(stored).max()))
        if self._has_ids:
            self.index.add_with_ids(np.ascontiguousarray(stored), passage_ids)
        else:
            self.index.add(np.ascontiguousarray(stored))


def _refuse_clash(
    ids: Sequence[IntArray], owners: Sequence[IntArray], positions: Mapping[str, int]
) -> None:
    """Refuse two passages with the same id, naming their documents."""
    if not ids:
        return
    passage_ids = np.concatenate(ids)
    order = np.argsort(passage_ids, kind="stable")
    same = np.flatnonzero(passage_ids[order[1:]] == passage_ids[order[:-1]])
    if not len(same):
        return
    names = list(positions)
    first, second = (
        names[int(owner)] for owner in np.concatenate(owners)[order[same[0] : same[0] + 2]]
    )
    raise OutputError(
        f"passages of the documents {first!r} and {second!r} have the same passage_id "
        f"{int(passage_ids[order[same[0]]])}: give one of the documents another id and run again"
    )


def _refuse_half(documents: _Collector, passages: _Collector) -> None:
    if documents.index is passages.index:
        return
    has, lacks = (passages, documents) if documents.index is None else (documents, passages)
    raise OutputError(
        f"the table {has.table} has vectors and the table {lacks.table} has none: "
        "the output is damaged, run longbert again into an empty folder"
    )


def _write_index(output: OutputFolder, collector: _Collector) -> IndexFile:
    faiss = load_faiss()
    buffer = io.BytesIO()
    # serialize_index would hold the index three times in memory.
    faiss.write_index(collector.index, faiss.PyCallbackIOWriter(buffer.write))
    data = buffer.getvalue()
    file, sha256 = _write(output, collector.table, "faiss", data)
    return IndexFile(
        file=file,
        sha256=sha256,
        n_bytes=len(data),
        count=collector.rows,
        longest_vector=collector.longest,
    )


def _write(output: OutputFolder, name: str, suffix: str, data: bytes) -> tuple[str, str]:
    sha256 = hashlib.sha256(data).hexdigest()
    file = index_file(name, sha256=sha256, suffix=suffix)
    output.write(file, data)
    return file, sha256
