"""Words in the place of tokens, for documents that no model reads."""

from __future__ import annotations

import numpy as np

from longbert.arrays import IntArray
from longbert.core.plain_words import PlainWordStream, plain_words
from longbert.encoders.tokenizers.base import TokenizedText


class WordSegmenter:
    """Cuts texts into words, which have places but no ids: all of them are 0."""

    digest = "words"

    def tokenize(self, text: str) -> TokenizedText:
        """Cut a text of any length."""
        return _tokens(plain_words(text))

    def stream(self) -> WordTokenStream:
        """Cut a text that comes in pieces."""
        return WordTokenStream()


class WordTokenStream:
    """The words of a text that comes in pieces."""

    def __init__(self) -> None:
        self._words = PlainWordStream()

    def add(self, piece: str) -> TokenizedText:
        """Take the next characters; the words that no later one can change."""
        return _tokens(self._words.add(piece))

    def finish(self) -> TokenizedText:
        """The words that are left."""
        return _tokens(self._words.finish())


def _tokens(spans: IntArray) -> TokenizedText:
    n = len(spans)
    return TokenizedText(
        ids=np.zeros(n, dtype=np.int32),
        offsets=spans,
        starts_word=np.ones(n, dtype=np.bool_),
        is_unknown=np.zeros(n, dtype=np.bool_),
    )
