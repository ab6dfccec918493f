"""One run of a backbone over a document's windows, for all heads that share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from longbert.core.windows import Window
from longbert.encoders.backbone import Backbone, TokenWindow, joined_window, token_windows
from longbert.encoders.heads.base import Head
from longbert.encoders.tokenizer import TokenizedText, Tokenizer


@dataclass(frozen=True)
class Pass:
    """One forward pass over a document's windows, for all heads that share its backbone.

    Attributes:
        backbone: the encoder.
        heads: what is made of its hidden states.
        plan: the runs of a document of so many content tokens that are read.
        batch_tokens: positions of a batch, padding included.
        reads_all: whether each run is a window and all of them are the document; otherwise the
            runs are its beginning and its end, which make one window.
    """

    backbone: Backbone
    heads: tuple[Head, ...]
    plan: Callable[[int], tuple[Window, ...]]
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

    def split(self, tokens: TokenizedText) -> list[TokenWindow]:
        """The windows of a document that has at least one token."""
        runs = self.plan(len(tokens))
        if self.reads_all:
            return list(token_windows(tokens, runs))
        return [joined_window(tokens, runs)]

    def run(self, windows: Sequence[TokenWindow], padded: int) -> list[list[Any]]:
        """Encode one batch; for each head the partials of its windows."""
        batch = self.backbone.batch(windows, padded)
        hidden = self.backbone.hidden_states(batch)
        return [list(head.partials(hidden, batch)) for head in self.heads]
