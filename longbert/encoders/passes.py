"""One run of a backbone over a document's windows, for all heads that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from longbert.arrays import IntArray
from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.devices.base import Item, Result
from longbert.encoders.heads.base import Head
from longbert.encoders.reader import EndsReader, Reader, WindowReader
from longbert.encoders.splitting import Ends, Split
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer


@dataclass(frozen=True)
class Pass:
    """One forward pass over a document's windows, for all heads that share its backbone.

    Attributes:
        backbone: the encoder.
        heads: what is made of its hidden states.
        split_tokens: the runs of a document's tokens that are read.
        batch_tokens: positions of a batch, padding included.
    """

    backbone: Backbone
    heads: tuple[Head, ...]
    split_tokens: Split
    batch_tokens: int

    @property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer."""
        return self.backbone.tokenizer

    @property
    def limit(self) -> int:
        """Positions that the backbone takes."""
        return self.backbone.limit

    @property
    def reads_all(self) -> bool:
        """Whether each run is a window and all of them are the document.

        Otherwise the runs are its beginning and its end, which make one window.
        """
        return not isinstance(self.split_tokens, Ends)

    @property
    def needs_all_layers(self) -> bool:
        """Whether a head reads more than the last layer."""
        return any(head.needs_all_layers for head in self.heads)

    def reader(self) -> Reader:
        """Reads one document, whose tokens come in pieces."""
        if isinstance(self.split_tokens, Ends):
            return EndsReader(size=self.split_tokens.size)
        lengths = {head.passage_tokens for head in self.heads if head.passage_tokens}
        return WindowReader(
            self.split_tokens,
            passage_tokens=next(iter(lengths), None),
            knows_words=any(head.needs_word_shapes for head in self.heads),
        )

    def split(self, text: str, tokens: TokenizedText) -> list[TokenWindow]:
        """The windows of a document that has at least one token."""
        reader = self.reader()
        return [*reader.add(text, tokens), *reader.finish(text)]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply a function, which calls :meth:`run`, to as many items at a time as pays.

        Yields:
            Results in the order of the items.
        """
        return self.backbone.device.map(function, items, n_at_once=self.backbone.n_batches_at_once)

    def n_rows(self, n_windows: int, padded: int) -> int:
        """Rows of a batch of so many windows, which are more where shapes are fixed."""
        return self.backbone.n_rows(n_windows, padded, batch_tokens=self.batch_tokens)

    def run(self, windows: Sequence[TokenWindow], padded: int) -> list[list[Any]]:
        """Encode one batch; for each head the partials of its windows.

        Hidden states stay on the device; what heads reduce them to comes back. Windows of the same
        tokens have the same hidden states, which are computed once.
        """
        found = self.backbone.device.with_room(lambda: self._encoded(windows, padded))
        partials: list[list[Any]] = [[] for _ in self.heads]
        for batch, by_head in found:
            for own, head, reduced in zip(partials, self.heads, by_head, strict=True):
                own += head.partials(reduced, batch)
        return partials

    def _encoded(
        self, windows: Sequence[TokenWindow], padded: int
    ) -> list[tuple[WindowBatch, list[Any]]]:
        """What each head reduces hidden states to, in memory, in batches that have all windows."""
        rows: dict[bytes, int] = {}
        row_of = np.array([rows.setdefault(one.ids.tobytes(), len(rows)) for one in windows])
        firsts = [windows[index] for index in np.unique(row_of, return_index=True)[1]]
        batch = self._batch(firsts, padded)
        states = self.backbone.hidden_states(batch, all_layers=self.needs_all_layers)
        if len(firsts) == len(windows):
            return [(batch, self._reduced(states, batch))]
        found = []
        # No more copies of states at a time than a batch has rows.
        n_rows = max(1, self.batch_tokens // padded)
        for start in range(0, len(windows), n_rows):
            some = slice(start, start + n_rows)
            batch = self._batch(windows[some], padded)
            found.append((batch, self._reduced(self._copies(states, row_of[some], batch), batch)))
        return found

    def _copies(
        self, states: Sequence[Tensor], row_of: IntArray, batch: WindowBatch
    ) -> tuple[Tensor, ...]:
        """Hidden states of a batch from those of windows with the same tokens.

        Args:
            states: of the layers, of such windows.
            row_of: the row of each of the batch's windows in these states. Shape: (n_windows,).
            batch: whose rows behind its windows repeat the first.
        """
        n_more = len(batch.input_ids) - len(row_of)
        chosen = self.backbone.device.upload(np.pad(row_of, (0, n_more), constant_values=row_of[0]))
        return tuple(layer.index_select(0, chosen) for layer in states)

    def _batch(self, windows: Sequence[TokenWindow], padded: int) -> WindowBatch:
        return self.backbone.batch(windows, padded, self.n_rows(len(windows), padded))

    def _reduced(self, states: Sequence[Tensor], batch: WindowBatch) -> list[Any]:
        """What each head reduces hidden states to, in memory."""
        device = self.backbone.device
        found: list[Any] = device.download(
            [head.reduce(states, batch, device) for head in self.heads]
        )
        return found
