"""Predictions for given documents, read back from an output's tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from longbert.records import Classification, LabelledSpan, ScoredSpan
from longbert.store.folder import OutputFolder
from longbert.store.layout import part_file
from longbert.store.parquet import from_parquet
from longbert.store.receipts import PartEntry
from longbert.store.shards import read_parts


@dataclass(frozen=True, slots=True)
class Predictions:
    """Results for the documents that were asked for, by head and document.

    Attributes:
        digests: SHA-256 of the text of each one that was encoded.
        failed: those that are in ``errors`` and not in ``documents``.
        n_others: other documents of the output.
        example_id: id of one document of the output, for messages; None if it has none.
        classification_heads, entity_heads: all heads of the output, sorted.
        classifications: rows of the table, in its order.
        entities: documents without entities are left out.
        entity_labels: all labels that each entity head predicts anywhere in the output.
    """

    digests: Mapping[str, str]
    failed: frozenset[str]
    n_others: int
    example_id: str | None
    classification_heads: tuple[str, ...]
    entity_heads: tuple[str, ...]
    classifications: Mapping[str, Mapping[str, list[Classification]]]
    entities: Mapping[str, Mapping[str, list[ScoredSpan]]]
    entity_labels: Mapping[str, frozenset[str]]


def read_predictions(output: OutputFolder, wanted: Collection[str]) -> Predictions:
    """Read what an output holds for some documents; one part is in memory at a time.

    Args:
        output: finished.
        wanted: ids of documents; they need not be in the output.

    Raises:
        OutputError: it is unfinished or damaged.
    """
    manifest = output.finished()
    ids = pa.array(sorted(wanted), type=pa.string())
    digests: dict[str, str] = {}
    failed: set[str] = set()
    n_others = 0
    example_id: str | None = None
    classifications: dict[str, dict[str, list[Classification]]] = {}
    entities: dict[str, dict[str, list[ScoredSpan]]] = {}
    entity_labels: dict[str, set[str]] = {}
    for entry in read_parts(output, manifest.shards):
        documents = _table(output, entry, "documents", ("document_id", "content_sha256"))
        if documents.num_rows and example_id is None:
            example_id = documents["document_id"][0].as_py()
        own = _of(documents, ids)
        n_others += documents.num_rows - own.num_rows
        digests.update(zip(*(own[name].to_pylist() for name in own.column_names), strict=True))
        errors = _of(_table(output, entry, "errors", ("document_id",)), ids)
        failed.update(errors["document_id"].to_pylist())
        columns = ("document_id", "head", "label", "score", "predicted")
        rows = _table(output, entry, "classifications", columns)
        for head in pc.unique(rows["head"]).to_pylist():
            classifications.setdefault(head, {})
        for document_id, *row in _rows(_of(rows, ids)):
            classification = Classification(*row)
            by_document = classifications[classification.head]
            by_document.setdefault(document_id, []).append(classification)
        spans = ("document_id", "head", "char_start", "char_end", "label", "score")
        rows = _table(output, entry, "entities", spans)
        for head, label in set(_rows(rows.select(["head", "label"]))):
            entity_labels.setdefault(head, set()).add(label)
        for document_id, head, start, end, label, score in _rows(_of(rows, ids)):
            found = ScoredSpan(LabelledSpan(start, end, label), score)
            entities.setdefault(head, {}).setdefault(document_id, []).append(found)
    entity_heads = {
        head.name
        for one in manifest.rows.settings.passes
        for head in one.heads
        if head.task == "ner"
    }
    return Predictions(
        digests=digests,
        failed=frozenset(failed - digests.keys()),
        n_others=n_others,
        example_id=example_id,
        classification_heads=tuple(sorted(classifications)),
        entity_heads=tuple(sorted(entity_heads)),
        classifications=classifications,
        entities=entities,
        entity_labels={head: frozenset(entity_labels.get(head, ())) for head in entity_heads},
    )


def _table(output: OutputFolder, entry: PartEntry, table: str, columns: tuple[str, ...]) -> Any:
    data = output.read_checked(part_file(table, entry.name), entry.files[table].sha256)
    return from_parquet(data).select(list(columns))


def _of(table: Any, ids: Any) -> Any:
    return table.filter(pc.is_in(table["document_id"], value_set=ids))


def _rows(table: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
