"""The forward pass of BERT's kind in bfloat16 on a CPU, by oneDNN with weights laid out beforehand.

torch brings every weight into oneDNN's layout at each call. Done once, products run about a tenth
faster; the activation and the residual are applied while a product's sums are still in float32,
which is also more exact than rounding them first. The scale of the attention is part of the weights
of its queries. Embeddings are added in float32, from the tables as they lie in the model's file,
without a copy.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from longbert.arrays import IntArray
from longbert.encoders.devices.base import Device
from longbert.encoders.runtime.attention import attend, unseen_keys
from longbert.encoders.runtime.base import EncoderModule, needed_mask
from longbert.encoders.runtime.bert import BertEncoder, BertLayer
from longbert.encoders.runtime.parallel import one_thread

_ROWS_HINT = 2_048
"""Rows that the layout is chosen for; others have the same bits."""


def is_available() -> bool:
    """Whether this build of torch has what is needed, for this processor."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        operations = torch.ops.mkldnn
        _ = operations._reorder_linear_weight, operations._linear_pointwise.binary
        return bool(operations._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


class OneDnnRuntime:
    """Runs a :class:`BertEncoder`; see :class:`longbert.encoders.runtime.base.Runtime`.

    Args:
        encoder: in float32; its norms are cast in place.
        folder: not needed.
        device: the CPU.
        dtype: bfloat16.
    """

    attention = "products"
    implementation = "longbert-onednn"

    def __init__(
        self, encoder: EncoderModule, *, folder: Path, device: Device, dtype: torch.dtype
    ) -> None:
        assert isinstance(encoder, BertEncoder)
        self._encoder, self._dtype = encoder, dtype
        with torch.inference_mode(), one_thread():
            self._layers = [_Layer(one, encoder.shape.n_heads, dtype) for one in encoder.layers()]

    def hidden_states(
        self,
        input_ids: IntArray,
        attention_mask: IntArray,
        token_types: IntArray | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run padded windows, without gradients."""
        ids, known, types = (
            None if array is None else torch.from_numpy(array)
            for array in (input_ids, needed_mask(attention_mask), token_types)
        )
        assert ids is not None
        with torch.inference_mode():
            hidden = self._encoder.embed(ids, types).to(self._dtype)
            unseen = None if known is None else unseen_keys(known, hidden.dtype)
            states = [hidden]
            for layer in self._layers:
                hidden = layer(hidden, unseen)
                states.append(hidden)
        return tuple(states) if all_layers else (hidden,)


class _Layer:
    """A layer, given in float32, with its weights laid out for products with many rows."""

    def __init__(self, layer: BertLayer, n_heads: int, dtype: torch.dtype) -> None:
        self._n_heads = n_heads
        self._activation = layer.activation
        scale = (layer.query.weight.shape[0] // n_heads) ** -0.5
        inward = layer.key, layer.value
        self._inward = _Product(
            torch.cat([layer.query.weight * scale, *(one.weight for one in inward)]),
            torch.cat([layer.query.bias * scale, *(one.bias for one in inward)]),
            dtype,
        )
        self._attended, self._inner, self._outer = (
            _Product(one.weight, one.bias, dtype)
            for one in (layer.attended, layer.inner, layer.outer)
        )
        self._attended_norm, self._norm = (
            one.to(dtype=dtype) for one in (layer.attended_norm, layer.norm)
        )

    def __call__(self, hidden: Tensor, unseen: Tensor | None) -> Tensor:
        joined = attend(self._inward(hidden), unseen, self._n_heads)
        hidden = self._attended_norm(self._attended.plus(joined, hidden))
        inner = self._inner(hidden, self._activation)
        normed: Tensor = self._norm(self._outer.plus(inner, hidden))
        return normed


class _Product:
    """A product with a weight, plus a bias. Shapes: (n_outputs, n_inputs), (n_outputs,)."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), _ROWS_HINT)
        self._bias = bias.to(dtype)

    def __call__(self, inputs: Tensor, activation: str = "none") -> Tensor:
        # The algorithm of GELU is the exact one, as everywhere here.
        algorithm = "none" if activation == "gelu" else ""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._weight, self._bias, activation, [], algorithm
        )
        return found

    def plus(self, inputs: Tensor, residual: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            inputs, residual, self._weight, self._bias, "add"
        )
        return found
