"""Training of the backbone's top layers together with a head, without stored features."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from longbert.core.batching import padded_length
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.heads.base import Head
from longbert.encoders.models import LoadedBackbone
from longbert.encoders.runtime.base import EncoderModule
from longbert.engine.encode import WindowPartials
from longbert.errors import ConfigError
from longbert.records import LabelledDocument
from longbert.training.features import encode_document


class Unfrozen(nn.Module):
    """A head, and a copy of the backbone whose top layers learn with it.

    Args:
        head: a learned module.
        base: the backbone; stays as it is.
        n_layers: of the copy that are trained, from the top.

    Raises:
        ConfigError: the backbone has fewer layers, or none that could be told apart.
    """

    def __init__(self, head: nn.Module, base: EncoderModule, *, n_layers: int) -> None:
        super().__init__()
        self.head = head
        self.base = copy.deepcopy(base)
        for layer in self.base.layers()[-n_layers:]:
            layer.requires_grad_(True)

    def trained_weights(self) -> Mapping[str, Tensor]:
        """The weights of the backbone that were trained, by their names in it."""
        return {
            name: weight.detach()
            for name, weight in self.base.named_weights()
            if weight.requires_grad
        }


def check_layers(base: EncoderModule, n_layers: int, *, name: str) -> None:
    """Refuse a number of layers that the backbone does not have.

    Raises:
        ConfigError: with what it has.
    """
    found = len(base.layers())
    if n_layers > found:
        reason = f"{name} has {found} layers" if found else f"{name} shares one layer's weights"
        raise ConfigError(
            f"unfreeze must be in [0, {found}], got {n_layers}, since {reason}: try {min(2, found)}"
        )


class ChangingBackbone:
    """Windows of documents, and what a backbone that is being trained makes of them.

    Args:
        loaded: the backbone as it was.
        documents: all of them.
        head: that tells what is read of windows.
    """

    def __init__(
        self,
        loaded: LoadedBackbone,
        documents: Sequence[LabelledDocument],
        head: Head,
    ) -> None:
        self._loaded = loaded
        self._documents = documents
        self._pass = loaded.pass_for(head)
        self._windows: dict[int, list[TokenWindow]] = {}

    def windows(self, number: int) -> list[TokenWindow]:
        """The windows of a document."""
        if number not in self._windows:
            text = self._documents[number].text
            tokens = self._loaded.backbone.tokenizer.tokenize(text)
            self._windows[number] = self._pass.split(text, tokens)
        return self._windows[number]

    def states(
        self, base: EncoderModule, windows: Sequence[TokenWindow]
    ) -> tuple[tuple[Tensor, ...], WindowBatch]:
        """Hidden states of all layers, with gradients, and the batch that they belong to.

        On the CPU, where heads are trained.
        """
        backbone = self._loaded.backbone
        longest = max(len(window.ids) for window in windows) + backbone.n_special
        batch = backbone.batch(windows, padded_length(longest, limit=backbone.limit))
        device = next(base.parameters()).device
        ids, mask = (
            torch.from_numpy(array).to(device) for array in (batch.input_ids, batch.attention_mask)
        )
        return tuple(one.cpu() for one in base(ids, mask, all_layers=True)), batch

    def partials(self, base: EncoderModule, head: Head, number: int) -> WindowPartials:
        """What a head makes of a document, as a run with this backbone does.

        Raises:
            InputError: the document cannot be encoded.
        """
        changed = replace(self._loaded, backbone=self._loaded.backbone.with_encoder(base))
        return encode_document(changed, head, self._documents[number])
