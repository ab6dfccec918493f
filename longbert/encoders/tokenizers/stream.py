"""Tokens of a text that comes in pieces, with offsets of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from longbert.encoders.tokenizers.base import TokenizedText, TokenStream


class WholeTextStream:
    """Keeps a text until it has ended, for tokenizers that cannot be cut safely.

    Args:
        tokenize: of the tokenizer.
    """

    def __init__(self, tokenize: Callable[[str], TokenizedText]) -> None:
        self._tokenize = tokenize
        self._pieces: list[str] = []

    def add(self, piece: str) -> TokenizedText:
        """Keep the next characters; no tokens yet."""
        self._pieces.append(piece)
        return no_tokens()

    def finish(self) -> TokenizedText:
        """All tokens."""
        text = "".join(self._pieces)
        self._pieces.clear()
        return self._tokenize(text)


def tokens_of(stream: TokenStream, text: str) -> TokenizedText:
    """The tokens of a whole text."""
    return joined([stream.add(text), stream.finish()])


def joined(parts: Sequence[TokenizedText]) -> TokenizedText:
    """Tokens one after the other."""
    return TokenizedText(
        ids=np.concatenate([part.ids for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
        starts_word=np.concatenate([part.starts_word for part in parts]),
        is_unknown=np.concatenate([part.is_unknown for part in parts]),
    )


def tokens_between(tokens: TokenizedText, start: int, stop: int) -> TokenizedText:
    """Some neighbouring tokens; offsets stay those of the text."""
    return TokenizedText(
        ids=tokens.ids[start:stop],
        offsets=tokens.offsets[start:stop],
        starts_word=tokens.starts_word[start:stop],
        is_unknown=tokens.is_unknown[start:stop],
    )


def no_tokens() -> TokenizedText:
    """No tokens at all."""
    return TokenizedText(
        ids=np.empty(0, dtype=np.int32),
        offsets=np.empty((0, 2), dtype=np.int64),
        starts_word=np.empty(0, dtype=np.bool_),
        is_unknown=np.empty(0, dtype=np.bool_),
    )
