"""The seams around a forward pass: what runs one, and an encoder as a torch module.

Another engine in place of torch's is a class with the methods of :class:`Runtime` and an entry in
:mod:`longbert.encoders.runtime.registry`. Another way to load an encoder, or another
implementation of its layers, is a subclass of :class:`EncoderModule`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from longbert.arrays import IntArray
from longbert.encoders.devices.base import Device


class Runtime(Protocol):
    """Runs the forward pass of one encoder on one device.

    Attributes:
        attention: implementation of the attention, or the engine where that is no choice; it can
            change bits, and so a change of it is another fingerprint.
        implementation: whose code and kernels compute, which can change bits, too.
    """

    attention: str
    implementation: str

    def hidden_states(
        self,
        input_ids: IntArray,
        attention_mask: IntArray,
        token_types: IntArray | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run padded windows, without gradients.

        Args:
            input_ids: Shape: (batch, positions).
            attention_mask: 1 for tokens, 0 for padding. Shape: (batch, positions).
            token_types: which of two texts a token belongs to; None where there is one, and
                without effect on models that make no difference. Shape: (batch, positions).
            all_layers: whether to return the states below the last layer, too.

        Returns:
            Those of the last layer, preceded with ``all_layers`` by those of all others from the
            embeddings up. On the device that heads compute on, in the precision of the run, until
            this thread computes the next batch. Shape of each: (batch, positions, width).
        """


def needed_mask(attention_mask: IntArray) -> IntArray | None:
    """The mask of a batch; None where all positions are tokens, as encoders are told then.

    It is looked at before it is on the device, where looking at it would wait for all that is
    computed there.
    """
    return None if attention_mask.all() else attention_mask


class RuntimeFactory(Protocol):
    """Makes a runtime."""

    def __call__(
        self, encoder: EncoderModule, *, folder: Path, device: Device, dtype: torch.dtype
    ) -> Runtime:
        """Make the runtime of an encoder.

        Args:
            encoder: in float32 on the CPU; it may be moved and cast in place.
            folder: of the model, for a runtime that reads files of its own.
            device, dtype: where and in what precision to compute.
        """


class EncoderModule(nn.Module, ABC):
    """An encoder without pooler and head, in float32 and evaluation mode.

    Attributes:
        model_type: as in ``config.json``.
        width: of a hidden state.
        n_layers: above the embeddings.
        n_positions: that it takes, special tokens included; None: no table limits it.
        n_ids: that it has embeddings for.
        attention: implementation of the attention, ``sdpa`` or ``eager``.
        implementation: whose code computes it, ``longbert`` or ``transformers``.
        architecture: all that decides on hidden states beside the weights, as plain values.
    """

    model_type: str
    width: int
    n_layers: int
    n_positions: int | None
    n_ids: int
    attention: str
    implementation: str
    architecture: Mapping[str, Any]

    @abstractmethod
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_types: Tensor | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Hidden states, as :meth:`Runtime.hidden_states` returns them.

        Without a mask all positions are tokens.
        """

    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """The layers, from the bottom; none where they share their weights."""

    @abstractmethod
    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights by their names in a checkpoint of the encoder alone, the pooler's left out."""

    @abstractmethod
    def replace_weights(self, weights: Mapping[str, Tensor]) -> Sequence[str]:
        """Replace some weights, given by these names.

        Returns:
            Names that the encoder does not have.

        Raises:
            RuntimeError: a weight is of another shape.
        """


class HeadModule(nn.Module, ABC):
    """The head of a checkpoint, which reads hidden states in place of its encoder.

    Given the encoder's own output it gives the logits of the whole model.

    Attributes:
        id2label: labels of its logits, by their number.
        problem_type: as in ``config.json``.
    """

    id2label: dict[int, str]
    problem_type: str | None

    @abstractmethod
    def forward(self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits of hidden states.

        Args:
            hidden: of the last layer. Shape: (batch, positions, width).
            input_ids, attention_mask: of the same windows. Shape: (batch, positions).

        Returns:
            Shape: (batch, n_labels), or (batch, positions, n_labels) for tagging heads.
        """

    @abstractmethod
    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights by their names in the whole model; a pooler's are among them."""


@dataclass(frozen=True, slots=True)
class ModelParts:
    """A model as loaded, taken apart.

    Attributes:
        encoder: without its head.
        head: None where the model class has none.
        missing: names of weights that the model class needs and the files lack.
        misshapen: names of weights, their shape in the files, and that which the config asks for.
    """

    encoder: EncoderModule
    head: HeadModule | None
    missing: frozenset[str]
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
