"""A classifier of documents that attends to their tokens, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longbert.arrays import DoubleArray, FloatArray


@dataclass(frozen=True, kw_only=True)
class AttentionShape:
    """Sizes of a :class:`TokenAttention`.

    Attributes:
        n_inputs: numbers that it reads of a token.
        n_labels: of the task.
        n_members: classifiers whose logits are averaged.
        channels: of each member's own hidden states.
        n_queries: of each member's attention.
    """

    n_inputs: int
    n_labels: int
    n_members: int = 3
    channels: int = 32
    n_queries: int = 4


class TokenAttention(nn.Module):
    """Logits of a document from all its tokens.

    One layer makes a token's channels of its hidden states, a few learned queries attend to all
    tokens of the document (structured self-attention after Lin et al. 2017, arXiv:1703.03130),
    and what each of them gathers is classified together. There are several such members, each
    learning by itself from other beginnings; their mean is steadier than one of them.

    The softmax over a document's tokens is a quotient of sums, so that each window gives its part
    of the sums and no window has to be kept.

    Args:
        shape: sizes.
        dropout: in training, of what the queries gathered.
    """

    def __init__(self, shape: AttentionShape, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        members, channels, queries = shape.n_members, shape.channels, shape.n_queries
        self.tokens = nn.Linear(shape.n_inputs, members * channels)
        bound = channels**-0.5
        self.queries = nn.Parameter(torch.empty(members, queries, channels).uniform_(-bound, bound))
        self.out = nn.Parameter(torch.zeros(members, shape.n_labels, queries * channels))
        self.bias = nn.Parameter(torch.zeros(members, shape.n_labels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of documents from as many tokens of each, for training.

        Args:
            inputs: Shape: (batch, tokens, n_inputs).

        Returns:
            Those of each member. Shape: (batch, n_members, n_labels).
        """
        channels, scores = self.attend(inputs)
        weights = scores.softmax(dim=1)
        gathered = torch.einsum("btmq,btmc->bmqc", weights, channels).flatten(2)
        return self._logits(self.dropout(gathered))

    def attend(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Channels of tokens, and what each query thinks of them.

        Shapes: (..., tokens, n_members, channels), (..., tokens, n_members, n_queries).
        """
        return self.attend_projected(self.tokens(inputs))

    def attend_projected(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """The same of what the layer ``tokens`` gives. Shape: (..., tokens, its outputs)."""
        shape = (*projected.shape[:-1], self.shape.n_members, self.shape.channels)
        channels = functional.gelu(projected).view(shape)
        return channels, torch.einsum("...mc,mqc->...mq", channels, self.queries)

    def classify(self, gathered: DoubleArray) -> FloatArray:
        """Logits from what the queries gathered.

        Shapes: (n_members, n_queries, channels), (n_labels,).
        """
        flat = torch.from_numpy(gathered.astype(np.float32)).flatten(1)[None]
        with torch.inference_mode():
            logits = self._logits(flat.to(self.out.device))[0].mean(dim=0)
        found: FloatArray = logits.cpu().numpy()
        return found

    def _logits(self, gathered: Tensor) -> Tensor:
        """Shapes: (batch, n_members, n_queries * channels), (batch, n_members, n_labels)."""
        return torch.einsum("bmf,mlf->bml", gathered, self.out) + self.bias


def attention_sums(channels: FloatArray, scores: FloatArray) -> dict[str, DoubleArray]:
    """A window's part of the sums, each with a first axis of one window.

    Args:
        channels: of the tokens that the window owns. Shape: (tokens, n_members, channels).
        scores: Shape: (tokens, n_members, n_queries).

    Returns:
        ``peak``, the highest score, shape (1, n_members, n_queries); ``weight``, the sum of
        ``exp(score - peak)``, of this shape, too; ``value``, that sum over the channels, shape
        (1, n_members, n_queries, channels).
    """
    values, points = channels.astype(np.float64), scores.astype(np.float64)
    peak = points.max(axis=0)
    weights = np.exp(points - peak)
    return {
        "peak": peak[None],
        "weight": weights.sum(axis=0)[None],
        "value": np.matmul(weights.transpose(1, 2, 0), values.transpose(1, 0, 2))[None],
    }


def combined(sums: Mapping[str, DoubleArray]) -> dict[str, DoubleArray]:
    """The sums of some windows together, as those of one window."""
    peak = sums["peak"].max(axis=0)
    scale = np.exp(sums["peak"] - peak)
    return {
        "peak": peak[None],
        "weight": np.cumsum(sums["weight"] * scale, axis=0)[-1:],
        "value": np.cumsum(sums["value"] * scale[..., None], axis=0)[-1:],
    }


def gather(sums: Mapping[str, DoubleArray]) -> DoubleArray:
    """What the queries gather from some windows. Shape: (n_members, n_queries, channels)."""
    whole = combined(sums)
    gathered: DoubleArray = whole["value"][0] / whole["weight"][0][..., None]
    return gathered


def fit_reduction(states: Tensor, *, n_reduced: int) -> nn.Linear:
    """A projection of hidden states to their principal components, half whitened.

    Dimensions are standardised first, and components scaled to a variance that is the square
    root of their own, which leaves the strong ones ahead and the weak ones within reach.

    Args:
        states: of a sample of tokens, more than ``n_reduced``, of all layers. Shape: (tokens,
            layers * width).
        n_reduced: components.
    """
    flat = states.double()
    mean = flat.mean(dim=0)
    # Some dimensions of some models are constant.
    deviation = flat.std(dim=0).clamp(min=1e-2)
    standard = ((flat - mean) / deviation).float()
    covariance = (standard.T @ standard / len(standard)).double()
    values, vectors = torch.linalg.eigh(covariance)
    values = values[-n_reduced:].flip(0)
    # Components that a small sample does not show are not blown up.
    values = values.clamp(min=max(1e-8, 1e-4 * float(values[0])))
    vectors = vectors[:, -n_reduced:].flip(1)
    # An eigenvector's sign is free; its largest entry shall be positive.
    largest = vectors.abs().argmax(dim=0)
    vectors = vectors * vectors[largest, torch.arange(n_reduced)].sign()
    scale = (values / values[0]).sqrt().sqrt()
    scale = scale / scale.square().mean().sqrt()
    projection = vectors / deviation[:, None] / values.sqrt() * scale
    reduction = nn.Linear(len(mean), n_reduced).requires_grad_(False)
    reduction.weight.copy_(projection.T)
    reduction.bias.copy_(-(mean @ projection))
    return reduction


def folded(module: TokenAttention, reduction: nn.Linear) -> TokenAttention:
    """A module that does to hidden states what another does to their reduction.

    Args:
        module: trained on reduced hidden states.
        reduction: that made them.
    """
    shape = replace(module.shape, n_inputs=reduction.in_features)
    whole = TokenAttention(shape).requires_grad_(False).eval()
    whole.load_state_dict(
        module.state_dict()
        | {
            "tokens.weight": (module.tokens.weight.double() @ reduction.weight.double()).float(),
            "tokens.bias": (
                module.tokens.weight.double() @ reduction.bias.double()
                + module.tokens.bias.double()
            ).float(),
        }
    )
    return whole
