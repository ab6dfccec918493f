"""Paths that tables can hold, no two of them alike."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.readers.paths import printable_path


def undone(path: str) -> bytes:
    """The bytes of a name again."""
    return re.sub(
        rb"%(25|[89A-F][0-9A-F])", lambda found: bytes.fromhex(found[1].decode()), path.encode()
    )


@given(
    st.one_of(
        st.binary(),
        st.lists(st.sampled_from([b"%", b"2", b"5", b"F", b"f", b"\xff", b"\xc3\xa9", b"/"])).map(
            b"".join
        ),
    )
)
def test_the_bytes_of_a_name_can_be_told_from_it(name: bytes) -> None:
    path = printable_path(os.fsdecode(name))
    assert undone(path) == name
    path.encode()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"x\xff.txt", "x%FF.txt"),
        (b"x%FF.txt", "x%25FF.txt"),
        (b"50%.txt", "50%.txt"),
        (b"a%20b", "a%20b"),
        (b"%25", "%2525"),
        ("é".encode(), "é"),
    ],
)
def test_only_what_is_no_utf8_or_looks_like_an_escape_changes(name: bytes, shown: str) -> None:
    assert printable_path(os.fsdecode(name)) == shown


def test_other_lone_surrogates_are_escaped_too() -> None:
    assert printable_path("a\ud800") == "a%ED%A0%80"
