"""Encoding some documents again, to compare bits."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from longbert.config import RunConfig
from longbert.core.fingerprint import differences
from longbert.engine.context import RunContext, load_run_models
from longbert.engine.encode import encode_documents
from longbert.engine.prepare import row_fingerprint
from longbert.engine.verify.problems import Mend, Problem, Sampled
from longbert.errors import DocumentError, FingerprintError
from longbert.records import Document
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches, read_table
from longbert.store.record import to_builtins
from longbert.store.shards import n_parts, read_parts
from longbert.store.tables import build_tables

_NOT_FROM_THE_MODEL = ("errors",)


def sample_problems(
    output: OutputFolder,
    config: RunConfig,
    n_documents: int,
    *,
    filesystem: FileSystem,
    notify: Callable[[Sampled], None] = lambda _: None,
) -> Iterator[Problem]:
    """Encode some documents again from the texts in the output, and compare all their rows.

    The documents are the same in every call: those whose ids have the smallest digests.

    Args:
        output: the folder.
        config: the settings of the run that made it.
        n_documents: how many, at most.
        filesystem: opens the places of the run.
        notify: told which ones, once all of them are compared.

    Raises:
        FingerprintError: models, versions or processor are not those that the rows were made with.
        ModelError: a model is missing.
        OutputError: a table is damaged.
    """
    context = RunContext(config, filesystem)
    models = load_run_models(context)
    own = row_fingerprint(config, models)
    manifest = output.finished()
    if own.digest not in manifest.environments:
        changes = "".join(
            f"\n  {line}" for line in differences(to_builtins(manifest.rows), to_builtins(own))
        )
        raise FingerprintError(
            f"bits cannot be compared with those in {output.path!r}, which were made with other "
            f"models, settings or versions, or on another processor:{changes}\n"
            "Verify on a machine like the one that made them, or leave out --sample"
        )
    parts = [
        one.name for one in read_parts(output, manifest.shards) if one.fingerprint == own.digest
    ]
    sampled = _sampled(output, parts, n_documents)
    for part, ids in sampled.items():
        tables = {
            name: read_table(output, name, part)
            for name in context.tables
            if name not in _NOT_FROM_THE_MODEL
        }
        documents = [_document(tables, one) for one in ids]
        outcomes = encode_documents(models, documents, passage_tokens=config.models.passage)
        for document, outcome in zip(documents, outcomes, strict=True):
            where = f"document {document.document_id!r}, encoded again,"
            if isinstance(outcome, DocumentError):
                yield Problem(f"{where} fails: {outcome.message}", Mend.PART, part=part)
                continue
            again = build_tables([outcome], [], width=models.width, names=[*tables])
            differing = [
                name
                for name, rows in tables.items()
                if _rows_of(rows, document.document_id) != again[name]
            ]
            if differing:
                tables_text = ", ".join(differing)
                yield Problem(f"{where} has other rows in {tables_text}", Mend.PART, part=part)
    notify(
        Sampled(
            n_documents=sum(map(len, sampled.values())),
            parts=tuple(sampled),
            n_parts_left_out=n_parts(manifest.shards) - len(parts),
        )
    )


def _sampled(
    output: OutputFolder, parts: Sequence[str], n_documents: int
) -> Mapping[str, Sequence[str]]:
    """Ids of some documents, by part."""
    everything = (
        (hashlib.sha256(one.encode()).digest(), part, one)
        for part in parts
        for _, batch in read_batches(output, "documents", [part], ("document_id",))
        for one in batch.column("document_id").to_pylist()
    )
    by_part: dict[str, list[str]] = {}
    for _, part, one in sorted(heapq.nsmallest(n_documents, everything), key=lambda item: item[1]):
        by_part.setdefault(part, []).append(one)
    return by_part


def _document(tables: Mapping[str, pa.Table], document_id: str) -> Document:
    (row,) = _rows_of(tables["documents"], document_id).select(["source", "metadata"]).to_pylist()
    passages = _rows_of(tables["passages"], document_id).column("text").to_pylist()
    return Document(document_id, "".join(passages), row["source"], dict(row["metadata"]))


def _rows_of(table: pa.Table, document_id: str) -> pa.Table:
    mask = [one == document_id for one in table.column("document_id").to_pylist()]
    return table.filter(pa.array(mask, type=pa.bool_())).combine_chunks()
