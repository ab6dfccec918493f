"""The encoder without the rest of a run: all batches of some documents, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from longbert.core.batching import pack_batches
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.loaded_models import Models
from longbert.encoders.passes import Pass


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the encoder reads.

    Attributes:
        unique_tokens: content tokens of the documents, in each pass once.
        processed_tokens: positions of all windows, overlaps and special tokens included.
        padded_positions: the same with padding, rows that fill up a fixed shape included.
        windows: of all passes.
    """

    unique_tokens: int
    processed_tokens: int
    padded_positions: int
    windows: int

    @property
    def padding_share(self) -> float:
        """Positions that hold no token."""
        return 1 - self.processed_tokens / self.padded_positions


class EncoderLoops:
    """All batches of all passes over some documents, prepared.

    Args:
        models: as loaded.
        texts: of the documents.
    """

    def __init__(self, models: Models, texts: Sequence[str]) -> None:
        self._passes = [_Batches.of(pass_, texts) for pass_ in models.passes]

    @property
    def counts(self) -> Counts:
        """How much there is."""
        windows = [one for batches in self._passes for rows, _ in batches.rows for one in rows]
        return Counts(
            unique_tokens=sum(one.window.n_owned for one in windows),
            processed_tokens=sum(
                len(one.ids) + batches.pass_.backbone.n_special
                for batches in self._passes
                for rows, _ in batches.rows
                for one in rows
            ),
            padded_positions=sum(
                one.input_ids.size for batches in self._passes for one in batches.padded
            ),
            windows=len(windows),
        )

    def operations(self) -> int:
        """Multiplications and additions of all products, those of attention included."""
        return sum(batches.operations() for batches in self._passes)

    def linear_operations(self) -> int:
        """Those of the linear layers alone."""
        return sum(batches.linear_operations() for batches in self._passes)

    def run_with_heads(self) -> None:
        """The forward pass and what heads make of its hidden states."""
        for batches in self._passes:
            _consume(batches.pass_.map(batches.partials, batches.rows))

    def run_forward(self) -> None:
        """The forward pass alone."""
        for batches in self._passes:
            _consume(batches.pass_.map(batches.hidden_states, batches.padded))

    def run_products(self) -> None:
        """The bare products of the linear layers, of which the forward pass consists."""
        for batches in self._passes:
            _consume(batches.pass_.map(batches.products, batches.sizes))


class _Batches:
    """The batches of one pass."""

    def __init__(self, pass_: Pass, rows: Sequence[tuple[Sequence[TokenWindow], int]]) -> None:
        self.pass_ = pass_
        self.rows = rows
        self.padded = [
            pass_.backbone.batch(windows, padded, pass_.n_rows(len(windows), padded))
            for windows, padded in rows
        ]
        self.sizes = [one.input_ids.size for one in self.padded]
        self.products = pass_.backbone.bare_products()
        for n_positions in set(self.sizes):
            self.products.prepare(n_positions)

    @classmethod
    def of(cls, pass_: Pass, texts: Sequence[str]) -> _Batches:
        windows: list[TokenWindow] = []
        for text in texts:
            tokens = pass_.tokenizer.tokenize(text)
            if len(tokens):
                windows += pass_.split(text, tokens)
        lengths = [len(one.ids) + pass_.backbone.n_special for one in windows]
        packed = pack_batches(lengths, batch_tokens=pass_.batch_tokens, limit=pass_.limit)
        return cls(
            pass_, [([windows[i] for i in batch.indices], batch.padded_length) for batch in packed]
        )

    def hidden_states(self, batch: WindowBatch) -> None:
        backbone = self.pass_.backbone
        states = backbone.hidden_states(batch, all_layers=self.pass_.needs_all_layers)
        # A GPU has only been asked for them so far; whoever gets one number has waited for all.
        backbone.device.download(states[-1][0, 0].float())

    def partials(self, batch: tuple[Sequence[TokenWindow], int]) -> None:
        self.pass_.run(*batch)

    def linear_operations(self) -> int:
        return self.products.operations_a_position * sum(self.sizes)

    def operations(self) -> int:
        pairs = sum(one.input_ids.size * one.input_ids.shape[1] for one in self.padded)
        backbone = self.pass_.backbone
        # Queries with keys, and weights with values.
        return self.linear_operations() + int(4 * backbone.n_layers * backbone.width * pairs)


def _consume(results: Iterator[object]) -> None:
    for _ in results:
        pass
