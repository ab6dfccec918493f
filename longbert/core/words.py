"""Words as runs of tokens."""

from __future__ import annotations

import numpy as np

from longbert.arrays import BoolArray, IntArray


def reached_before(offsets: IntArray) -> IntArray:
    """How far the tokens before each one reach; 0 for the first.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).

    Returns:
        Shape: (n_tokens,).
    """
    ends = np.maximum.accumulate(offsets[:, 1])
    return np.concatenate([np.zeros(1, dtype=np.int64), ends])[: len(offsets)]


def starts_apart(offsets: IntArray, starts_word: BoolArray) -> BoolArray:
    """Which tokens start a word, given that no two words share a character.

    Several tokens may claim one character: SentencePiece's lone ``▁`` and the letter after it, the
    bytes of a letter, what a normaliser makes of one ligature. A token that starts before the ones
    ahead of it have ended continues their word, whatever its own mark says.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: whether a token starts a word, going by the token alone. Shape: (n_tokens,).

    Returns:
        Shape: (n_tokens,).
    """
    return starts_word & (offsets[:, 0] >= reached_before(offsets))


def first_tokens(starts_word: BoolArray) -> IntArray:
    """The first token of each word; the very first token always starts one.

    Args:
        starts_word: whether a token starts a word, at least one. Shape: (n_tokens,).

    Returns:
        Shape: (n_words,).
    """
    starts = starts_word.copy()
    starts[0] = True
    return np.flatnonzero(starts)


def word_spans(offsets: IntArray, firsts: IntArray) -> tuple[IntArray, IntArray]:
    """Where words begin and end: at the ends of those of their tokens that have a character.

    A word of tokens without a character, such as a byte-level token for a space, begins and ends
    where its first token stands.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        firsts: first token of each word, at least one. Shape: (n_words,).

    Returns:
        Begins and ends, each of shape (n_words,).
    """
    begins, ends = hull(offsets[:, 0], offsets[:, 1], firsts)
    is_empty = begins >= ends
    begins[is_empty] = ends[is_empty] = offsets[firsts[is_empty], 0]
    return begins, ends


def hull(starts: IntArray, ends: IntArray, firsts: IntArray) -> tuple[IntArray, IntArray]:
    """The least start and the greatest end in each run of spans, leaving out empty spans.

    Args:
        starts, ends: of the spans. Shape of each: (n,).
        firsts: first span of each run, increasing. Shape: (n_runs,).

    Returns:
        Starts and ends, each of shape (n_runs,); where every span is empty, start > end.
    """
    is_empty = starts >= ends
    far = np.iinfo(np.int64).max
    return (
        np.minimum.reduceat(np.where(is_empty, far, starts), firsts),
        np.maximum.reduceat(np.where(is_empty, -1, ends), firsts),
    )
