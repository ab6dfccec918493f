"""Output folders with given vectors, written as an engine would, and a brute-force search."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from fakes.memory_files import MemoryFiles

from longbert.index.build import build_index
from longbert.index.catalog import catalog_file
from longbert.index.lexical.build import build_lexical
from longbert.index.lexical.languages import lexical_settings
from longbert.store.fingerprints import (
    Environment,
    IndexSettings,
    PassSettings,
    RowFingerprint,
    RowSettings,
)
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexEntry
from longbert.store.layout import lexical_file, shard_file
from longbert.store.manifest import Manifest, NamedModels
from longbert.store.parquet import TableWriter
from longbert.store.receipts import PartEntry, Shard, ShardEntry
from longbert.store.record import FORMAT, to_json

LEXICAL = lexical_settings("en")
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Doc:
    """A document: its vector and those of its passages."""

    document_id: str
    vector: Floats | None
    passages: Floats | None
    n_passages: int = 0


def text_of(document_id: str, ordinal: int) -> str:
    return f"<{document_id}:{ordinal}>\n"


def write_part(
    files: MemoryFiles,
    folder: str,
    part: str,
    docs: Sequence[Doc],
    *,
    width: int,
    passage_ids: Sequence[int] | None = None,
    row_group_size: int = 3,
    text_of: Callable[[str, int], str] = text_of,
) -> None:
    # Arrow writes nulls in lists of fixed size, but cannot read them again.
    vector_type = pa.list_(pa.float32(), width) if width else pa.list_(pa.float32())
    documents = pa.table(
        {
            "document_id": pa.array([doc.document_id for doc in docs], pa.string()),
            "embedding": pa.array(
                [None if doc.vector is None else doc.vector.tolist() for doc in docs], vector_type
            ),
        }
    )
    rows: dict[str, list[Any]] = {
        name: []
        for name in (
            "passage_id",
            "document_id",
            "ordinal",
            "char_start",
            "char_end",
            "text",
            "embedding",
        )
    }
    for doc in docs:
        char = 0
        vectors = [None] * doc.n_passages if doc.passages is None else doc.passages.tolist()
        for ordinal, vector in enumerate(vectors):
            text = text_of(doc.document_id, ordinal)
            values = (
                passage_id(doc.document_id, ordinal),
                doc.document_id,
                ordinal,
                char,
                char + len(text),
                text,
                vector,
            )
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
            char += len(text)
    if passage_ids is not None:
        rows["passage_id"] = list(passage_ids)
    types = {
        "passage_id": pa.int64(),
        "document_id": pa.string(),
        "ordinal": pa.int32(),
        "char_start": pa.int64(),
        "char_end": pa.int64(),
        "text": pa.string(),
        "embedding": vector_type,
    }
    passages = pa.table({name: pa.array(values, types[name]) for name, values in rows.items()})
    for name, table in (("documents", documents), ("passages", passages)):
        buffer = io.BytesIO()
        pq.write_table(table, buffer, row_group_size=row_group_size)
        files.write(f"{folder}/{name}/{part}.parquet", buffer.getvalue())
    words = build_lexical(documents, passages, language="en")
    files.write(f"{folder}/{lexical_file(part, LEXICAL.digest)}", words)
    catalog = catalog_file(documents, passages, path=part)
    files.write(f"{folder}/catalog/{part}.safetensors", catalog)


def passage_id(document_id: str, ordinal: int) -> int:
    digest = hashlib.sha256(f"{document_id}:{ordinal}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def index_settings(
    metric: str = "cosine",
    type: str = "flat",
    *,
    memory_bytes: int | None = None,
    recall: float = 0.95,
) -> IndexSettings:
    return IndexSettings(
        metric=metric, type=type, memory_bytes=memory_bytes, recall=recall, faiss="0"
    )


def a_manifest(*, precision: str = "float32", passes: Sequence[PassSettings] = ()) -> Manifest:
    """A manifest of an output without documents; ``msgspec.structs.replace`` fills in the rest."""
    environment = Environment(longbert="0", libraries={}, processor="none")
    settings = RowSettings(
        format=FORMAT,
        id_field="id",
        text_field="text",
        window_scores=False,
        precision=precision,
        passage=64,
        batch_tokens=None,
        passes=tuple(passes),
    )
    rows = RowFingerprint(settings=settings, environment=environment)
    return Manifest(
        format=FORMAT,
        fingerprint=rows.digest,
        rows=rows,
        environments={rows.digest: environment},
        readers={},
        index_settings=index_settings(),
        lexical_settings=LEXICAL,
        written_with={},
        models=NamedModels(
            embed="none", embed_path=None, embed_digest=None, query_prompt=None, heads={}
        ),
        counts={},
        shards=(),
        index=None,
    )


def write_shard_of(files: MemoryFiles, folder: str, parts: Sequence[PartEntry]) -> ShardEntry:
    """List parts of any name in a shard."""
    data = to_json(Shard(parts=tuple(parts)))
    sha256 = hashlib.sha256(data).hexdigest()
    file = shard_file(0, sha256)
    OutputFolder(files, folder).write(file, data)
    return ShardEntry(file=file, sha256=sha256, n_parts=len(parts), counts={}, fingerprints=())


def write_manifest(
    files: MemoryFiles, folder: str, parts: Sequence[str], index: IndexEntry | None
) -> None:
    empty = a_manifest()
    entries = tuple(
        PartEntry(
            name=part, fingerprint=empty.fingerprint, lexical=LEXICAL.digest, counts={}, files={}
        )
        for part in parts
    )
    shard = write_shard_of(files, folder, entries)
    manifest = msgspec.structs.replace(empty, shards=(shard,), index=index)
    OutputFolder(files, folder).write_record("manifest.json", manifest)


def write_output(
    docs: Sequence[Doc],
    *,
    width: int,
    metric: str = "cosine",
    type: str = "flat",
    parts: int = 2,
    text_of: Callable[[str, int], str] = text_of,
) -> MemoryFiles:
    """Write a whole output folder ``out`` with its documents spread over some parts."""
    files = MemoryFiles()
    names = [f"part-{number}" for number in range(parts)]
    for name, places in zip(names, np.array_split(np.arange(len(docs)), parts), strict=True):
        own = [docs[place] for place in places]
        write_part(files, "out", name, own, width=width, text_of=text_of)
    built = build_index(OutputFolder(files, "out"), names, index_settings(metric, type))
    write_manifest(files, "out", names, built.entry)
    return files


def unit(vector: Floats) -> Floats:
    norm = np.sqrt(sum(float(one) ** 2 for one in vector))
    return vector if norm == 0 or abs(norm - 1) <= 1e-6 else (vector / norm).astype(np.float32)


def brute_force(
    docs: Sequence[Doc], query: Floats, k: int, rank: str, metric: str, left_out: str | None = None
) -> list[tuple[str, float]]:
    """Score everything and sort: what search must return."""
    scale = unit if metric == "cosine" else np.asarray

    def similarity(vector: Floats) -> float:
        products = scale(vector).astype(np.float64) * scale(query)
        return float(np.float32(products.sum()))

    scored = []
    for doc in docs:
        if doc.document_id == left_out:
            continue
        assert doc.vector is not None
        assert doc.passages is not None
        if rank == "document":
            score = similarity(doc.vector)
        else:
            best = sorted((similarity(one) for one in doc.passages), reverse=True)
            best = best[: 1 if rank == "best" else 3]
            score = float(np.float32(sum(best) / len(best)))
        scored.append((-score, doc.document_id))
    return [(document_id, -score) for score, document_id in sorted(scored)[:k]]


def to_parquet(table: pa.Table) -> bytes:
    """A table as Parquet bytes: the same rows give the same bytes."""
    buffer = io.BytesIO()
    writer = TableWriter(buffer, table.schema)
    writer.add(table)
    writer.close()
    return buffer.getvalue()
