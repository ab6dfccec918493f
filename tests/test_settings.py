"""Settings are checked by their declared types, and messages say what would be valid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from longbert.errors import ConfigError
from longbert.settings import check_known, check_setting, check_settings, describe

Colour = Literal["red", "green"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field of each kind that a configuration has."""

    name: str = ""
    files: tuple[str, ...] = ()
    count: Annotated[int, Meta(ge=1)] = 1
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    limit: Annotated[int, Meta(lt=10)] | None = None
    colour: Colour | None = None
    layers: tuple[int, ...] = ()
    flag: bool = False
    rate: Annotated[float, Meta(gt=0)] = 0.1

    def __post_init__(self) -> None:
        check_settings(self, names={"files": "file"}, examples={"rate": 0.01})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", 3, "name must be a string, got 3"),
        ("name", None, "name must be a string, got None"),
        ("name", ["a"], "name must be a string, got ('a',)"),
        ("files", 3, "file must be a string or a list of strings, got 3"),
        ("files", [3], "file must be a string or a list of strings, got (3,)"),
        ("files", {"a"}, "file must be a string or a list of strings, got {'a'}"),
        ("files", {"a": 1}, "file must be a string or a list of strings, got {'a': 1}"),
        ("count", 0, "count must be a whole number of at least 1, got 0"),
        ("count", "many", "count must be a whole number of at least 1, got 'many'"),
        ("count", True, "count must be a whole number of at least 1, got True"),
        ("count", 2.0, "count must be a whole number of at least 1, got 2.0"),
        ("share", 1.0, "share must be a number in (0, 1), got 1.0"),
        ("limit", 10, "limit must be a whole number below 10, got 10"),
        ("colour", "read", "colour must be one of red, green, got 'read'; did you mean 'red'?"),
        ("colour", 3, "colour must be one of red, green, got 3"),
        ("layers", "1,2", "layers must be a list of whole numbers, got '1,2'"),
        ("flag", "yes", "flag must be true or false, got 'yes'"),
        ("flag", 1, "flag must be true or false, got 1"),
        ("rate", 0, "rate must be a number above 0, got 0: try 0.01"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_valid(
    field: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Settings(**{field: value})


@given(st.lists(st.text()), st.booleans())
def test_a_list_becomes_a_tuple(names: list[str], as_list: bool) -> None:
    given_: Sequence[str] = names if as_list else tuple(names)
    settings = Settings(files=given_)  # type: ignore[arg-type]
    assert settings.files == tuple(names)
    hash(settings)


@given(st.text())
def test_one_name_is_a_list_of_one(name: str) -> None:
    assert Settings(files=name).files == (name,)  # type: ignore[arg-type]


def test_paths_become_strings() -> None:
    settings = Settings(name=Path("a/b"), files=[Path("c"), "d"])  # type: ignore[arg-type]
    assert (settings.name, settings.files) == ("a/b", ("c", "d"))


def test_none_stands_for_a_default_only_where_it_may() -> None:
    assert Settings(limit=None, colour=None) == Settings()
    with pytest.raises(ConfigError, match="count must be a whole number of at least 1, got None"):
        Settings(count=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"ge": 1}, "a whole number of at least 1"),
        ({"gt": 1}, "a whole number above 1"),
        ({"le": 9}, "a whole number of at most 9"),
        ({"ge": 1, "le": 9}, "a whole number in [1, 9]"),
        ({"gt": 1, "lt": 9}, "a whole number in (1, 9)"),
        ({}, "a whole number"),
    ],
)
def test_ranges_are_described(limits: dict[str, int], wanted: str) -> None:
    assert describe(Annotated[int, Meta(**limits)]) == wanted


@given(st.integers(-20, 20), st.integers(-5, 5), st.integers(0, 5))
def test_a_value_is_taken_exactly_within_its_range(value: int, low: int, width: int) -> None:
    kind = Annotated[int, Meta(ge=low, lt=low + width)]
    if low <= value < low + width:
        assert check_setting("x", value, kind) == value
    else:
        with pytest.raises(ConfigError, match=rf"x must be .* in \[{low}, {low + width}\)"):
            check_setting("x", value, kind)


def test_a_type_that_no_setting_has_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no setting has been of this type"):
        describe(dict[str, int])


def test_long_values_are_shortened() -> None:
    with pytest.raises(ConfigError) as raised:
        Settings(count="7" * 10_000)  # type: ignore[arg-type]
    assert len(str(raised.value)) < 150


def test_an_unknown_setting_is_named_with_the_nearest() -> None:
    check_known(["a", "b"], {"a", "b"})
    with pytest.raises(ConfigError) as raised:
        check_known(["pasage"], {"window", "passage"})
    assert str(raised.value) == (
        "unknown setting 'pasage'; did you mean 'passage'? The settings are: passage, window"
    )
