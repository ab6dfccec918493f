"""What a filter says, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from longbert.errors import ConfigError

Literal = str | float
"""A text, or a number; whole ones are int."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field as it was written.

    Attributes:
        name: without quotes and without the prefix ``metadata.``.
        of_metadata: whether the prefix or quotes say that it can only be metadata.
        start: where it stands in the filter.
    """

    name: str
    of_metadata: bool
    start: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field and what it is compared with.

    Attributes:
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` or ``like``.
        values: one, or for ``in`` at least one, all texts or all numbers.
        start: where the first value stands in the filter.
    """

    field: Field
    operator: str
    values: tuple[Literal, ...]
    start: int

    @property
    def is_text(self) -> bool:
        """Whether the values are texts."""
        return isinstance(self.values[0], str)


@dataclass(frozen=True, slots=True)
class And:
    """All of them; none is itself an :class:`And`."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """No predicted label of the document makes it true."""

    part: Expression


@dataclass(frozen=True, slots=True)
class Any:
    """Some predicted label of the document makes it true, not only the one spoken of outside."""

    part: Expression


Expression = And | Or | Not | Any | Comparison


def comparisons(expression: Expression) -> Iterator[Comparison]:
    """All comparisons, in the order in which they are written."""
    match expression:
        case Comparison():
            yield expression
        case And(parts) | Or(parts):
            for part in parts:
                yield from comparisons(part)
        case Not(part) | Any(part):
            yield from comparisons(part)


def pointed(text: str, place: int, problem: str) -> ConfigError:
    """An error that shows the line of a filter with a caret under a place."""
    first = text.rfind("\n", 0, place) + 1
    line = text[first:].partition("\n")[0]
    return ConfigError(f"filter: {problem}\n  {line}\n  {' ' * (place - first)}^")
