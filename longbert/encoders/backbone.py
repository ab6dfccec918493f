"""An encoder with its tokenizer, ready to run windows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from longbert.core.batching import padded_length
from longbert.encoders.batch import TokenWindow, WindowBatch, pad_pairs, pad_windows
from longbert.encoders.checkpoint.load import Checkpoint
from longbert.encoders.devices.base import Device
from longbert.encoders.remembered import remembered
from longbert.encoders.runtime.base import EncoderModule
from longbert.encoders.runtime.device import device_identity, precision_name
from longbert.encoders.runtime.probe import is_batch_invariant, random_windows, reads_padding
from longbert.encoders.runtime.products import BareProducts
from longbert.encoders.runtime.registry import choose_runtime, runtime_factory
from longbert.encoders.tokenizers.base import Tokenizer
from longbert.errors import ModelError


class Backbone:
    """An encoder on a device, without pooler and head.

    Args:
        checkpoint: its encoder is moved and cast in place.
        device, dtype: where and in what precision to compute.

    Raises:
        ModelError: its hidden states of a text depend on the padding beside it.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: Device, dtype: torch.dtype) -> None:
        self.tokenizer = checkpoint.tokenizer
        self.limit = checkpoint.limit
        self.digest = checkpoint.backbone_digest
        self._folder = checkpoint.folder.path
        self.device, self._dtype = device, dtype
        self._pads_left = self.tokenizer.pads_left
        self._use(checkpoint.encoder)
        # Some tokenizers ask for padding on the left of models that count positions from there.
        if self._pads_left and self._reads_padding():
            self._pads_left = False
        if self._reads_padding():
            raise ModelError(
                f"{checkpoint.folder.name} ({checkpoint.model_type}) gives a text other hidden "
                "states when there is padding beside it, so windows cannot share a batch: use an "
                "encoder whose attention ignores padding, such as BERT or RoBERTa"
            )

    @property
    def n_special(self) -> int:
        """Positions of a window that its content cannot have."""
        return len(self.tokenizer.prefix) + len(self.tokenizer.suffix)

    @property
    def attention(self) -> str:
        """Implementation of the attention; see :class:`longbert.encoders.runtime.base.Runtime`."""
        return self._runtime.attention

    @property
    def implementation(self) -> str:
        """Whose code and kernels compute; see the same class."""
        return self._runtime.implementation

    @property
    def precision(self) -> str:
        """Name of the number type it computes in, as ``--precision`` has it."""
        return precision_name(self._dtype)

    @property
    def n_batches_at_once(self) -> int:
        """How many batches may run at a time in threads of their own."""
        return self.device.n_batches_at_once(self.implementation)

    def with_encoder(self, encoder: EncoderModule) -> Backbone:
        """The same backbone with other weights, where the digest does not matter."""
        other = copy.copy(self)
        other._use(encoder)
        return other

    def with_tokenizer(self, tokenizer: Tokenizer) -> Backbone:
        """The same encoder, its weights shared, behind another tokenizer of the same ids."""
        other = copy.copy(self)
        other.tokenizer = tokenizer
        return other

    def batch(
        self, windows: Sequence[TokenWindow], padded_length: int, n_rows: int | None = None
    ) -> WindowBatch:
        """Put special tokens and padding around windows; see
        :func:`longbert.encoders.batch.pad_windows`.
        """
        return pad_windows(
            windows,
            self.tokenizer,
            padded_length=padded_length,
            pads_left=self._pads_left,
            n_rows=n_rows,
        )

    def n_rows(self, n_windows: int, padded_length: int, *, batch_tokens: int) -> int:
        """Rows of a batch of so many windows, which are more where shapes are fixed."""
        if not self.device.has_fixed_shapes:
            return n_windows
        return max(n_windows, batch_tokens // padded_length)

    def batch_pairs(
        self,
        pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
        padded_length: int,
        n_rows: int,
    ) -> WindowBatch:
        """Put padding beside pairs of texts; see :func:`longbert.encoders.batch.pad_pairs`."""
        return pad_pairs(
            pairs,
            pad_id=self.tokenizer.pad_id,
            padded_length=padded_length,
            pads_left=self._pads_left,
            n_rows=n_rows,
        )

    def hidden_states(self, batch: WindowBatch, *, all_layers: bool = False) -> tuple[Tensor, ...]:
        """Hidden states, those of the last layer last. Shape of each: (batch, positions, width).

        Args:
            batch: of windows.
            all_layers: whether to return those of the layers below, too, from the embeddings up.
        """
        return self._runtime.hidden_states(
            batch.input_ids, batch.attention_mask, batch.token_types, all_layers=all_layers
        )

    def bare_products(self) -> BareProducts:
        """The products of its linear layers without the rest, to know the limit of its speed.

        There are none where layers share their weights.
        """
        return BareProducts(self._linear_shapes, device=self.device.torch_device, dtype=self._dtype)

    def fitting_batch_tokens(self, length: int, *, all_layers: bool = False) -> int:
        """Positions of a batch where nobody asked for a number; see
        :meth:`longbert.encoders.devices.base.Device.batch_tokens`.

        Args:
            length: positions of the longest windows, special tokens included.
            all_layers: whether the hidden states of all layers are kept.
        """

        padded = padded_length(length, limit=self.limit)

        def run(n_windows: int) -> object:
            batch = self.batch(random_windows(self, n_windows, padded), padded)
            return self.hidden_states(batch, all_layers=all_layers)

        return self.device.batch_tokens(run, padded)

    def is_batch_invariant(self, lengths: Sequence[int], *, batch_tokens: int) -> bool:
        """Whether a window has the same bits alone and among others on this device.

        See :func:`longbert.encoders.runtime.probe.is_batch_invariant`; the answer is remembered.
        """
        return self._probed(
            "is batch invariant",
            lambda: is_batch_invariant(self, lengths, batch_tokens=batch_tokens),
            lengths=list(lengths),
            batch_tokens=batch_tokens,
            around=[list(self.tokenizer.prefix), list(self.tokenizer.suffix)],
        )

    def _reads_padding(self) -> bool:
        return self._probed("reads padding", lambda: reads_padding(self))

    def _probed(self, question: str, find_out: Callable[[], bool], **more: Any) -> bool:
        """Probe the forward pass, unless that has been done with everything as it is now."""
        key = {
            "backbone": self.digest,
            "runtime": [self.implementation, self.attention, self.precision, self._pads_left],
            "device": device_identity(self.device.torch_device),
            **more,
        }
        return remembered(question, key, find_out)

    def _use(self, encoder: EncoderModule) -> None:
        self.width, self.n_layers = encoder.width, encoder.n_layers
        self._linear_shapes = [
            (weight.shape[0], weight.shape[1])
            for layer in encoder.layers()
            for weight in layer.parameters()
            if weight.ndim == 2
        ]
        name = choose_runtime(encoder, device=self.device.torch_device, dtype=self._dtype)
        self._runtime = runtime_factory(name)(
            encoder, folder=self._folder, device=self.device, dtype=self._dtype
        )
