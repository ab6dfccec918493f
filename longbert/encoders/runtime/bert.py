"""Encoders of BERT's kind, and their heads, in torch alone.

In float32 the hidden states and logits have the bits that transformers gives with its attention
``sdpa``, since both call the same kernels in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from longbert.encoders.runtime.architecture import architecture_of
from longbert.encoders.runtime.base import EncoderModule, HeadModule
from longbert.encoders.runtime.families import FAMILIES, Family, Step

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "tanh": torch.tanh,
}
_DISTILBERT_EPS = 1e-12
"""No setting of that family says it."""


@dataclass(frozen=True, kw_only=True)
class BertShape:
    """Sizes of a :class:`BertEncoder`.

    Attributes:
        n_ids, n_positions, n_types: rows of the tables; 0 types for no table.
        embedding_width: of the tables, which a projection brings to ``width``.
        width, n_layers, n_heads: of the layers.
        inner_width: between the two products of a layer's second half.
        activation: there.
        eps: of the normalisations.
        pad_id: id whose position is not counted; None: all are counted, from 0.
    """

    n_ids: int
    n_positions: int
    n_types: int
    embedding_width: int
    width: int
    n_layers: int
    n_heads: int
    inner_width: int
    activation: str
    eps: float
    pad_id: int | None

    @classmethod
    def of(cls, config: Mapping[str, Any], family: Family) -> BertShape:
        """Sizes in a ``config.json``, completed by the family's defaults.

        Raises:
            KeyError, TypeError, ValueError: they make no sense.
        """

        def setting(name: str) -> Any:
            return config[family.setting(name)]

        width = int(setting("hidden_size"))
        shape = cls(
            n_ids=int(config["vocab_size"]),
            n_positions=int(config["max_position_embeddings"]),
            n_types=int(config.get("type_vocab_size", 0)),
            embedding_width=int(config.get("embedding_size", width)),
            width=width,
            n_layers=int(setting("num_hidden_layers")),
            n_heads=int(setting("num_attention_heads")),
            inner_width=int(setting("intermediate_size")),
            activation=str(setting("hidden_act")),
            eps=float(config.get("layer_norm_eps", _DISTILBERT_EPS)),
            pad_id=int(config["pad_token_id"]) if family.counts_after_padding else None,
        )
        if shape.n_heads < 1 or shape.width % shape.n_heads:
            raise ValueError(f"{shape.n_heads} heads do not divide a width of {shape.width}")
        return shape


class BertEncoder(EncoderModule):
    """An encoder of one of :data:`longbert.encoders.runtime.families.FAMILIES`.

    Its weights have a shape only, until ``load_state_dict`` assigns them.

    Args:
        config: the model's ``config.json``.

    Raises:
        KeyError, TypeError, ValueError: its sizes make no sense.
    """

    attention = "sdpa"
    implementation = "longbert"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.model_type = str(config["model_type"])
        self._family = FAMILIES[self.model_type]
        completed = {**self._family.defaults, **config}
        self.architecture = architecture_of(completed)
        self.shape = shape = BertShape.of(completed, self._family)
        self.width, self.n_layers, self.n_ids = shape.width, shape.n_layers, shape.n_ids
        n_taken = 0 if shape.pad_id is None else shape.pad_id + 1
        self.n_positions = shape.n_positions - n_taken
        between = shape.embedding_width
        self.words = _Table(shape.n_ids, between)
        self.positions = _Table(shape.n_positions, between)
        self.types = _Table(shape.n_types, between) if shape.n_types else None
        self.embeddings_norm = _Norm(between, eps=shape.eps)
        self.project = _Linear(between, shape.width) if between != shape.width else None
        self.stack = nn.ModuleList(BertLayer(shape) for _ in range(shape.n_layers))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_types: Tensor | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Hidden states; those of the layers below the last only if asked for."""
        hidden = self.embed(input_ids, token_types)
        mask = self.seen_keys(attention_mask)
        states = [hidden]
        for layer in self.stack:
            hidden = layer(hidden, mask)
            states.append(hidden)
        return tuple(states) if all_layers else (hidden,)

    def embed(self, input_ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """What the first layer reads. Shape: (batch, positions, width)."""
        hidden: Tensor = self.words(input_ids)
        if self.types is not None and (token_types is None or self.shape.n_types == 1):
            # Every token is of the first type.
            hidden = hidden + self.types.weight[0]
        elif self.types is not None:
            hidden = hidden + self.types(token_types)
        hidden = self.embeddings_norm(hidden + self.positions(self._position_ids(input_ids)))
        if self.project is not None:
            hidden = self.project(hidden)
        return hidden

    def seen_keys(self, attention_mask: Tensor | None) -> Tensor | None:
        """Which keys are seen; None for all. Shape: (batch, 1, 1, positions)."""
        return None if attention_mask is None else attention_mask.bool()[:, None, None, :]

    def _position_ids(self, input_ids: Tensor) -> Tensor:
        if self.shape.pad_id is None:
            return torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        counted = input_ids.ne(self.shape.pad_id).int()
        return (torch.cumsum(counted, dim=1) * counted).long() + self.shape.pad_id

    def layers(self) -> Sequence[BertLayer]:
        """From the bottom."""
        return [layer for layer in self.stack if isinstance(layer, BertLayer)]

    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights by their names in a checkpoint of the encoder alone."""
        for name, weight in self.named_parameters():
            yield self._family.stored_name(name), weight

    def replace_weights(self, weights: Mapping[str, Tensor]) -> Sequence[str]:
        """Replace some weights."""
        own = {self._family.stored_name(name): name for name, _ in self.named_parameters()}
        known = {own[name]: weight for name, weight in weights.items() if name in own}
        self.load_state_dict(known, strict=False)
        return [name for name in weights if name not in own]


# The modules of torch draw weights when they are made, and without memory torch first imports its
# compiler for that, which takes seconds. These have weights without memory until they are given.


def _unfilled(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, device="meta"), requires_grad=False)


class _Table(nn.Module):
    def __init__(self, n_rows: int, width: int) -> None:
        super().__init__()
        self.weight = _unfilled(n_rows, width)

    def forward(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.weight)


class _Linear(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = _unfilled(n_outputs, n_inputs)
        self.bias = _unfilled(n_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.weight, self.bias)


class _Norm(nn.Module):
    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self._eps = eps
        self.weight = _unfilled(width)
        self.bias = _unfilled(width)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.layer_norm(inputs, self.weight.shape, self.weight, self.bias, self._eps)


class BertLayer(nn.Module):
    """Attention and two products, each added to what it read and normalised.

    Args:
        shape: sizes.

    Attributes:
        activation: name of that between the two products.
    """

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        width = shape.width
        self._n_heads = shape.n_heads
        self.activation = shape.activation
        self.query = _Linear(width, width)
        self.key = _Linear(width, width)
        self.value = _Linear(width, width)
        self.attended = _Linear(width, width)
        self.attended_norm = _Norm(width, eps=shape.eps)
        self.inner = _Linear(width, shape.inner_width)
        self.outer = _Linear(shape.inner_width, width)
        self.norm = _Norm(width, eps=shape.eps)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states of the next layer."""
        of_heads = (*hidden.shape[:2], self._n_heads, -1)
        queries, keys, values = (
            one(hidden).view(of_heads).transpose(1, 2) for one in (self.query, self.key, self.value)
        )
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        joined = found.transpose(1, 2).reshape(hidden.shape)
        hidden = self.attended_norm(self.attended(joined) + hidden)
        inner = ACTIVATIONS[self.activation](self.inner(hidden))
        normed: Tensor = self.norm(self.outer(inner) + hidden)
        return normed


class BertHead(HeadModule):
    """The head of a checkpoint of these families, its weights like those of the encoder.

    Args:
        steps: linear layers, one after the other.
        width: of a hidden state.
        reads_first: whether it reads the first position of a text, or each of them.
        id2label, problem_type: as the configuration says.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        width: int,
        reads_first: bool,
        id2label: Mapping[int, str],
        problem_type: str | None,
    ) -> None:
        super().__init__()
        self._steps = tuple(steps)
        self._reads_first = reads_first
        self.id2label = dict(id2label)
        self.problem_type = problem_type
        widths = [width] * len(steps) + [len(id2label)]
        self.linears = nn.ModuleList(_Linear(n_in, n_out) for n_in, n_out in pairwise(widths))

    def forward(self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits of hidden states."""
        logits = hidden[:, 0] if self._reads_first else hidden
        for step, linear in zip(self._steps, self.linears, strict=True):
            logits = linear(logits)
            if step.activation is not None:
                logits = ACTIVATIONS[step.activation](logits)
        return logits

    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights by their names in the whole model."""
        for name, weight in self.linears.named_parameters():
            number, _, kind = name.partition(".")
            yield f"{self._steps[int(number)].name}.{kind}", weight
