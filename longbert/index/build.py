"""Building the index from committed tables."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.config import METRICS
from longbert.errors import ConfigError, OutputError, nearest
from longbert.index.backend import load_faiss
from longbert.index.kinds import index_type
from longbert.index.tables import (
    Files,
    Integers,
    RowsDigest,
    document_batches,
    document_positions,
    join,
    passage_batches,
)
from longbert.index.vectors import Vectors, lengths, unit_vectors

_DIGEST_CHARS = 12
_LONGEST = 1e18
"""Length over which an inner product could leave the range of float32."""


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index as it was written.

    Attributes:
        file: path of the description, relative to the output folder.
        sha256: of that file.
        description: its content.
    """

    file: str
    sha256: str
    description: dict[str, Any]

    @property
    def entry(self) -> dict[str, str]:
        """What ``manifest.json`` holds under ``"index"``."""
        return {"file": self.file, "sha256": self.sha256}


def build_index(
    files: Files, folder: str, parts: Sequence[str], *, metric: str, kind: str = "flat"
) -> BuiltIndex | None:
    """Index the vectors of passages and of documents.

    Every file is named by its content and written whole, so that the same tables give the
    same files, and an index that a manifest names is never overwritten by another.

    Args:
        folder: the output folder, with ``documents/`` and ``passages/`` in it.
        parts: names of the tables' files, without ``.parquet``, in order.
        metric: ``"cosine"``: vectors are scaled to length 1 if they are not; ``"dot"``: as is.
        kind: key of :data:`longbert.index.kinds.INDEX_TYPES`.

    Returns:
        None if no row has a vector, as without an embedding model.

    Raises:
        OutputError: a table is damaged, two passages have one id, or a file cannot be written.
    """
    if metric not in METRICS:
        raise ConfigError(
            f"metric must be one of {', '.join(METRICS)}, got {metric!r}{nearest(metric, METRICS)}"
        )
    digest = RowsDigest()
    documents = _Collector(kind, metric, "documents", has_ids=False)
    positions: dict[str, int] = {}
    for rows in document_batches(files, folder, parts):
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
    ids: list[Integers] = []
    owners: list[Integers] = []
    for batch in passage_batches(files, folder, parts):
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
    written = {
        "passages": _write_index(files, folder, "passages", passages.index),
        "documents": _write_index(files, folder, "documents", documents.index),
    }
    description = {
        "type": kind,
        "exact": index_type(kind).exact,
        "metric": metric,
        "dimensions": passages.width,
        "documents": {**written["documents"], **documents.facts()},
        "passages": {**written["passages"], **passages.facts()},
        "recall_at_10": 1.0,
        "memory_bytes": sum(int(one["n_bytes"]) for one in written.values()),
        "rows_sha256": digest.hexdigest(),
        "faiss_version": load_faiss().__version__,
    }
    data = (json.dumps(description, indent=2, sort_keys=True) + "\n").encode()
    file, sha256 = _write(files, folder, "description", "json", data)
    return BuiltIndex(file, sha256, description)


class _Collector:
    """Gathers the vectors of one table in an index, checked."""

    def __init__(self, kind: str, metric: str, table: str, *, has_ids: bool) -> None:
        self.index: Any = None
        self.width = 0
        self.table = table
        self._kind = index_type(kind)
        self._metric = metric
        self._has_ids = has_ids
        self._longest = 0.0
        self.rows = 0

    def add(
        self,
        vectors: Vectors | None,
        document_ids: Sequence[str],
        passage_ids: Integers | None = None,
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
        self._longest = max(self._longest, float(lengths(stored).max()))
        if self._has_ids:
            self.index.add_with_ids(np.ascontiguousarray(stored), passage_ids)
        else:
            self.index.add(np.ascontiguousarray(stored))

    def facts(self) -> dict[str, Any]:
        return {"count": self.rows, "longest_vector": self._longest}


def _refuse_clash(
    ids: Sequence[Integers], owners: Sequence[Integers], positions: Mapping[str, int]
) -> None:
    """Refuse two passages of one id, naming the documents they belong to."""
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


def _write_index(files: Files, folder: str, name: str, index: Any) -> dict[str, Any]:
    faiss = load_faiss()
    buffer = io.BytesIO()
    # serialize_index would hold the index three times in memory.
    faiss.write_index(index, faiss.PyCallbackIOWriter(buffer.write))
    data = buffer.getvalue()
    file, sha256 = _write(files, folder, name, "faiss", data)
    return {"file": file, "sha256": sha256, "n_bytes": len(data)}


def _write(files: Files, folder: str, name: str, suffix: str, data: bytes) -> tuple[str, str]:
    sha256 = hashlib.sha256(data).hexdigest()
    file = f"index/{name}-{sha256[:_DIGEST_CHARS]}.{suffix}"
    path = join(folder, file)
    try:
        files.write(path, data)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error}): free space or choose another --output"
        ) from error
    return file, sha256
