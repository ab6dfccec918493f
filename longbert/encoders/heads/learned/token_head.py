"""A learned tagger on the windows of a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longbert.arrays import Array, FloatArray, IntArray
from longbert.config import ModelConfig
from longbert.core.word_shape import WordShapes
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.checkpoint.digest import weights_digest
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.heads.learned.projection import COMPUTATION, StateProjection
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
            extra={
                "labels": config.labels,
                "temperature": config.temperature,
                "computation": COMPUTATION,
            },
        )

    def reduce(
        self,
        states: Sequence[Tensor],
        batch: WindowBatch,
        device: Device,
        kept: Sequence[slice] | None = None,
    ) -> list[Tensor]:
        """Emissions of words of each window. Shape of each: (n_words, n_labels).

        Only words within reach of those that are kept are looked at. The mean over a word's tokens
        is taken of their projection, which is the projection of their mean.
        """
        found = []
        with torch.inference_mode():
            project = StateProjection(self._module.states, self._module.shape.layers, states)
            for row, run in enumerate(self._runs(batch, kept)):
                first = batch.content_starts[row]
                of_tokens = project(row, slice(first + run.tokens.start, first + run.tokens.stop))
                projected = word_means(of_tokens, device.upload(run.n_tokens))
                looks = word_looks(batch.windows[row])
                flags, strings = (
                    device.upload(looks[name][run.words]) for name in ("flags", "strings")
                )
                found.append(self._emissions(projected, flags, strings))
        return found

    def content_logits(
        self,
        reduced: Sequence[FloatArray],
        batch: WindowBatch,
        kept: Sequence[slice] | None = None,
    ) -> Iterator[FloatArray]:
        """Emissions of content tokens of each window; a word's tokens have the same."""
        for emissions, run in zip(reduced, self._runs(batch, kept), strict=True):
            yield emissions[run.word_of_token]

    def token_logits(self, features: WindowFeatures, n_tokens: int) -> FloatArray:
        """The same of the stored features of one window. Shape: (n_tokens, n_labels)."""
        with torch.inference_mode():
            states, flags, strings = (
                torch.from_numpy(np.array(features[name])).to(self._device)
                for name in ("states", "flags", "strings")
            )
            projected = self._module.states(states.flatten(1))
            emissions = self._emissions(projected, flags, strings).cpu().numpy()
        n_each = np.diff(features["first_tokens"], append=n_tokens)
        return np.repeat(emissions, n_each, axis=0)

    def _emissions(self, projected: Tensor, flags: Tensor, strings: Tensor) -> Tensor:
        """Emissions of some neighbouring words of a window. Shape: (n_words, n_labels)."""
        emissions: Tensor = self._module.forward_projected(
            projected[None], flags[None], strings[None]
        )[0]
        return emissions

    def _runs(self, batch: WindowBatch, kept: Sequence[slice] | None) -> Iterator[WordRun]:
        """The words of each window that are looked at."""
        for row, window in enumerate(batch.windows):
            n_tokens = len(window.ids)
            yield words_around(
                _words(window).first_tokens,
                slice(0, n_tokens) if kept is None else kept[row],
                n_tokens=n_tokens,
                reach=self._module.shape.reach,
            )


@dataclass(frozen=True, slots=True)
class WordRun:
    """Neighbouring words of a window, around tokens that are kept.

    Attributes:
        words: among those of the window.
        tokens: of these words, among those of the window.
        n_tokens: of each of these words. Shape: (n_words,).
        word_of_token: of each token that is kept, counted among these words. Shape: (n_kept,).
    """

    words: slice
    tokens: slice
    n_tokens: IntArray
    word_of_token: IntArray


def words_around(first_tokens: IntArray, kept: slice, *, n_tokens: int, reach: int) -> WordRun:
    """The words of some tokens, and as many on both sides as these depend on.

    Args:
        first_tokens: of the words of the window. Shape: (n_words,).
        kept: tokens of the window, at least one.
        n_tokens: of the window.
        reach: words on each side, where there are so many.
    """
    own = np.searchsorted(first_tokens, np.arange(kept.start, kept.stop), side="right") - 1
    first = max(int(own[0]) - reach, 0)
    stop = min(int(own[-1]) + 1 + reach, len(first_tokens))
    start_token = int(first_tokens[first])
    stop_token = n_tokens if stop == len(first_tokens) else int(first_tokens[stop])
    return WordRun(
        words=slice(first, stop),
        tokens=slice(start_token, stop_token),
        n_tokens=np.diff(first_tokens[first:stop], append=stop_token),
        word_of_token=own - first,
    )


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
