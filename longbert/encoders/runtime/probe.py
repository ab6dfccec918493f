"""What has to be tried out of a forward pass, since no file declares it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from longbert.core.windows import Window
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.tokenizers.base import Tokenizer

_MOST_ROWS = 6
_N_TOKENS = 11
_VISIBLE_CHANGE = 0.05
"""Share of the largest hidden state; reduced precision changes less."""


class Probed(Protocol):
    """What is tried: a :class:`longbert.encoders.backbone.Backbone`."""

    tokenizer: Tokenizer
    limit: int

    @property
    def n_special(self) -> int:
        """Positions of a window that its content cannot have."""

    def n_rows(self, n_windows: int, padded_length: int, *, batch_tokens: int) -> int:
        """Rows of a batch of so many windows."""

    def batch(
        self, windows: Sequence[TokenWindow], padded_length: int, n_rows: int | None = None
    ) -> WindowBatch:
        """Put special tokens and padding around windows."""

    def hidden_states(self, batch: WindowBatch) -> tuple[Tensor, ...]:
        """Hidden states of the last layer."""


def reads_padding(backbone: Probed) -> bool:
    """Whether padding changes the hidden states of a text visibly, tried on random tokens."""
    n_tokens = min(_N_TOKENS, backbone.limit - backbone.n_special - 1)
    if n_tokens < 1:
        return False
    window = _random_window(backbone, n_tokens, np.random.default_rng(0))
    length = n_tokens + backbone.n_special
    found = []
    for padded in (length, min(length + 5, backbone.limit)):
        batch = backbone.batch([window], padded)
        first = batch.content_starts[0]
        (states,) = backbone.hidden_states(batch)
        found.append(states[0, first : first + n_tokens].float())
    alone, beside = found
    if not (torch.isfinite(alone).all() and torch.isfinite(beside).all()):
        return False
    return bool((alone - beside).abs().max() > _VISIBLE_CHANGE * alone.abs().max())


def is_batch_invariant(backbone: Probed, lengths: Iterable[int], *, batch_tokens: int) -> bool:
    """Whether a window has the same bits alone and among others, tried on random tokens.

    Where shapes are fixed, a window that is alone fills all rows, so every row is tried.

    Args:
        backbone: to try.
        lengths: positions of the windows, each tried by itself.
        batch_tokens: positions of a batch; no larger one is tried, since long windows are
            expensive to try.
    """
    generator = np.random.default_rng(0)
    for length in lengths:
        n_tokens = max(1, length - backbone.n_special)
        rows = max(2, min(_MOST_ROWS, batch_tokens // length))
        windows = [_random_window(backbone, n_tokens, generator) for _ in range(rows)]
        together, alone = (
            backbone.hidden_states(
                backbone.batch(
                    own, length, backbone.n_rows(len(own), length, batch_tokens=batch_tokens)
                )
            )[0]
            for own in (windows, windows[-1:])
        )
        if not torch.equal(together[rows - 1].expand_as(alone), alone):
            return False
    return True


def random_windows(backbone: Probed, n_windows: int, length: int) -> list[TokenWindow]:
    """Windows of random tokens that take so many positions, special tokens included."""
    generator = np.random.default_rng(0)
    n_tokens = max(1, length - backbone.n_special)
    return [_random_window(backbone, n_tokens, generator) for _ in range(n_windows)]


def _random_window(backbone: Probed, n_tokens: int, generator: np.random.Generator) -> TokenWindow:
    return TokenWindow(
        ids=generator.integers(0, backbone.tokenizer.n_ids, n_tokens, dtype=np.int32),
        window=Window(0, n_tokens, 0, n_tokens),
        is_first=True,
        is_last=True,
    )
