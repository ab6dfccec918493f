"""One run of a backbone over a document's windows, for all heads that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from longbert.core.passages import owned_pieces, passage_starts
from longbert.core.word_shape import word_shapes
from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import TokenWindow, joined_window, token_windows
from longbert.encoders.heads.base import Head
from longbert.encoders.readings import SplitTokens
from longbert.encoders.runtime.parallel import Item, Result, map_in_threads
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer


@dataclass(frozen=True)
class Pass:
    """One forward pass over a document's windows, for all heads that share its backbone.

    Attributes:
        backbone: the encoder.
        heads: what is made of its hidden states.
        split_tokens: the runs of a document's tokens that are read.
        batch_tokens: positions of a batch, padding included.
        reads_all: whether each run is a window and all of them are the document; otherwise the
            runs are its beginning and its end, which make one window.
    """

    backbone: Backbone
    heads: tuple[Head, ...]
    split_tokens: SplitTokens
    batch_tokens: int
    reads_all: bool = True

    @property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer."""
        return self.backbone.tokenizer

    @property
    def limit(self) -> int:
        """Positions that the backbone takes."""
        return self.backbone.limit

    def split(self, text: str, tokens: TokenizedText) -> list[TokenWindow]:
        """The windows of a document that has at least one token."""
        runs = self.split_tokens(tokens)
        if not self.reads_all:
            return [joined_window(tokens, runs)]
        windows = list(token_windows(tokens, runs))
        if any(head.needs_word_shapes for head in self.heads):
            windows = [_with_words(text, tokens, window) for window in windows]
        for size in {head.passage_tokens for head in self.heads if head.passage_tokens}:
            starts = passage_starts(tokens.offsets, size=size)
            windows = [
                replace(window, pieces=tuple(owned_pieces(window.window, starts)))
                for window in windows
            ]
        return windows

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply a function, which calls :meth:`run`, to as many items at a time as pays.

        Yields:
            Results in the order of the items.
        """
        return map_in_threads(function, items, n_threads=self.backbone.n_batches_at_once)

    def run(self, windows: Sequence[TokenWindow], padded: int) -> list[list[Any]]:
        """Encode one batch; for each head the partials of its windows."""
        batch = self.backbone.batch(windows, padded)
        all_layers = any(head.needs_all_layers for head in self.heads)
        states = self.backbone.hidden_states(batch, all_layers=all_layers)
        return [list(head.partials(states, batch)) for head in self.heads]


def _with_words(text: str, tokens: TokenizedText, window: TokenWindow) -> TokenWindow:
    own = slice(window.window.start, window.window.stop)
    return replace(window, words=word_shapes(text, tokens.offsets[own], tokens.starts_word[own]))
