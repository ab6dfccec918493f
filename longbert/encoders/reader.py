"""The windows of a document whose tokens come in pieces, ready to encode."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from longbert.core.coverage import CoveredChars
from longbert.core.passages import PassageStream, owned_pieces
from longbert.core.text_stream import Text
from longbert.core.windows import Window, split_ends, split_windows
from longbert.core.word_shape import word_shapes
from longbert.encoders.batch import TokenWindow, joined_window
from longbert.encoders.splitting import Split
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.stream import joined, no_tokens, tokens_between


class Reader(Protocol):
    """Reads one document.

    Attributes:
        first_char: the first character that it may still ask for, of the tokens so far.
    """

    @property
    def first_char(self) -> int:
        """The first character that it may still ask for, of the tokens so far."""

    def add(self, text: Text, tokens: TokenizedText) -> list[TokenWindow]:
        """Take the next tokens; the next windows that are certain.

        Args:
            text: up to the last of these tokens, at least.
            tokens: with offsets in the whole text.
        """

    def finish(self, text: Text) -> list[TokenWindow]:
        """The windows that are left, once there are all tokens, at least one."""

    def n_covered(self, text: Text) -> int:
        """Characters that the windows span, once there are all; see the guarantees."""


class WindowReader:
    """Reads all of a document.

    Args:
        split: into windows.
        passage_tokens: of the passages whose parts the windows know; None for none.
        knows_words: whether windows know the shapes of their words.
    """

    def __init__(
        self, split: Split, *, passage_tokens: int | None = None, knows_words: bool = False
    ) -> None:
        self._plan = split.plan()
        self._passages = None if passage_tokens is None else PassageStream(size=passage_tokens)
        self._knows_words = knows_words
        self._coverage = CoveredChars()
        self._waiting: list[Window] = []
        # Tokens from the first that a window still to come may hold, and passages likewise.
        self._tokens = no_tokens()
        self._first_token = 0
        self._starts: list[int] = []
        self._first_passage = 0

    @property
    def first_char(self) -> int:
        """The first character that it may still ask for, of the tokens so far."""
        begins = self._tokens.offsets[:, 0]
        return (
            min(self._coverage.passed, int(begins.min())) if len(begins) else self._coverage.passed
        )

    def add(self, text: Text, tokens: TokenizedText) -> list[TokenWindow]:
        """Take the next tokens; the next windows that are certain."""
        self._tokens = joined([self._tokens, tokens])
        self._waiting += self._plan.add(tokens.offsets)
        if self._passages is None:
            return self._take(text, len(self._waiting))
        self._starts += self._passages.add(tokens.offsets)
        settled = self._passages.settled
        return self._take(text, sum(one.owned_stop <= settled for one in self._waiting))

    def finish(self, text: Text) -> list[TokenWindow]:
        """The windows that are left."""
        self._waiting += self._plan.finish()
        if self._passages is not None:
            self._starts += self._passages.finish()
        windows = self._take(text, len(self._waiting))
        windows[-1] = replace(windows[-1], is_last=True)
        return windows

    def n_covered(self, text: Text) -> int:
        """Characters that the windows span."""
        return self._coverage.finish(text)

    def _take(self, text: Text, n: int) -> list[TokenWindow]:
        """The next windows, after which earlier tokens are not needed any more."""
        ready, self._waiting = self._waiting[:n], self._waiting[n:]
        windows = [self._window(text, one) for one in ready]
        if ready:
            # Windows begin one behind the other, and what they own does, too.
            n_done = ready[-1].start - self._first_token
            self._tokens = tokens_between(self._tokens, n_done, len(self._tokens))
            self._first_token += n_done
            n_passed = sum(start <= ready[-1].owned_stop for start in self._starts) - 1
            if n_passed > 0:
                self._starts = self._starts[n_passed:]
                self._first_passage += n_passed
        return windows

    def _window(self, text: Text, window: Window) -> TokenWindow:
        first = self._first_token
        tokens = tokens_between(self._tokens, window.start - first, window.stop - first)
        offsets = tokens.offsets
        self._coverage.add(text, int(offsets[:, 0].min()), int(offsets[:, 1].max()))
        pieces = None
        if self._passages is not None:
            starts = np.array(self._starts, dtype=np.int64)
            pieces = tuple(owned_pieces(window, starts, first_passage=self._first_passage))
        return TokenWindow(
            ids=tokens.ids,
            window=window,
            is_first=window.start == 0,
            is_last=False,
            words=word_shapes(text, offsets, tokens.starts_word) if self._knows_words else None,
            pieces=pieces,
        )


class EndsReader:
    """Reads the first and the last tokens of a document, joined to one window.

    Args:
        size: content tokens of the window.
    """

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._coverage = CoveredChars()
        self._n_tokens = 0
        self._head = no_tokens()
        self._tail = no_tokens()

    @property
    def first_char(self) -> int:
        """The first character that it may still ask for, of the tokens so far."""
        return self._coverage.passed

    def add(self, text: Text, tokens: TokenizedText) -> list[TokenWindow]:
        """Keep the first and the last tokens."""
        was_short = self._n_tokens <= self._size
        self._n_tokens += len(tokens)
        if was_short:
            head = joined([self._head, tokens])
            self._head = tokens_between(head, 0, min(len(head), self._size))
        tail = joined([self._tail, tokens])
        self._tail = tokens_between(tail, max(0, len(tail) - self._size), len(tail))
        if self._n_tokens > self._size:
            first = split_ends(self._n_tokens, size=self._size)[0]
            if was_short and first.start == 0:
                self._cover(text, first)
            self._coverage.skip(text, int(self._tail.offsets[:, 0].min()))
        return []

    def finish(self, text: Text) -> list[TokenWindow]:
        """The one window."""
        runs = split_ends(self._n_tokens, size=self._size)
        if self._n_tokens <= self._size or runs[0].start > 0:
            self._cover(text, runs[0])
        for run in runs[1:]:
            self._cover(text, run)
        tokens = joined([self._held(run) for run in runs])
        return [joined_window(tokens, split_windows(len(tokens), size=self._size, overlap=0))]

    def n_covered(self, text: Text) -> int:
        """Characters that the windows span."""
        return self._coverage.finish(text)

    def _held(self, run: Window) -> TokenizedText:
        if run.stop <= len(self._head):
            return tokens_between(self._head, run.start, run.stop)
        first = self._n_tokens - len(self._tail)
        return tokens_between(self._tail, run.start - first, run.stop - first)

    def _cover(self, text: Text, run: Window) -> None:
        offsets = self._held(run).offsets
        self._coverage.add(text, int(offsets[:, 0].min()), int(offsets[:, 1].max()))
