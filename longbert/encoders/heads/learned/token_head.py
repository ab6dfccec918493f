"""A learned tagger on the windows of a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from longbert.arrays import Array, FloatArray
from longbert.config import ModelConfig
from longbert.core.word_shape import WordShapes
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.checkpoint.digest import weights_digest
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.heads.learned.tagger import TaggerShape, WordTagger, word_states
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

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> list[Tensor]:
        """Emissions of the words of each window. Shape of each: (n_words, n_labels)."""
        layers = self._module.shape.layers
        found = []
        with torch.inference_mode():
            for row, window in enumerate(batch.windows):
                own = window_word_states(layers, states, batch, row, upload=device.upload)
                looks = word_looks(window)
                flags, strings = (device.upload(looks[name]) for name in ("flags", "strings"))
                found.append(self._emissions(own, flags, strings))
        return found

    def content_logits(
        self, reduced: Sequence[FloatArray], batch: WindowBatch
    ) -> Iterator[FloatArray]:
        """Emissions of the content tokens of each window; a word's tokens have the same."""
        for emissions, window in zip(reduced, batch.windows, strict=True):
            yield _of_tokens(emissions, word_looks(window), len(window.ids))

    def token_logits(self, features: WindowFeatures, n_tokens: int) -> FloatArray:
        """Emissions of the tokens of one window, by itself. Shape: (n_tokens, n_labels)."""
        with torch.inference_mode():
            emissions = self._emissions(
                *(
                    torch.from_numpy(np.array(features[name])).to(self._device)
                    for name in ("states", "flags", "strings")
                )
            )
        return _of_tokens(emissions.cpu().numpy(), features, n_tokens)

    def _emissions(self, states: Tensor, flags: Tensor, strings: Tensor) -> Tensor:
        """Of the words of one window."""
        mask = states.new_ones((1, len(states)))
        emissions: Tensor = self._module(states[None], flags[None], strings[None], mask)[0]
        return emissions


def _of_tokens(emissions: FloatArray, looks: WindowFeatures, n_tokens: int) -> FloatArray:
    """Those of its word for each token. Shapes: (n_words, n_labels), (n_tokens, n_labels)."""
    return np.repeat(emissions, np.diff(looks["first_tokens"], append=n_tokens), axis=0)


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


def tagger_features(
    layers: Sequence[int], states: Sequence[Tensor], batch: WindowBatch, row: int
) -> WindowFeatures:
    """What a tagger reads of one window.

    Args:
        layers: of the hidden states.
        states: of the batch, for every layer.
        batch: whose windows know their words.
        row: of the window.
    """
    own = window_word_states(layers, states, batch, row).cpu().numpy()
    return {"states": own, **word_looks(batch.windows[row])}


def window_word_states(
    layers: Sequence[int],
    states: Sequence[Tensor],
    batch: WindowBatch,
    row: int,
    *,
    upload: Callable[[Array], Tensor] = torch.from_numpy,
) -> Tensor:
    """Hidden states of the words of one window, differentiable.

    Args:
        layers: of the hidden states.
        states: of the batch, for every layer.
        batch: whose windows know their words.
        row: of the window.
        upload: brings an array to where the states are.

    Returns:
        Shape: (words, layers, width).
    """
    window = batch.windows[row]
    first = batch.content_starts[row]
    own = [states[layer][row, first : first + len(window.ids)] for layer in layers]
    n_tokens = np.diff(_words(window).first_tokens, append=len(window.ids))
    return word_states(own, upload(n_tokens))


def word_looks(window: TokenWindow) -> WindowFeatures:
    """What the words of a window look like, and where each begins."""
    words = _words(window)
    return {"flags": words.flags, "strings": words.strings, "first_tokens": words.first_tokens}


def _words(window: TokenWindow) -> WordShapes:
    if window.words is None:
        raise ValueError("a window must know its words: its pass has no head that needs them")
    return window.words
