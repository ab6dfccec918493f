"""Fingerprints, and what they say when they differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.fingerprint import differences, fingerprint

SCALAR = st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3)
NAME = st.text("abc", min_size=1, max_size=2)
SETTINGS = st.dictionaries(
    NAME,
    st.recursive(
        SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3)
    ),
    max_size=4,
)


@given(SETTINGS)
def test_the_order_of_keys_does_not_matter(settings: dict[str, Any]) -> None:
    assert fingerprint(settings) == fingerprint(dict(reversed(settings.items())))


def test_it_never_changes() -> None:
    settings = {"window": 256, "models": [{"digest": "ab", "heads": []}], "precision": None}
    assert fingerprint(settings) == (
        "04d0582078625db8280d58520b796d0597fee3123ad48e01710c3d7a001cac34"
    )


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 -> 2"]),
        ({"a": 1}, {"b": 1}, ["a: 1 -> absent", "b: absent -> 1"]),
        ({}, {"a": None}, ["a: absent -> null"]),
        ({"a": 0}, {"a": False}, ["a: 0 -> false"]),
        ({"m": {"w": 256, "o": 3}}, {"m": {"w": 512, "o": 3}}, ["m.w: 256 -> 512"]),
        ({"m": [{"w": 1}, {"w": 2}]}, {"m": [{"w": 1}, {"w": 3}]}, ["m[1].w: 2 -> 3"]),
        ({"m": ["a"]}, {"m": ["a", "b"]}, ['m: ["a"] -> ["a", "b"]']),
        ({"m": {"a": 1}}, {"m": 1}, ['m: {"a": 1} -> 1']),
        ({"a": "x" * 99}, {"a": ""}, [f'a: "{"x" * 76}... -> ""']),
    ],
)
def test_differences(before: dict[str, Any], after: dict[str, Any], lines: list[str]) -> None:
    assert list(differences(before, after)) == lines


def flat(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        # Equal in Python, not in JSON: False and 0.
        return {path: (type(value), value)}
    return {path: type(value)} | {
        key: one for name, inner in items for key, one in flat(inner, (*path, name)).items()
    }


@given(SETTINGS, SETTINGS)
def test_other_settings_have_another_fingerprint_and_a_difference(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    is_same = flat(before) == flat(after)
    assert (fingerprint(before) == fingerprint(after)) == is_same
    assert bool(list(differences(before, after))) == (not is_same)
