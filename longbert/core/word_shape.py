"""What words look like in the caller's text: case, shape, affixes, what stands around them.

An uncased tokenizer takes this away before the model sees it, and a head that looks for names needs
it. All is told by the characters between a window's first token and its last, so that a window
depends on nothing beyond.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.text_stream import Text
from longbert.core.words import first_tokens, word_spans

N_BUCKETS = 4096
"""Rows of the table that strings are hashed into; row 0 stands for no string."""

_PREFIXES = (1, 2, 3)
_SUFFIXES = (1, 2, 3, 4)
N_STRINGS = 2 + len(_PREFIXES) + len(_SUFFIXES)
"""Hashed strings of each word: the word, its shape, prefixes and suffixes."""

_WORD_FLAGS = (
    "begins_upper",
    "all_upper",
    "single_upper",
    "upper_inside",
    "mixed_case",
    "all_lower",
    "has_digit",
    "all_digits",
    "no_letter_or_digit",
    "not_ascii",
    "ends_sentence",
    "is_quote",
)
_PLACE_FLAGS = (
    "begins_line",
    "after_space",
    "before_space",
    "begins_sentence",
    "after_at_or_hash",
    "in_address",
    "in_short_line",
)
FLAGS = (*_WORD_FLAGS, *_PLACE_FLAGS, "share_upper_in_line")
"""Names of the flags of each word, all 0 or 1 but the last, which is a share."""

_MOST_CHARS = 40
_SHORT_LINE_WORDS = 6
_SENTENCE_ENDS = frozenset(".!?")
_QUOTES = frozenset("\"'`“”‘’")
_ADDRESS_MARKS = ("://", "www.", "@")
_LEAVE_SENTENCE_BEGUN = frozenset("\"'`()[]{}*_-–—“”‘’«»|>:;")
_BREAK = re.compile("\n")

IS_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])
"""For the code points up to the last that is white space, and one beyond, which is none."""

_LEAVES, _GOES_ON, _ENDS = -1, 0, 1
"""What a word does to the sentence before the next one."""

_LOOK = np.dtype(
    [
        ("flags", "u1", len(_WORD_FLAGS)),
        ("begins_with_letter", "?"),
        ("sentence", "i1"),
        ("strings", "<u2", N_STRINGS),
    ]
)
"""What a word alone decides on, as one row."""


@dataclass(frozen=True, slots=True)
class WordShapes:
    """What the words of a window look like.

    Attributes:
        first_tokens: first token of each word, counted in the window. Shape: (n_words,).
        flags: see :data:`FLAGS`. Shape: (n_words, len(FLAGS)).
        strings: buckets of hashed strings. Shape: (n_words, N_STRINGS).
    """

    first_tokens: IntArray
    flags: FloatArray
    strings: IntArray

    def __len__(self) -> int:
        return len(self.first_tokens)


def word_shapes(text: Text, offsets: IntArray, starts_word: BoolArray) -> WordShapes:
    """What the words of some neighbouring tokens look like.

    A word is a token that starts one and those that follow without doing so; the first token
    always starts one.

    Args:
        text: the document.
        offsets: character spans of the tokens, in the document. Shape: (n_tokens, 2).
        starts_word: Shape: (n_tokens,).
    """
    if not len(offsets):
        none = np.empty(0, dtype=np.int64)
        return WordShapes(none, np.empty((0, len(FLAGS)), np.float32), none.reshape(0, N_STRINGS))
    firsts = first_tokens(starts_word)
    begins, ends = word_spans(offsets, firsts)
    first_char = int(begins[0])
    shown = text[first_char : int(ends.max())]
    begins, ends = begins - first_char, ends - first_char
    spans = list(zip(begins.tolist(), ends.tolist(), strict=True))
    looks = np.frombuffer(b"".join([_look(shown[a:b]) for a, b in spans]), dtype=_LOOK)
    around = _around(shown, begins, ends)
    begins_line = _begins_line(shown, begins, ends)
    places: tuple[npt.ArrayLike, ...] = (
        begins_line,
        *(IS_SPACE[np.minimum(one, len(IS_SPACE) - 1)] for one in around),
        _begins_sentence(looks["sentence"], begins_line),
        (around[0] == ord("@")) | (around[0] == ord("#")),
        _in_address(shown, spans),
        *_of_lines(looks, begins_line),
    )
    flags = np.empty((len(spans), len(FLAGS)), dtype=np.float32)
    flags[:, : len(_WORD_FLAGS)] = looks["flags"]
    for column, values in enumerate(places, start=len(_WORD_FLAGS)):
        flags[:, column] = values
    return WordShapes(firsts, flags, looks["strings"].astype(np.int64))


def _around(shown: str, begins: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
    """The characters before and behind each word, as code points; a space where there is none."""
    codes = np.frombuffer(f" {shown} ".encode("utf-32-le", "surrogatepass"), dtype="<u4")
    n_chars = len(shown)
    return codes[np.clip(begins, 0, n_chars)], codes[np.clip(ends, 0, n_chars) + 1]


def _begins_line(shown: str, begins: IntArray, ends: IntArray) -> BoolArray:
    """Whether a line ends between a word and those before it; the first word begins one."""
    breaks = [one.start() for one in _BREAK.finditer(shown)]
    reached = np.maximum.accumulate(np.append(0, ends[:-1]))
    found: BoolArray = np.searchsorted(breaks, begins) > np.searchsorted(breaks, reached)
    found[0] = True
    return found


def _begins_sentence(sentence: IntArray, begins_line: BoolArray) -> BoolArray:
    """Whether a word begins a line, or the last one in it that decides on this ended a sentence."""
    places = np.arange(len(sentence))
    deciding = np.maximum.accumulate(np.where(sentence == _LEAVES, -1, places))
    last = np.append(-1, deciding[:-1])
    line = np.maximum.accumulate(np.where(begins_line, places, 0))
    begun: BoolArray = (last < line) | (sentence[last] == _ENDS)
    return begun


def _of_lines(looks: npt.NDArray[np.void], begins_line: BoolArray) -> tuple[BoolArray, FloatArray]:
    """What the words of a line have in common: whether it is short, and how many are upper.

    Lines without a word that begins with a letter are neither.
    """
    firsts = np.flatnonzero(begins_line)
    n_words = np.diff(firsts, append=len(looks))
    letters = looks["begins_with_letter"]
    n_letters = np.add.reduceat(letters, firsts, dtype=np.int64)
    n_upper = np.add.reduceat(letters & (looks["flags"][:, 0] > 0), firsts, dtype=np.int64)
    is_short = (n_letters > 0) & (n_words <= _SHORT_LINE_WORDS)
    share = n_upper.astype(np.float32) / np.maximum(n_letters, 1).astype(np.float32)
    return np.repeat(is_short, n_words), np.repeat(share, n_words)


def _in_address(shown: str, spans: Sequence[tuple[int, int]]) -> Sequence[bool]:
    """Whether the characters around a word, up to white space, are those of the web or of mail."""
    if not any(mark in shown for mark in _ADDRESS_MARKS):
        return [False] * len(spans)
    return [_is_in_address(shown, begin, end) for begin, end in spans]


def _is_in_address(shown: str, begin: int, end: int) -> bool:
    left = shown[max(0, begin - _MOST_CHARS) : begin]
    right = shown[end : end + _MOST_CHARS]
    before = left.split()[-1] if left and not left[-1].isspace() else ""
    after = right.split()[0] if right and not right[0].isspace() else ""
    around = before + shown[begin:end] + after
    return any(mark in around for mark in _ADDRESS_MARKS)


@lru_cache(maxsize=100_000)
def _look(word: str) -> bytes:
    """A row of :data:`_LOOK`, as bytes, which are put together faster than rows."""
    letters = [char for char in word if char.isalpha()]
    n_upper = sum(char.isupper() for char in letters)
    has_digit = any(char.isdigit() for char in word)
    begins_upper = word[:1].isupper()
    flags = (
        begins_upper,
        len(letters) > 1 and n_upper == len(letters),
        len(letters) == 1 == n_upper,
        n_upper > 0 and not begins_upper,
        begins_upper and 1 < n_upper < len(letters),
        bool(letters) and n_upper == 0,
        has_digit,
        word.isdigit(),
        not letters and not has_digit,
        not word.isascii(),
        word in _SENTENCE_ENDS,
        word in _QUOTES,
    )
    first = word[:1]
    sentence = _GOES_ON
    if first in _SENTENCE_ENDS:
        sentence = _ENDS
    elif first in _LEAVE_SENTENCE_BEGUN:
        sentence = _LEAVES
    head = word[:_MOST_CHARS]
    buckets = [_bucket("word", head), _bucket("shape", _shape(head))]
    buckets += [_bucket(f"-{n}", head[:n]) if len(head) > n else 0 for n in _PREFIXES]
    buckets += [_bucket(f"+{n}", head[-n:]) if len(head) > n else 0 for n in _SUFFIXES]
    return np.array((flags, first.isalpha(), sentence, buckets), dtype=_LOOK).tobytes()


def _shape(word: str) -> str:
    """Kinds of characters, each run as one: ``McDonald`` is ``XxXx``, ``B-52`` is ``X-d``."""
    kinds: list[str] = []
    for char in word:
        kind = "X" if char.isupper() else "x" if char.isalpha() else "d" if char.isdigit() else char
        if kinds[-1:] != [kind]:
            kinds.append(kind)
    return "".join(kinds[:8])


def _bucket(kind: str, string: str) -> int:
    """A row of the table, by CRC-32, which is the same on every machine."""
    return 1 + zlib.crc32(f"{kind}\0{string}".encode()) % (N_BUCKETS - 1)
