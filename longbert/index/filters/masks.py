"""Which documents a filter lets through, read from the committed tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any as Anything

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from longbert.arrays import BoolArray, IntArray
from longbert.index.filters.expression import (
    And,
    Any,
    Comparison,
    Expression,
    Not,
    Or,
    comparisons,
)
from longbert.index.filters.fields import (
    DOCUMENT_FIELDS,
    ENTITY,
    LABEL_FIELDS,
    check_fields,
    is_metadata,
    unknown_field,
)
from longbert.index.filters.grammar import parse_filter
from longbert.store.held import HeldFile
from longbert.store.parquet import read_held
from longbert.store.tables import TABLES

_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
PARTS_AT_ONCE = 64
"""Whose columns are in memory together."""

_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
"""As JSON writes numbers, which is how metadata keeps them."""


def matching_documents(parts: Sequence[Mapping[str, HeldFile]], text: str) -> BoolArray:
    """Find the documents that a filter lets through, part after part.

    A document passes if one of its predicted labels makes the filter true, or if the filter is
    true whatever they are. ``not`` and ``any`` speak of all predicted labels of the document
    anew. A comparison with something that a document does not have is false.

    Args:
        parts: the tables of each, by name, in order.
        text: the filter.

    Returns:
        Shape: (documents,), in the order of the table ``documents``.

    Raises:
        ConfigError: the filter is not in the language, or names an unknown field; points at it.
        OutputError: a table is missing or damaged.
    """
    expression = parse_filter(text)
    check_fields(expression, text)
    reader = _Reader(expression)
    masks = [
        reader.matching(parts[start : start + PARTS_AT_ONCE])
        for start in range(0, len(parts), PARTS_AT_ONCE)
    ]
    for comparison in comparisons(expression):
        if is_metadata(comparison.field) and comparison.field.name not in reader.metadata_keys:
            raise unknown_field(comparison.field, reader.metadata_keys, text)
    return np.concatenate(masks) if masks else np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a filter needs of some parts.

    A filter is evaluated for every predicted label, and once more for every document, without
    one, so that documents without predicted labels are seen, too.

    Attributes:
        documents: columns by name. Length: documents.
        labels: columns of ``LABEL_FIELDS``, null in the rows without. Length: rows.
        owner: document of each row. Shape: (rows,).
        entities: ``LABEL:text`` of every entity, and its document's id.
    """

    documents: Anything
    labels: Anything
    owner: IntArray
    entities: Anything

    def true_rows(self, expression: Expression) -> BoolArray:
        """The rows that make an expression true. Shape: (rows,)."""
        match expression:
            case And(parts):
                return reduce(np.logical_and, map(self.true_rows, parts))
            case Or(parts):
                return reduce(np.logical_or, map(self.true_rows, parts))
            case Any(part):
                return self.true_documents(part)[self.owner]
            case Not(part):
                return ~self.true_documents(part)[self.owner]
            case Comparison():
                return self._compared(expression)

    def true_documents(self, expression: Expression) -> BoolArray:
        """The documents with a row that makes an expression true. Shape: (documents,)."""
        documents = np.zeros(len(self.documents), np.bool_)
        documents[self.owner[self.true_rows(expression)]] = True
        return documents

    def _compared(self, comparison: Comparison) -> BoolArray:
        name = comparison.field.name
        if is_metadata(comparison.field):
            column = pc.map_lookup(self.documents["metadata"], pa.scalar(name), "first")
            found = _fits(column if comparison.is_text else _numbers(column), comparison)
        elif name in LABEL_FIELDS:
            return _fits(self.labels[name], comparison)
        elif name == ENTITY:
            with_it = self.entities.filter(pa.array(_fits(self.entities["entity"], comparison)))
            found = _to_numpy(
                pc.is_in(self.documents["document_id"], value_set=with_it["document_id"])
            )
        else:
            found = _fits(self.documents[name], comparison)
        return found[self.owner]


@dataclass(slots=True)
class _Reader:
    """Reads what an expression needs, of whole parts, since these hold all rows of a document.

    Attributes:
        metadata_keys: seen so far.
    """

    expression: Expression
    metadata_keys: set[str] = field(default_factory=set)

    def matching(self, parts: Sequence[Mapping[str, HeldFile]]) -> BoolArray:
        """The documents of some parts that the expression is true of. Shape: (documents,)."""
        return self._read(parts).true_documents(self.expression)

    def _read(self, parts: Sequence[Mapping[str, HeldFile]]) -> _Rows:
        wanted = list(comparisons(self.expression))
        names = {one.field.name for one in wanted if not is_metadata(one.field)}
        columns = {"document_id", *(names & DOCUMENT_FIELDS.keys())}
        if any(is_metadata(one.field) for one in wanted):
            columns.add("metadata")
        documents = self._table("documents", parts, sorted(columns))
        if "metadata" in columns:
            for chunk in documents["metadata"].chunks:
                self.metadata_keys.update(pc.unique(chunk.keys).to_pylist())
        n_documents = len(documents)
        owner = np.arange(n_documents)
        labels = pa.table(
            {
                one.name: pa.nulls(n_documents, one.type)
                for one in _schema("classifications", [*LABEL_FIELDS])
            }
        )
        if names & LABEL_FIELDS.keys():
            rows = self._table(
                "classifications", parts, ["document_id", *LABEL_FIELDS, "predicted"]
            )
            rows = rows.filter(rows["predicted"])
            own = pc.index_in(rows["document_id"], value_set=documents["document_id"])
            owner = np.concatenate([_to_numpy(own), owner])
            labels = pa.concat_tables(
                [rows.select(labels.column_names), labels], promote_options="permissive"
            )
        entities = None
        if ENTITY in names:
            rows = self._table("entities", parts, ["document_id", "label", "text"])
            joined = pc.binary_join_element_wise(rows["label"], rows["text"], ":")
            entities = pa.table({"document_id": rows["document_id"], "entity": joined})
        return _Rows(documents, labels, owner, entities)

    def _table(
        self, table: str, parts: Sequence[Mapping[str, HeldFile]], columns: Sequence[str]
    ) -> Anything:
        return pa.concat_tables(read_held(part[table], columns) for part in parts)


def _schema(table: str, columns: Sequence[str]) -> Anything:
    whole = TABLES[table].schema(None)
    return pa.schema([pa.field(name, whole.field(name).type) for name in columns])


def _fits(column: Anything, comparison: Comparison) -> BoolArray:
    """Which values of a column a comparison is true of; null is none of them."""
    kind = pa.string()
    if not comparison.is_text:
        # A score of 0.9 is the float32 next to it, and so is the number that it is compared with.
        kind = pa.float32() if pa.types.is_float32(column.type) else pa.float64()
    column = pc.cast(column, kind)
    if comparison.operator == "like":
        found = pc.match_like(column, comparison.values[0])
    else:
        values = pa.array(comparison.values).cast(kind, safe=False)
        if comparison.operator == "in":
            found = pc.is_in(column, value_set=values)
        else:
            found = _COMPARE[comparison.operator](column, values[0])
    mask: BoolArray = _to_numpy(pc.fill_null(found, False))
    return mask


def _numbers(texts: Anything) -> Anything:
    """Texts as float64, null where they are no number."""
    is_number = pc.match_substring_regex(texts, _NUMBER)
    return pc.cast(pc.if_else(is_number, texts, pa.scalar(None, pa.string())), pa.float64())


def _to_numpy(column: Anything) -> Anything:
    return (
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    )
