"""The language of filters: what it means, and where a mistake is."""

import pytest

from longbert.errors import ConfigError
from longbert.index.filters.expression import And, Any, Comparison, Field, Not, Or
from longbert.index.filters.grammar import parse_filter


def compared(name: str, operator: str, *values: str | float) -> Comparison:
    return Comparison(Field(name, False, -1), operator, values, -1)


def without_places(expression: object) -> object:
    match expression:
        case Comparison(Field(name, of_metadata), operator, values):
            return Comparison(Field(name, of_metadata, -1), operator, values, -1)
        case And(parts):
            return And(tuple(map(without_places, parts)))  # type: ignore[arg-type]
        case Or(parts):
            return Or(tuple(map(without_places, parts)))  # type: ignore[arg-type]
        case Not(part):
            return Not(without_places(part))  # type: ignore[arg-type]
        case Any(part):
            return Any(without_places(part))  # type: ignore[arg-type]
    raise AssertionError(expression)


A, B, C = (compared(name, "=", 1) for name in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1", A),
        ("a=1 and b=1 or c=1", Or((And((A, B)), C))),
        ("a=1 or b=1 and c=1", Or((A, And((B, C))))),
        ("(a=1 or b=1) and c=1", And((Or((A, B)), C))),
        ("(a=1 and b=1) and c=1", And((A, B, C))),
        ("not a=1 and b=1", And((Not(A), B))),
        ("NOT (a=1 OR b=1)", Not(Or((A, B)))),
        ("not not a=1", Not(Not(A))),
        ("any(a=1 and b=1) and any (c=1)", And((Any(And((A, B))), Any(C)))),
        ("label = 'it''s'", compared("label", "=", "it's")),
        ("n IN (1, -2.5, 1e3)", compared("n", "in", 1, -2.5, 1000.0)),
        ("name Like 'ORG:%'", compared("name", "like", "ORG:%")),
        ("x != ''", compared("x", "!=", "")),
        (
            "a<1 and a<=1 and a>1 and a>=1",
            And(tuple(compared("a", o, 1) for o in ("<", "<=", ">", ">="))),
        ),
        ("publication-date = '1'", compared("publication-date", "=", "1")),
        ("größe = 1", compared("größe", "=", 1)),
        (
            "order_and = 1 and android = 1",
            And((compared("order_and", "=", 1), compared("android", "=", 1))),
        ),
        ("any = 1", compared("any", "=", 1)),
        ("n = 12345678901234567890", compared("n", "=", 12345678901234567890.0)),
        ("\n\ta\u00a0=\n1 ", A),
    ],
)
def test_filters_are_read_as_they_are_written(text: str, expected: object) -> None:
    assert without_places(parse_filter(text)) == expected


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("metadata.label = 'x'", Field("label", True, 0)),
        ("metadata.a.b = 'x'", Field("a.b", True, 0)),
        ('"in print" = 1', Field("in print", True, 0)),
        (' metadata."say ""x""" = 1', Field('say "x"', True, 1)),
        ("a.b = 1", Field("a.b", False, 0)),
    ],
)
def test_names_of_metadata(text: str, field: Field) -> None:
    expression = parse_filter(text)
    assert isinstance(expression, Comparison)
    assert expression.field == field


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("label = 'neg' and", "it ends where one of these is expected: a field", 17),
        ("(label = 'neg'", r"it ends where \) is expected", 14),
        (
            "label = neg",
            "stands where one of these is expected: a text in single quotes.* texts are written in",
            8,
        ),
        ('label = "neg"', "texts are written in single quotes", 8),
        ("label == 'neg'", "'=' stands where", 7),
        ("label = 'neg", "a text must end with a single quote", 8),
        ("label 'neg'", "where one of these is expected: = != < <= > >=, in, like", 6),
        ("label not in ('neg')", "'not' stands where", 6),
        ("label in ()", "where one of these is expected: a text in single quotes, a number", 10),
        ("n > 5 5", "where one of these is expected: and, or, the end", 6),
        ("n > 5x", "stands where", 4),
        ("= 5", "where one of these is expected: a field", 0),
        ("a = 1;", "';' stands where", 5),
    ],
)
def test_mistakes_are_pointed_at(text: str, problem: str, place: int) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_filter(text)
    message, line, caret = str(caught.value).split("\n")
    assert message.startswith("filter: ")
    assert message.endswith("Example: label = 'neg' and score > 0.8")
    assert line == f"  {text}"
    assert caret == f"  {' ' * place}^"


def test_only_the_line_of_a_mistake_is_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filter("a = 1 and\n  b == 2 and\n c = 3")
    assert str(caught.value).split("\n")[1:] == ["    b == 2 and", "       ^"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "filter is empty"),
        (" \n", "filter is empty"),
        ("a = 1 " + "or a = 1 " * 2000, "at most 10,000 characters, got 18,006"),
        ("not " * 2000 + "a = 1", "nested too deeply"),
        ("a = '\udc80'", "lone surrogate at character 6"),
    ],
)
def test_what_is_no_filter_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_filter(text)
