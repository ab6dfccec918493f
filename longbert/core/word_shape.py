"""What words look like in the caller's text: case, shape, affixes, what stands around them.

An uncased tokenizer takes this away before the model sees it, and a head that looks for names needs
it. All is told by the characters between a window's first token and its last, so that a window
depends on nothing beyond.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

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
    begins, ends = (one.tolist() for one in word_spans(offsets, firsts))
    shown = text[begins[0] : max(ends)]
    words = [_Word(shown, b - begins[0], e - begins[0]) for b, e in zip(begins, ends, strict=True)]
    looks = [_look(word.text) for word in words]
    flags = np.zeros((len(words), len(FLAGS)), dtype=np.float32)
    flags[:, : len(_WORD_FLAGS)] = [look[0] for look in looks]
    places = flags[:, len(_WORD_FLAGS) :]
    has_address = any(mark in shown for mark in _ADDRESS_MARKS)
    found = []
    begun = True
    reached = line = 0
    for index, word in enumerate(words):
        gap = shown[reached : word.start]
        begins_line = index == 0 or "\n" in gap
        if begins_line:
            _describe_line(flags, words, line, index)
            line, begun = index, True
        before = shown[word.start - 1 : word.start]
        after = shown[word.stop : word.stop + 1]
        found.append(
            (
                begins_line,
                not before or before.isspace(),
                not after or after.isspace(),
                begun,
                before in ("@", "#"),
                has_address and word.is_in_address(),
            )
        )
        first = word.text[:1]
        if first in _SENTENCE_ENDS:
            begun = True
        elif first not in _LEAVE_SENTENCE_BEGUN:
            begun = False
        reached = max(reached, word.stop)
    _describe_line(flags, words, line, len(words))
    # Set at once, since numpy takes longer over a row than all of the above.
    places[:, :-2] = found
    return WordShapes(firsts, flags, np.array([look[1] for look in looks], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Word:
    """A word within the characters that a window shows."""

    shown: str
    start: int
    stop: int

    @property
    def text(self) -> str:
        return self.shown[self.start : self.stop]

    def is_in_address(self) -> bool:
        """Whether the characters around it, up to white space, are those of the web or of mail."""
        left = self.shown[max(0, self.start - _MOST_CHARS) : self.start]
        right = self.shown[self.stop : self.stop + _MOST_CHARS]
        before = left.split()[-1] if left and not left[-1].isspace() else ""
        after = right.split()[0] if right and not right[0].isspace() else ""
        around = before + self.text + after
        return any(mark in around for mark in _ADDRESS_MARKS)


def _describe_line(flags: FloatArray, words: list[_Word], start: int, stop: int) -> None:
    """Set what the words of a line have in common: whether it is short, and how many are upper."""
    letters = [index for index in range(start, stop) if words[index].text[:1].isalpha()]
    if not letters:
        return
    flags[start:stop, -2] = stop - start <= _SHORT_LINE_WORDS
    flags[start:stop, -1] = flags[letters, 0].mean()


@lru_cache(maxsize=100_000)
def _look(word: str) -> tuple[tuple[bool, ...], tuple[int, ...]]:
    """The flags and buckets that the word alone decides on."""
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
    head = word[:_MOST_CHARS]
    buckets = [_bucket("word", head), _bucket("shape", _shape(head))]
    buckets += [_bucket(f"-{n}", head[:n]) if len(head) > n else 0 for n in _PREFIXES]
    buckets += [_bucket(f"+{n}", head[-n:]) if len(head) > n else 0 for n in _SUFFIXES]
    return flags, tuple(buckets)


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
