"""From the text of a filter to its tree."""

from __future__ import annotations

from functools import cache
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from longbert.errors import ConfigError
from longbert.index.filters import expression as tree
from longbert.index.filters.expression import Expression, Literal, pointed

_GRAMMAR = r"""
?start: or
?or: and | and (_OR and)+ -> either
?and: not | not (_AND not)+ -> both
?not: _NOT not -> negation | _ANY "(" or ")" -> any | "(" or ")" | comparison
comparison: FIELD (OPERATOR value | IN "(" value ("," value)* ")" | LIKE value)
value: TEXT | NUMBER

_AND.2: /and(?![\w.-])/i
_OR.2: /or(?![\w.-])/i
_NOT.2: /not(?![\w.-])/i
_ANY.2: /any(?=\s*\()/i
IN.2: /in(?![\w.-])/i
LIKE.2: /like(?![\w.-])/i
OPERATOR: /!=|<=|>=|=|<|>/
FIELD: /(metadata\.)?"([^"]|"")+"|[^\W\d][\w.-]*/
TEXT: /'([^']|'')*'/
NUMBER: /[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?(?![\w.])/i
%ignore /\s+/
"""

_MEANINGS = {
    "FIELD": "a field",
    "TEXT": "a text in single quotes",
    "NUMBER": "a number",
    "OPERATOR": "= != < <= > >=",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "_AND": "and",
    "_OR": "or",
    "_NOT": "not",
    "_ANY": "any(...)",
    "IN": "in",
    "LIKE": "like",
    "$END": "the end",
}
"""How messages call what may stand at a place, in the order in which they list it."""

_EXAMPLE = "label = 'neg' and score > 0.8"
_MOST_CHARS = 10_000
_MOST_WHOLE_DIGITS = 18
_METADATA = "metadata."


def parse_filter(text: str) -> Expression:
    """Read a filter.

    Raises:
        ConfigError: it is empty, too long or not in the language; points at the place.
    """
    if not text.strip():
        raise ConfigError(f"filter is empty: write for instance {_EXAMPLE}, or leave it out")
    if len(text) > _MOST_CHARS:
        raise ConfigError(
            f"filter must have at most {_MOST_CHARS:,} characters, got {len(text):,}: write a "
            "list of values with in (...), or split the query"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"filter has a lone surrogate at character {error.start + 1}, so it is not valid "
            "Unicode: write it as UTF-8"
        ) from None
    try:
        expression: Expression = _Tree().transform(_parser().parse(text))
    except UnexpectedInput as error:
        raise _unexpected(text, error) from None
    except RecursionError:
        raise ConfigError("filter is nested too deeply: use fewer parentheses") from None
    return expression


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


def _unexpected(text: str, error: UnexpectedInput) -> ConfigError:
    hint = ""
    if isinstance(error, UnexpectedToken):
        allowed, token = error.accepts or error.expected, error.token
        at_end = token.type == "$END"
        place = len(text.rstrip()) if at_end else _start(token)
        found = "it ends" if at_end else f"{str(token)!r} stands"
        if token.type == "FIELD" and "TEXT" in allowed:
            hint = "; texts are written in single quotes"
    else:
        assert isinstance(error, UnexpectedCharacters)
        allowed, place = error.allowed or set(), int(error.pos_in_stream or 0)
        found = f"{text[place]!r} stands"
        if text[place] == "'":
            hint = "; a text must end with a single quote, and one inside it is doubled"
    meanings = [meaning for name, meaning in _MEANINGS.items() if name in allowed]
    several = "one of these is expected: " if len(meanings) > 1 else ""
    expected = f"{several}{', '.join(meanings)}{'' if several else ' is expected'}"
    return pointed(text, place, f"{found} where {expected}{hint}. Example: {_EXAMPLE}")


class _Tree(Transformer[Token, Any]):
    """Makes the tree from the grammar's rules, each named by its method."""

    def comparison(self, children: list[Any]) -> tree.Comparison:
        name, operator, *values = children
        return tree.Comparison(
            field=_field(name),
            operator=operator.lower(),
            values=tuple(value for value, _ in values),
            start=values[0][1],
        )

    def value(self, children: list[Token]) -> tuple[Literal, int]:
        (token,) = children
        return _literal(token), _start(token)

    def negation(self, children: list[Expression]) -> Expression:
        return tree.Not(children[0])

    def any(self, children: list[Expression]) -> Expression:
        return tree.Any(children[0])

    def either(self, children: list[Expression]) -> Expression:
        return tree.Or(tuple(children))

    def both(self, children: list[Expression]) -> Expression:
        parts: list[Expression] = []
        for child in children:
            parts.extend(child.parts if isinstance(child, tree.And) else (child,))
        return tree.And(tuple(parts))


def _field(token: Token) -> tree.Field:
    start = _start(token)
    name = token.removeprefix(_METADATA)
    if name.startswith('"'):
        return tree.Field(name[1:-1].replace('""', '"'), True, start)
    return tree.Field(name, name != token, start)


def _start(token: Token) -> int:
    return int(token.start_pos or 0)


def _literal(token: Token) -> Literal:
    if token.type == "TEXT":
        return token[1:-1].replace("''", "'")
    digits = token.lstrip("+-")
    is_whole = digits.isdecimal() and digits.isascii() and len(digits) <= _MOST_WHOLE_DIGITS
    return int(token) if is_whole else float(token)
