"""The fields of filters, and the checks that need no table."""

from __future__ import annotations

from collections.abc import Collection

from longbert.errors import ConfigError, nearest, shown
from longbert.index.filters.expression import (
    And,
    Any,
    Comparison,
    Expression,
    Field,
    Not,
    Or,
    comparisons,
    pointed,
)

LABEL_FIELDS = {"head": "text", "label": "text", "score": "number"}
"""Of one predicted row of the table ``classifications``."""

ENTITY = "entity"
"""An entity as ``LABEL:text``."""

DOCUMENT_FIELDS = {
    "document_id": "text",
    "source": "text",
    "content_sha256": "text",
    "n_chars": "number",
    "n_chars_covered": "number",
    "n_chars_unknown": "number",
    "n_tokens": "number",
    "n_windows": "number",
}
"""Of the table ``documents``."""

_KINDS = {**LABEL_FIELDS, ENTITY: "text", **DOCUMENT_FIELDS}
_ENTITY_OPERATORS = ("=", "in", "like")
_EXAMPLES = {"text": "a text in single quotes", "number": "a number"}
_MOST_NAMED = 20


def is_metadata(field: Field) -> bool:
    """Whether a field is looked for in the metadata of documents."""
    return field.of_metadata or field.name not in _KINDS


def check_fields(expression: Expression, text: str) -> None:
    """Refuse comparisons that no document could ever fit.

    Args:
        text: that the expression was read from.

    Raises:
        ConfigError: points at the place.
    """
    for comparison in comparisons(expression):
        _check_values(comparison, text)
        if not is_metadata(comparison.field):
            _check_kind(comparison, text)
    _check_labels(expression, text)


def unknown_field(field: Field, metadata: Collection[str], text: str) -> ConfigError:
    """The error for a field that is neither one of ours nor in the metadata of any document."""
    keys = sorted(metadata)
    named = ", ".join(map(shown, keys[:_MOST_NAMED])) + (", ..." if keys[_MOST_NAMED:] else "")
    of_metadata = f"; in the metadata: {named}" if keys else "; no document has metadata"
    close = nearest(field.name, keys if field.of_metadata else [*_KINDS, *keys])
    return pointed(
        text,
        field.start,
        f"there is no field {shown(field.name)}{close or '.'} The fields are {', '.join(_KINDS)}"
        f"{of_metadata}",
    )


def _check_values(comparison: Comparison, text: str) -> None:
    if any(isinstance(one, str) != comparison.is_text for one in comparison.values):
        problem = "a list holds texts or numbers, not both"
    elif comparison.operator == "like" and not comparison.is_text:
        problem = "like takes a text with % and _ for what may vary, such as like 'ORG:%'"
    else:
        return
    raise pointed(text, comparison.start, problem)


def _check_kind(comparison: Comparison, text: str) -> None:
    name = comparison.field.name
    kind = _KINDS[name]
    if comparison.is_text != (kind == "text"):
        raise pointed(
            text, comparison.start, f"{name} is a {kind}: compare it with {_EXAMPLES[kind]}"
        )
    if name != ENTITY:
        return
    if comparison.operator not in _ENTITY_OPERATORS:
        raise pointed(
            text,
            comparison.field.start,
            f"{name} cannot be compared with {comparison.operator}, since a document has many: "
            f"use {', '.join(_ENTITY_OPERATORS)}, or not {name} = 'ORG:Acme'",
        )
    if comparison.operator != "like" and any(":" not in str(one) for one in comparison.values):
        raise pointed(
            text,
            comparison.start,
            f"{name} is a label, a colon and a text, such as 'ORG:Acme'; for any label, write "
            f"{name} like '%:Acme'",
        )


def _check_labels(expression: Expression, text: str) -> None:
    """Refuse two labels at once of the one predicted label that a filter speaks of."""
    match expression:
        case And(parts):
            first: dict[str, Comparison] = {}
            for part in parts:
                _check_labels(part, text)
                if not isinstance(part, Comparison) or part.operator != "=":
                    continue
                name = part.field.name
                if is_metadata(part.field) or name not in LABEL_FIELDS:
                    continue
                if first.setdefault(name, part).values != part.values:
                    raise pointed(
                        text,
                        part.field.start,
                        f"one predicted label cannot have two values of {name}: for documents "
                        f"that have both, write any({name} = ...) and any({name} = ...)",
                    )
        case Or(parts):
            for part in parts:
                _check_labels(part, text)
        case Not(part) | Any(part):
            _check_labels(part, text)
