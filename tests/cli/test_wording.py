"""Numbers, names and texts as people read them."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.cli.wording import counted, escaped, one_line

# Marks that turn the direction of writing are format characters, as joiners of emoji are.
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 boxes"), (1, "1 box"), (1400.0, "1,400 boxes")]
)
def test_counted(number: float, shown: str) -> None:
    assert counted(number, "box", "boxes") == shown
    assert counted(2, "document") == "2 documents"


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    for shown in (set(escaped(everything)), set(one_line(everything))):
        assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cs", "Zl", "Zp"}
        assert not shown & TURNING


@given(st.text(st.characters(exclude_characters="\\")))
def test_escaping_loses_nothing(text: str) -> None:
    back = "".join(
        part if number % 2 == 0 else part.encode().decode("unicode_escape")
        for number, part in enumerate(_parts(escaped(text)))
    )
    assert back == text


def _parts(shown: str) -> list[str]:
    return re.split(r"(\\x..|\\u....|\\[ntr])", shown)


@pytest.mark.parametrize(
    "text", ["Straße", "e\u0301", "\U0001f469\u200d\U0001f52c", "日本", "a  b", "שלום"]
)
def test_ordinary_text_stays(text: str) -> None:
    assert escaped(text) == text


def test_a_text_on_one_line() -> None:
    assert one_line(" a\r\n\t b\u2028c\x1b[0m ") == r"a b c\x1b[0m"
