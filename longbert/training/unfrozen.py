"""Training of the backbone's top layers together with a head: nothing can be stored."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from longbert.core.batching import padded_length
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.models import LoadedBackbone
from longbert.encoders.runtime.base import EncoderModule, needed_mask
from longbert.errors import ConfigError
from longbert.records import LabelledDocument
from longbert.training.base import (
    FeatureReader,
    FeatureWindow,
    ModuleT,
    Rows,
    Scorer,
    Trainable,
)
from longbert.training.features import encode_document, feature_head


class LiveFeatures:
    """Features of a backbone that is being trained, computed whenever they are asked for.

    Args:
        loaded: the backbone as it was; stays as it is.
        documents: all of them.
        reader: of hidden states.
        n_layers: of the backbone that are trained, from the top.
    """

    runs_backbone = True

    def __init__(
        self,
        loaded: LoadedBackbone,
        documents: Sequence[LabelledDocument],
        reader: FeatureReader,
        *,
        n_layers: int,
    ) -> None:
        self._loaded = loaded
        self._documents = documents
        self._reader = reader
        self._n_layers = n_layers
        self._pass = loaded.pass_for(feature_head(reader))
        self._windows: dict[int, tuple[list[TokenWindow], list[FeatureWindow]]] = {}

    def trainable(self, head: ModuleT) -> Trainable[ModuleT]:
        """The head's module, and a copy of the backbone whose top layers learn with it."""
        base = copy.deepcopy(self._loaded.checkpoint.encoder)
        for layer in base.layers()[-self._n_layers :]:
            layer.requires_grad_(True)
        return Trainable(head, base)

    def windows(self, document: int) -> Sequence[FeatureWindow]:
        """The windows of a document, in order."""
        return self._of(document)[1]

    def read(
        self, module: Trainable[Any], chosen: Sequence[tuple[FeatureWindow, Rows]]
    ) -> list[Tensor]:
        """Rows of windows that are encoded together; on the CPU, where heads are trained."""
        windows = [self._of(window.document)[0][window.ordinal] for window, _ in chosen]
        states, batch = self._states(_base(module), windows)
        return [self._reader.read(states, batch, row)[rows] for row, (_, rows) in enumerate(chosen)]

    def partials(self, module: Trainable[Any], scorer: Scorer, document: int) -> Sequence[Any]:
        """What a scorer's head makes of each window, as a run with this backbone does."""
        loaded = self.backbone(module)
        return encode_document(loaded, scorer.head, self._documents[document]).partials

    def backbone(self, module: Trainable[Any]) -> LoadedBackbone:
        """The backbone with its layers as they are now."""
        return replace(self._loaded, backbone=self._loaded.backbone.with_encoder(_base(module)))

    def _of(self, document: int) -> tuple[list[TokenWindow], list[FeatureWindow]]:
        if document not in self._windows:
            text = self._documents[document].text
            windows = self._pass.split(text, self._loaded.backbone.tokenizer.tokenize(text))
            self._windows[document] = (
                windows,
                [
                    FeatureWindow(document, ordinal, one.window, self._reader.read_text(one))
                    for ordinal, one in enumerate(windows)
                ],
            )
        return self._windows[document]

    def _states(
        self, base: EncoderModule, windows: Sequence[TokenWindow]
    ) -> tuple[tuple[Tensor, ...], WindowBatch]:
        """Hidden states of all layers, with gradients, and the batch that they belong to."""
        backbone = self._loaded.backbone
        longest = max(len(window.ids) for window in windows) + backbone.n_special
        batch = backbone.batch(windows, padded_length(longest, limit=backbone.limit))
        device = next(base.parameters()).device
        ids, mask = (
            None if array is None else torch.from_numpy(array).to(device)
            for array in (batch.input_ids, needed_mask(batch.attention_mask))
        )
        return tuple(one.cpu() for one in base(ids, mask, all_layers=True)), batch


def _base(module: Trainable[Any]) -> EncoderModule:
    if module.base is None:
        raise ValueError("the module has no backbone of its own: it reads stored features")
    return module.base


def check_layers(base: EncoderModule, n_layers: int, *, name: str) -> None:
    """Refuse to train more layers than the backbone has.

    Raises:
        ConfigError: with what it has.
    """
    found = len(base.layers())
    if n_layers > found:
        reason = f"{name} has {found} layers" if found else f"{name} shares one layer's weights"
        raise ConfigError(
            f"unfreeze must be in [0, {found}], got {n_layers}, since {reason}: try {min(2, found)}"
        )
