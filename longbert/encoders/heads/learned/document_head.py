"""A learned classifier on the windows of a pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from longbert.arrays import Array, FloatArray
from longbert.config import ModelConfig
from longbert.encoders.batch import WindowBatch
from longbert.encoders.checkpoint.digest import weights_digest
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.learned.attention import (
    AttentionShape,
    TokenAttention,
    attention_sums,
    combined,
    gather,
)
from longbert.encoders.heads.learned.projection import COMPUTATION, StateProjection
from longbert.encoders.heads.sequence_classification import ClassificationHead, ClassificationHeads


class LearnedClassifier:
    """A :class:`~longbert.encoders.heads.learned.attention.TokenAttention` for use on windows.

    Args:
        module: in evaluation mode.
        config: of its folder.
        device: where to compute; always in float32.
    """

    needs_all_layers = True
    learned_pooling = True

    def __init__(self, module: TokenAttention, config: HeadConfig, *, device: torch.device) -> None:
        self._module = module.to(device)
        self._layers = tuple(config.module["layers"])
        self._temperature = np.float32(config.temperature)
        self._device = device
        self.id2label: Mapping[int, str] = dict(enumerate(config.labels))
        self.problem_type: str | None = (
            "single_label_classification" if config.chooses_one else "multi_label_classification"
        )
        self.digest = weights_digest(
            module.state_dict().items(),
            extra={
                "labels": config.labels,
                "problem_type": self.problem_type,
                "temperature": config.temperature,
                "computation": COMPUTATION,
            },
        )

    def reduce(
        self, states: Sequence[Tensor], batch: WindowBatch, device: Device
    ) -> list[tuple[Tensor, Tensor]]:
        """What the attention makes of the tokens that each window owns."""
        with torch.inference_mode():
            project = StateProjection(self._module.tokens, self._layers, states)
            return [
                self._module.attend_projected(project(row, owned_positions(batch, row)))
                for row in range(len(batch.windows))
            ]

    def window_features(
        self, reduced: Sequence[tuple[FloatArray, FloatArray]], batch: WindowBatch
    ) -> Iterator[Mapping[str, Array]]:
        """Each window's part of the sums that the attention is made of."""
        for channels, scores in reduced:
            yield attention_sums(channels, scores)

    def window_features_of(self, inputs: Tensor) -> Mapping[str, Array]:
        """The same from the tokens that one window owns. Shape: (n_owned, n_inputs)."""
        with torch.inference_mode():
            channels, scores = self._module.attend(inputs.to(self._device))
        return attention_sums(channels.cpu().numpy(), scores.cpu().numpy())

    def window_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """Logits as if each window were the document. Shape: (n_windows, n_labels)."""
        n_windows = len(window_features["peak"])
        alone = ({k: v[i : i + 1] for k, v in window_features.items()} for i in range(n_windows))
        return np.stack([self.document_logits(one) for one in alone])

    def combined(self, window_features: Mapping[str, Array]) -> Mapping[str, Array]:
        """The sums of some windows together."""
        return combined(window_features)

    def document_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """Logits of the document. Shape: (n_labels,)."""
        logits: FloatArray = self._module.classify(gather(window_features))
        return logits / self._temperature


class LearnedClassifiers:
    """Makes heads that classify documents of trained modules."""

    def new_module(self, head: HeadConfig) -> TokenAttention:
        """An untrained module of a configuration's sizes."""
        sizes = {name: one for name, one in head.module.items() if name not in ("layers", "width")}
        n_inputs = len(head.module["layers"]) * head.module["width"]
        return TokenAttention(AttentionShape(n_inputs=n_inputs, n_labels=len(head.labels), **sizes))

    def make(
        self,
        module: TokenAttention,
        head: HeadConfig,
        config: ModelConfig,
        *,
        name: str,
        device: torch.device,
    ) -> ClassificationHead:
        """Put a module to use on windows."""
        classifier = LearnedClassifier(module, head, device=device)
        return ClassificationHeads(config).head_of(classifier, name=name)


def owned_states(
    layers: Sequence[int], states: Sequence[Tensor], batch: WindowBatch, row: int
) -> Tensor:
    """Hidden states of the tokens that a window owns, layers side by side, in float32.

    Shape: (n_owned, n_layers * width).
    """
    own = owned_positions(batch, row)
    return torch.cat([states[layer][row, own].float() for layer in layers], dim=1)


def owned_positions(batch: WindowBatch, row: int) -> slice:
    """Positions of the tokens that a window owns."""
    window = batch.windows[row].window
    shift = batch.content_starts[row] - window.start
    return slice(window.owned_start + shift, window.owned_stop + shift)
