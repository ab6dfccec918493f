"""Vectors of documents and passages from the partials of windows, in the order of the document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import DoubleArray, FloatArray, IntArray
from longbert.core.passages import PassageStream
from longbert.core.text_stream import Text
from longbert.encoders.heads.base import HeadResult, check_finite
from longbert.encoders.tokenizers.base import TokenizedText


@dataclass(frozen=True, slots=True)
class MeanPartial:
    """Sums of token vectors over the pieces of passages that windows own.

    Attributes:
        passages: ordinal of each piece's passage. Shape: (n_pieces,).
        counts: tokens of each piece. Shape: (n_pieces,).
        sums: Shape: (n_pieces, width).
        specials: sums and counts of the document's leading and trailing special tokens, where
            these windows hold them; negative for tokens that its vector leaves out.
            Shapes: (width,), ().
    """

    passages: IntArray
    counts: IntArray
    sums: DoubleArray
    specials: tuple[tuple[DoubleArray, int], ...]


@dataclass(frozen=True, slots=True)
class PooledPartial:
    """A vector for each window.

    Attributes:
        vectors: Shape: (n_windows, width).
        counts: tokens that each window owns. Shape: (n_windows,).
    """

    vectors: DoubleArray
    counts: IntArray


def merge_means(partials: Sequence[MeanPartial]) -> MeanPartial:
    """Pieces one after the other."""
    return MeanPartial(
        passages=np.concatenate([partial.passages for partial in partials]),
        counts=np.concatenate([partial.counts for partial in partials]),
        sums=np.concatenate([partial.sums for partial in partials]),
        specials=tuple(special for partial in partials for special in partial.specials),
    )


def merge_pooled(partials: Sequence[PooledPartial]) -> PooledPartial:
    """Windows one after the other."""
    return PooledPartial(
        vectors=np.concatenate([partial.vectors for partial in partials]),
        counts=np.concatenate([partial.counts for partial in partials]),
    )


class MeanStream:
    """Means over the tokens of passages and of the document.

    Args:
        normalize: whether vectors are scaled to length 1.
    """

    first_char: int | None = None

    def __init__(self, *, normalize: bool) -> None:
        self._normalize = normalize
        self._n_tokens = 0
        self._total: DoubleArray | None = None
        self._specials: list[tuple[DoubleArray, int]] = []
        # The passage that may go on.
        self._passage = 0
        self._sum: DoubleArray | None = None
        self._count = 0

    def add(self, text: Text, tokens: TokenizedText, partials: Sequence[MeanPartial]) -> HeadResult:
        """The vectors of passages that have ended."""
        self._n_tokens += len(tokens)
        if not partials:
            return HeadResult()
        partial = merge_means(partials)
        self._specials += partial.specials
        places = partial.passages - self._passage
        sums = np.zeros((int(places[-1]) + 1, partial.sums.shape[1]))
        counts = np.zeros(len(sums), dtype=np.int64)
        if self._sum is not None:
            sums[0], counts[0] = self._sum, self._count
        np.add.at(sums, places, partial.sums)
        np.add.at(counts, places, partial.counts)
        self._passage += len(sums) - 1
        self._sum, self._count = sums[-1], int(counts[-1])
        if len(sums) > 1:
            self._total = _add_rows(self._total, sums[:-1])
        return self._of_passages(sums[:-1], counts[:-1])

    def finish(self, text: Text) -> HeadResult:
        """The vectors of the last passage and of the document."""
        assert self._sum is not None
        total = _add_rows(self._total, self._sum[None])
        total = total + sum(vector for vector, _ in self._specials)
        check_finite(total)
        count = self._n_tokens + sum(n for _, n in self._specials)
        return HeadResult(
            embedding=_vectors(total / max(count, 1), self._normalize)
        ) + self._of_passages(self._sum[None], np.array([self._count]))

    def _of_passages(self, sums: DoubleArray, counts: IntArray) -> HeadResult:
        return HeadResult(passage_embeddings=_vectors(sums / counts[:, None], self._normalize))


class PooledStream:
    """The maximum over windows, or their mean weighted by the tokens that each owns.

    Args:
        pooling: ``max`` or ``cls``.
        normalize: whether the vector is scaled to length 1.
    """

    first_char: int | None = None

    def __init__(self, *, pooling: str, normalize: bool) -> None:
        self._pooling = pooling
        self._normalize = normalize
        self._pooled: DoubleArray | None = None
        self._count = 0

    def add(
        self, text: Text, tokens: TokenizedText, partials: Sequence[PooledPartial]
    ) -> HeadResult:
        """Nothing before all windows are there."""
        if not partials:
            return HeadResult()
        partial = merge_pooled(partials)
        check_finite(partial.vectors)
        if self._pooling == "max":
            held = [] if self._pooled is None else [self._pooled[None]]
            self._pooled = np.concatenate([*held, partial.vectors]).max(axis=0)
        else:
            self._pooled = _add_rows(self._pooled, partial.vectors * partial.counts[:, None])
        self._count += int(partial.counts.sum())
        return HeadResult()

    def finish(self, text: Text) -> HeadResult:
        """The vector of the document."""
        assert self._pooled is not None
        vector = self._pooled if self._pooling == "max" else self._pooled / self._count
        return HeadResult(embedding=_vectors(vector, self._normalize))


class PassageVectorStream:
    """Vectors of passages, each pooled over the windows that are its own.

    Args:
        pooling, normalize: as above.
        passage_tokens: content tokens of a passage.
    """

    first_char: int | None = None

    def __init__(self, *, pooling: str, normalize: bool, passage_tokens: int) -> None:
        self._pooling = pooling
        self._normalize = normalize
        self._passages = PassageStream(size=passage_tokens)
        # Starts of the passages that are not done, and windows from the first of them on.
        self._starts: list[int] = []
        self._windows: PooledPartial | None = None

    def add(
        self, text: Text, tokens: TokenizedText, partials: Sequence[PooledPartial]
    ) -> HeadResult:
        """The vectors of passages that have ended."""
        self._starts += self._passages.add(tokens.offsets)
        if partials:
            held = [] if self._windows is None else [self._windows]
            self._windows = merge_pooled([*held, *partials])
            check_finite(self._windows.vectors)
        if self._windows is None:
            return HeadResult()
        reached = self._starts[0] + int(self._windows.counts.sum())
        n_done = sum(start <= reached for start in self._starts[1:])
        return self._take(self._starts[: n_done + 1])

    def finish(self, text: Text) -> HeadResult:
        """The vectors of the passages that are left."""
        assert self._windows is not None
        stop = self._starts[0] + int(self._windows.counts.sum())
        return self._take([*self._starts, *self._passages.finish(), stop])

    def _take(self, borders: Sequence[int]) -> HeadResult:
        """Pool the passages between some borders."""
        assert self._windows is not None
        vectors, counts = self._windows.vectors, self._windows.counts
        places = np.array(borders, dtype=np.int64) - borders[0]
        ends = np.cumsum(counts)
        firsts = np.searchsorted(ends - counts, places)
        stop = int(firsts[-1])
        self._starts = self._starts[len(borders) - 1 :]
        self._windows = PooledPartial(vectors[stop:], counts[stop:])
        if len(borders) == 1:
            pooled = vectors[:0]
        elif self._pooling == "max":
            pooled = np.maximum.reduceat(vectors[:stop], firsts[:-1])
        else:
            weights = counts[:stop] / np.repeat(np.diff(places), np.diff(firsts))
            pooled = np.add.reduceat(vectors[:stop] * weights[:, None], firsts[:-1])
        return HeadResult(passage_embeddings=_vectors(pooled, self._normalize))


def _add_rows(total: DoubleArray | None, rows: DoubleArray) -> DoubleArray:
    """Add at least one row to a total, one after the other.

    numpy adds so along every axis but the last.
    """
    held = rows if total is None else np.concatenate([total[None], rows])
    added: DoubleArray = held.sum(axis=0)
    return added


def _vectors(vectors: DoubleArray, normalize: bool) -> FloatArray:
    if normalize:
        norms = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
        vectors = vectors / np.maximum(norms, 1e-12)
    return vectors.astype(np.float32)
