"""Embeddings of documents and passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longbert.arrays import DoubleArray
from longbert.config import ModelConfig
from longbert.encoders.batch import WindowBatch
from longbert.encoders.checkpoint.declared import EmbeddingSettings
from longbert.encoders.checkpoint.load import Checkpoint
from longbert.encoders.checkpoint.request import ModelRequest
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.base import Head, HeadResult, finish_at_once
from longbert.encoders.heads.pooling import (
    MeanPartial,
    MeanStream,
    PassageVectorStream,
    PooledPartial,
    PooledStream,
    merge_means,
    merge_pooled,
)
from longbert.encoders.heads.runs import sums_of_runs
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer
from longbert.encoders.tokenizers.prompts import PromptedTokenizer


class EmbeddingHeads:
    """Makes the heads of embedding models.

    Args:
        config: how documents are split into passages.
    """

    reads_ends = False

    def __init__(self, config: ModelConfig) -> None:
        self._passage_tokens = config.passage

    def encodes_passages_alone(self, request: ModelRequest) -> bool:
        """Whether its pooling is another than the mean, so that passages cannot share windows."""
        return request.settings.pooling != "mean"

    def make(
        self,
        request: ModelRequest,
        checkpoint: Checkpoint,
        *,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Head:
        """Make the head that pools documents, and by the mean passages as well."""
        settings = request.settings
        n_left_out = 0
        if isinstance(tokenizer, PromptedTokenizer) and not settings.include_prompt:
            n_left_out = tokenizer.n_positions_alone
        if settings.pooling == "mean":
            return MeanEmbeddingHead(
                settings, passage_tokens=self._passage_tokens, n_left_out=n_left_out
            )
        return PooledEmbeddingHead(settings, n_left_out=n_left_out)

    def make_for_passages(self, request: ModelRequest, *, tokenizer: Tokenizer) -> Head:
        """Make the head that pools windows of one passage each."""
        settings = request.settings
        is_left_out = isinstance(tokenizer, PromptedTokenizer) and not settings.include_prompt
        n_left_out = len(tokenizer.prefix) if is_left_out else 0
        return PassageEmbeddingHead(
            settings, passage_tokens=self._passage_tokens, n_left_out=n_left_out
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """Positions that are added up.

    Attributes:
        first: in the batch, counted through all rows.
        count: of positions.
        sign: 1 if a document's vector has them in addition to its passages, -1 if it leaves them
            out, 0 if they belong to a passage.
    """

    first: int
    count: int
    sign: int = 0


class MeanEmbeddingHead:
    """Mean pooling of documents and, chunked late, of passages.

    A passage's vector is the mean over its tokens, each taken from the window that owns it, so
    that it has seen the text around the passage (late chunking, Günther et al. 2024,
    arXiv:2409.04701). A document's vector is the mean over all its tokens and over the special
    tokens before its first window and after its last, which makes it equal to that of
    sentence-transformers when one window holds it.

    Args:
        settings: as the model declares.
        passage_tokens: content tokens of a passage.
        n_left_out: positions at the start of a document that its vector leaves out, as models do
            that do not pool their prompt; 0 pools all.
    """

    name = "embedding"
    needs_all_layers = False
    needs_word_shapes = False
    partial_type: Any = MeanPartial

    def __init__(
        self, settings: EmbeddingSettings, *, passage_tokens: int, n_left_out: int = 0
    ) -> None:
        self._normalize = settings.normalize
        self.passage_tokens: int | None = passage_tokens
        self._n_left_out = n_left_out
        self.settings: Mapping[str, Any] = _described(settings, n_left_out)
        self.digest = f"mean {settings.normalize} {n_left_out}"

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> Tensor:
        """Sums in float64, so that their order matters to no float32 result worth naming.

        Those of the parts of passages that the windows own, and of their special tokens. Shape:
        (n_runs, width).
        """
        runs = [run for row in range(len(batch.windows)) for run in self._runs(batch, row)]
        return sums_of_runs(states[-1], [(run.first, run.count) for run in runs], device)

    def partials(self, reduced: DoubleArray, batch: WindowBatch) -> list[MeanPartial]:
        """The sums of each window."""
        partials = []
        sums = iter(reduced)
        for row, window in enumerate(batch.windows):
            assert window.pieces is not None
            own = [(run, next(sums)) for run in self._runs(batch, row)]
            partials.append(
                MeanPartial(
                    passages=np.array([one.passage for one in window.pieces], dtype=np.int64),
                    counts=np.array([one.stop - one.start for one in window.pieces], np.int64),
                    sums=np.stack([total for run, total in own if not run.sign]),
                    specials=tuple(
                        (run.sign * total, run.sign * run.count) for run, total in own if run.sign
                    ),
                )
            )
        return partials

    def _runs(self, batch: WindowBatch, row: int) -> list[_Run]:
        """What is added up of a window: the pieces of passages that it owns, then special tokens.

        Those without a position are left out.
        """
        token_window = batch.windows[row]
        window = token_window.window
        assert token_window.pieces is not None
        first = row * batch.input_ids.shape[1] + batch.content_starts[row]
        shift = first - window.start
        runs = [_Run(one.start + shift, one.stop - one.start) for one in token_window.pieces]
        if token_window.is_first and not self._n_left_out:
            runs.append(_Run(first - batch.n_prefix, batch.n_prefix, sign=1))
        elif token_window.is_first:
            # What is left out of the content belongs to its passage all the same.
            count = min(max(0, self._n_left_out - batch.n_prefix), window.n_owned)
            runs.append(_Run(first, count, sign=-1))
        if token_window.is_last:
            runs.append(_Run(first + window.n_tokens, batch.n_suffix, sign=1))
        return [run for run in runs if run.count]

    def merge(self, partials: Sequence[MeanPartial]) -> MeanPartial:
        """Pieces one after the other: nothing is added before all are there."""
        return merge_means(partials)

    def stream(self) -> MeanStream:
        """Adds up in the order of the document."""
        return MeanStream(normalize=self._normalize)

    def finish(self, text: str, tokens: TokenizedText, partial: MeanPartial) -> HeadResult:
        """Add up in the order of the document."""
        return finish_at_once(self.stream(), text, tokens, partial)


class _PooledHead:
    """Pooling of a window by its first position or by the maximum.

    Args:
        settings: as the model declares.
        n_left_out: positions at the start of a document that are not pooled, 0 for none; other
            windows leave out what stands before their content.
    """

    needs_all_layers = False
    needs_word_shapes = False
    passage_tokens: int | None = None
    partial_type: Any = PooledPartial

    def __init__(self, settings: EmbeddingSettings, *, n_left_out: int = 0) -> None:
        self._pooling = settings.pooling
        self._normalize = settings.normalize
        self._n_left_out = n_left_out
        self.settings: Mapping[str, Any] = _described(settings, n_left_out)
        self.digest = f"{settings.pooling} {settings.normalize} {n_left_out}"

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> list[Tensor]:
        """One vector for each window. Shape of each: (width,)."""
        vectors = []
        for row, token_window in enumerate(batch.windows):
            first = batch.content_starts[row] - batch.n_prefix
            stop = batch.content_starts[row] + token_window.window.n_tokens + batch.n_suffix
            if self._n_left_out:
                n_left_out = self._n_left_out if token_window.is_first else batch.n_prefix
                first = min(first + n_left_out, stop - 1)
            own = states[-1][row, first:stop]
            vectors.append((own[0] if self._pooling == "cls" else own.amax(dim=0)).double())
        return vectors

    def partials(self, reduced: Sequence[DoubleArray], batch: WindowBatch) -> list[PooledPartial]:
        """The vector of each window."""
        return [
            PooledPartial(vectors=vector[None], counts=np.array([one.window.n_owned]))
            for vector, one in zip(reduced, batch.windows, strict=True)
        ]

    def merge(self, partials: Sequence[PooledPartial]) -> PooledPartial:
        """Windows one after the other."""
        return merge_pooled(partials)


class PooledEmbeddingHead(_PooledHead):
    """Document vectors of models that do not pool by the mean.

    The maximum over all windows, or for ``cls`` the mean over windows, weighted by the tokens
    that each owns.
    """

    name = "embedding"

    def stream(self) -> PooledStream:
        """Pools over windows, in their order."""
        return PooledStream(pooling=self._pooling, normalize=self._normalize)

    def finish(self, text: str, tokens: TokenizedText, partial: PooledPartial) -> HeadResult:
        """Pool over windows; one window gives its own vector."""
        return finish_at_once(self.stream(), text, tokens, partial)


class PassageEmbeddingHead(_PooledHead):
    """Passage vectors of such models: each passage is a window of its own.

    One that is too long for a window, since no letter ends within it, has several, whose vectors
    are pooled as those of a document.

    Args:
        settings, n_left_out: as above.
        passage_tokens: content tokens of a passage.
    """

    name = "passages"

    def __init__(
        self, settings: EmbeddingSettings, *, passage_tokens: int, n_left_out: int = 0
    ) -> None:
        super().__init__(settings, n_left_out=n_left_out)
        self._passage_tokens = passage_tokens

    def stream(self) -> PassageVectorStream:
        """Pools over the windows of each passage."""
        return PassageVectorStream(
            pooling=self._pooling,
            normalize=self._normalize,
            passage_tokens=self._passage_tokens,
        )

    def finish(self, text: str, tokens: TokenizedText, partial: PooledPartial) -> HeadResult:
        """Pool over the windows of each passage, which mostly is one."""
        return finish_at_once(self.stream(), text, tokens, partial)


def _described(settings: EmbeddingSettings, n_left_out: int) -> dict[str, Any]:
    return {
        "pooling": settings.pooling,
        "normalize": settings.normalize,
        "positions_left_out": n_left_out,
    }
