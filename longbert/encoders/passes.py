"""One run of a backbone over a document's windows, for all heads that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import TokenWindow
from longbert.encoders.heads.base import Head
from longbert.encoders.reader import EndsReader, Reader, WindowReader
from longbert.encoders.runtime.parallel import Item, Result, map_in_threads
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
        return map_in_threads(function, items, n_threads=self.backbone.n_batches_at_once)

    def run(self, windows: Sequence[TokenWindow], padded: int) -> list[list[Any]]:
        """Encode one batch; for each head the partials of its windows.

        Windows of the same tokens have the same hidden states, which are computed once.
        """
        rows: dict[bytes, int] = {}
        row_of = [rows.setdefault(window.ids.tobytes(), len(rows)) for window in windows]
        firsts = [windows[row_of.index(row)] for row in range(len(rows))]
        batch = self.backbone.batch(firsts, padded)
        all_layers = any(head.needs_all_layers for head in self.heads)
        states = self.backbone.hidden_states(batch, all_layers=all_layers)
        if len(rows) == len(windows):
            return [list(head.partials(states, batch)) for head in self.heads]
        partials: list[list[Any]] = [[] for _ in self.heads]
        # No more copies of states at a time than a batch has rows.
        n_rows = max(1, self.batch_tokens // padded)
        for start in range(0, len(windows), n_rows):
            some = slice(start, start + n_rows)
            own = tuple(layer[row_of[some]] for layer in states)
            of_these = self.backbone.batch(windows[some], padded)
            for found, head in zip(partials, self.heads, strict=True):
                found += head.partials(own, of_these)
        return partials
