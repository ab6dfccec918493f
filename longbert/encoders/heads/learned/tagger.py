"""A tagger of words: hidden states of several layers, what the word looks like, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from longbert.core.word_shape import FLAGS, N_BUCKETS


@dataclass(frozen=True, kw_only=True)
class TaggerShape:
    """Sizes of a :class:`WordTagger`.

    Attributes:
        layers: which hidden states it reads, 0 the embeddings.
        width: of the backbone's hidden states.
        n_labels: of the tagging scheme.
        channels: of its own hidden states.
        string_channels: of the table of hashed strings.
        dilations: distance, in words, of the neighbours that each convolution joins.
    """

    layers: tuple[int, ...]
    width: int
    n_labels: int
    channels: int = 96
    string_channels: int = 48
    dilations: tuple[int, ...] = (1, 2, 1)

    @property
    def reach(self) -> int:
        """Distance of the furthest words that the emissions of one depend on."""
        return sum(self.dilations)


class WordTagger(nn.Module):
    """Emissions of the words of a window, and transitions between their labels.

    A word's hidden states, the mean over its tokens for each layer, are projected together; what
    the word looks like is added; residual dilated convolutions over the words (after Strubell et
    al. 2017, arXiv:1702.02098) bring in the neighbours. Words beyond the window's ends are zero.

    Args:
        shape: sizes.
        dropout: in training, of the module's own hidden states.
        input_dropout: in training, of the backbone's hidden states, a channel for a whole window.
    """

    def __init__(
        self, shape: TaggerShape, *, dropout: float = 0.0, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.shape = shape
        self._input_dropout = input_dropout
        channels = shape.channels
        self.states = nn.Linear(len(shape.layers) * shape.width, channels)
        self.flags = nn.Linear(len(FLAGS), channels)
        self.strings = nn.Embedding(N_BUCKETS, shape.string_channels, padding_idx=0)
        self.strings_out = nn.Linear(shape.string_channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(
            _Convolution(channels, dilation, dropout) for dilation in shape.dilations
        )
        self.out_norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, shape.n_labels)
        self.transitions = nn.Parameter(torch.zeros(shape.n_labels, shape.n_labels))
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            self.strings.weight.mul_(0.05)

    def forward(self, states: Tensor, flags: Tensor, strings: Tensor, mask: Tensor) -> Tensor:
        """Emissions of words.

        Args:
            states: of the words. Shape: (batch, words, layers, width).
            flags: Shape: (batch, words, len(FLAGS)).
            strings: buckets. Shape: (batch, words, N_STRINGS).
            mask: 1 for words, 0 for padding. Shape: (batch, words).

        Returns:
            Shape: (batch, words, n_labels).
        """
        inputs = states.flatten(2)
        if self.training and self._input_dropout:
            shape = (len(inputs), 1, inputs.shape[-1])
            inputs = inputs * functional.dropout(inputs.new_ones(shape), self._input_dropout)
        return self.forward_projected(self.states(inputs), flags, strings, mask)

    def forward_projected(
        self, projected: Tensor, flags: Tensor, strings: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """The same of what the layer ``states`` gives; without a mask nothing is padding.

        Shape: (batch, words, channels).
        """
        hidden = projected + self.flags(flags)
        hidden = hidden + self.strings_out(self.strings(strings).sum(dim=2))
        hidden = self.dropout(self.norm(hidden))
        known = None if mask is None else mask[..., None]
        for block in self.blocks:
            hidden = block(hidden, known)
        emissions: Tensor = self.out(self.out_norm(hidden))
        return emissions


class _Convolution(nn.Module):
    """A residual convolution of width three over words, as one product of shifted rows."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self._dilation = dilation
        self.norm = nn.LayerNorm(channels)
        self.join = nn.Linear(3 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, known: Tensor | None) -> Tensor:
        reach, n_words = self._dilation, hidden.shape[1]
        normed = self.norm(hidden)
        if known is not None:
            normed = normed * known
        padded = functional.pad(normed, (0, 0, reach, reach))
        shifted = [padded[:, at : at + n_words] for at in (0, reach, 2 * reach)]
        joined = functional.gelu(self.join(torch.cat(shifted, dim=-1)))
        dropped: Tensor = self.dropout(joined)
        return hidden + dropped


def word_states(states: Sequence[Tensor], n_tokens: Tensor) -> Tensor:
    """Mean over the tokens of each word, for each layer.

    Args:
        states: of the content tokens of one window, for each layer that is read. Shape of each:
            (n_tokens, width).
        n_tokens: of each word, on the same device. Shape: (n_words,).

    Returns:
        In float32. Shape: (n_words, n_layers, width).
    """
    stacked = torch.stack([layer.float() for layer in states], dim=1)
    return word_means(stacked, n_tokens)


def word_means(values: Tensor, n_tokens: Tensor) -> Tensor:
    """Mean over the tokens of each word.

    Args:
        values: of some neighbouring tokens, in float32. Shape: (n_tokens, ...).
        n_tokens: of each of their words, on the same device. Shape: (n_words,).

    Returns:
        Shape: (n_words, ...).
    """
    if values.is_cpu:
        # The same sums in the same order, eight times as fast; elsewhere its order is left open.
        sums = values.new_zeros(len(n_tokens), *values.shape[1:]).index_add(
            0, torch.repeat_interleave(n_tokens), values
        )
    else:
        # Without looking at the lengths, for which the device would have to be waited for.
        sums = torch.segment_reduce(values, "sum", lengths=n_tokens, axis=0, unsafe=True)
    means: Tensor = sums / n_tokens.view(-1, *[1] * (values.dim() - 1))
    return means
