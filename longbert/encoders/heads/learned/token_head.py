"""A learned tagger on the windows of a pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from longbert.arrays import FloatArray
from longbert.config import ModelConfig
from longbert.core.word_shape import WordShapes
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.checkpoint.digest import weights_digest
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.heads.learned.projection import StateProjection
from longbert.encoders.heads.learned.tagger import (
    TaggerShape,
    WordTagger,
    word_means,
    word_states,
)
from longbert.encoders.heads.token_classification import EntityHead, EntityHeads


class LearnedTagger:
    """A :class:`~longbert.encoders.heads.learned.tagger.WordTagger` for use on windows.

    Args:
        module: in evaluation mode.
        config: of its folder.
        device: where to compute; always in float32.
    """

    needs_all_layers = True
    needs_word_shapes = True

    def __init__(self, module: WordTagger, config: HeadConfig, *, device: torch.device) -> None:
        self._module = module.to(device)
        self.temperature = config.temperature
        self.transitions: FloatArray | None = module.transitions.detach().cpu().numpy().copy()
        self._device = device
        self.id2label: Mapping[int, str] = dict(enumerate(config.labels))
        self.digest = weights_digest(
            module.state_dict().items(),
            extra={"labels": config.labels, "temperature": config.temperature},
        )

    def content_logits(self, states: Sequence[Tensor], batch: WindowBatch) -> Iterator[FloatArray]:
        """Emissions of the content tokens of each window; a word's tokens have the same.

        The mean over a word's tokens is taken of their projection, which is the projection of their
        mean.
        """
        project = StateProjection(self._module.states, self._module.shape.layers, states)
        for row, window in enumerate(batch.windows):
            with torch.inference_mode():
                projected = word_means(project(row, content_positions(batch, row)), _words(window))
            yield self._token_logits(projected, word_looks(window), len(window.ids))

    def token_logits(self, features: WindowFeatures, n_tokens: int) -> FloatArray:
        """The same of the stored features of one window. Shape: (n_tokens, n_labels)."""
        with torch.inference_mode():
            states = torch.from_numpy(np.array(features["states"])).to(self._device)
            projected = self._module.states(states.flatten(1))
        return self._token_logits(projected, features, n_tokens)

    def _token_logits(self, projected: Tensor, looks: WindowFeatures, n_tokens: int) -> FloatArray:
        with torch.inference_mode():
            flags, strings = (
                torch.from_numpy(np.array(looks[name])).to(self._device)[None]
                for name in ("flags", "strings")
            )
            mask = projected.new_ones(1, len(projected))
            emissions = self._module.forward_projected(projected[None], flags, strings, mask)[0]
        n_each = np.diff(looks["first_tokens"], append=n_tokens)
        return np.repeat(emissions.cpu().numpy(), n_each, axis=0)


class LearnedTaggers:
    """Makes entity heads of trained modules."""

    def new_module(self, head: HeadConfig) -> WordTagger:
        """An untrained module of a configuration's sizes."""
        sizes = dict(head.module)
        for name in ("layers", "dilations"):
            sizes[name] = tuple(sizes[name])
        return WordTagger(TaggerShape(n_labels=len(head.labels), **sizes))

    def make(
        self,
        module: WordTagger,
        head: HeadConfig,
        config: ModelConfig,
        *,
        name: str,
        device: torch.device,
    ) -> EntityHead:
        """Put a module to use on windows."""
        return EntityHeads(config).head_of(LearnedTagger(module, head, device=device), name=name)


def window_word_states(
    layers: Sequence[int], states: Sequence[Tensor], batch: WindowBatch, row: int
) -> Tensor:
    """Hidden states of the words of one window, differentiable. Shape: (words, layers, width)."""
    content = content_positions(batch, row)
    own = [states[layer][row, content] for layer in layers]
    return word_states(own, _words(batch.windows[row]))


def content_positions(batch: WindowBatch, row: int) -> slice:
    """Positions of the content tokens of a window."""
    first = batch.content_starts[row]
    return slice(first, first + len(batch.windows[row].ids))


def word_looks(window: TokenWindow) -> WindowFeatures:
    """What the words of a window look like, and where each begins."""
    words = _words(window)
    return {"flags": words.flags, "strings": words.strings, "first_tokens": words.first_tokens}


def _words(window: TokenWindow) -> WordShapes:
    if window.words is None:
        raise ValueError("a window must know its words: its pass has no head that needs them")
    return window.words
