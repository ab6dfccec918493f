"""The index of one table's vectors, opened: segments that are searched as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from longbert.arrays import BoolArray, DoubleArray, FloatArray, FloatVector, IntArray
from longbert.core.ranking import similarities
from longbert.errors import OutputError
from longbert.index.backend import load_faiss, on_gpu
from longbert.index.faiss_file import OpenFile, open_index_file
from longbert.index.kinds import INDEX_KINDS, IndexKind, index_kind, search_parameters
from longbert.store.held import HeldFile
from longbert.store.index_description import IndexSegment, TableIndex

ROWS_AT_ONCE = 8192
_GPU_RESULTS_AT_MOST = 2048


class OpenSegment:
    """A segment, and where its rows are in the table.

    Args:
        file: its vectors.
        kind: of index.
        firsts: first row of every part in the segment, ascending. Shape: (parts,).
        places: the same parts' first rows in the table; -1 for those that are no longer in it.
    """

    def __init__(self, file: OpenFile, kind: IndexKind, firsts: IntArray, places: IntArray) -> None:
        self.file = file
        self.kind = kind
        self._firsts = firsts
        self._places = places
        self._sizes = np.diff(np.append(firsts, len(file.ids)))

    @cached_property
    def alive(self) -> BoolArray | None:
        """Which rows the table still has; None: all of them. Shape: (rows,)."""
        if (self._places >= 0).all():
            return None
        return np.repeat(self._places >= 0, self._sizes)

    def own(self, rows: BoolArray) -> BoolArray:
        """Cut a mask of rows of the table to those of the segment. Shape: (rows,)."""
        mask = np.zeros(len(self.file.ids), np.bool_)
        for first, place, size in zip(self._firsts, self._places, self._sizes, strict=True):
            if place >= 0:
                mask[first : first + size] = rows[place : place + size]
        return mask

    def in_table(self, rows: IntArray) -> IntArray:
        """Rows of the table for rows of the segment."""
        part = np.searchsorted(self._firsts, rows, side="right") - 1
        return self._places[part] + rows - self._firsts[part]

    def search(
        self, query: FloatVector, n: int, effort: int, mask: BoolArray | None
    ) -> tuple[FloatArray, IntArray]:
        """Find about ``n`` rows of the segment with the highest inner products, best first."""
        mask = self.alive if mask is None else mask
        selector = None
        if mask is not None:
            selector = load_faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        # A graph is walked with as many nodes in view as are wanted, or more.
        effort = max(effort, n) if self.kind.effort == "efSearch" else effort
        parameters = search_parameters(self.kind, effort, selector)
        n = min(n, len(self.file.ids))
        on_this = self.file.searched
        if selector is None and n <= _GPU_RESULTS_AT_MOST and self.kind.on_gpu:
            on_this = self._on_gpu
        scores, rows = on_this.search(query[np.newaxis], n, params=parameters)
        is_found = rows[0] >= 0
        return scores[0][is_found], rows[0][is_found]

    def vectors(self, rows: IntArray) -> FloatArray:
        """Vectors of some rows of the segment. Shape: (rows, width)."""
        found: FloatArray = self.file.vectors.reconstruct_batch(rows)
        return found

    @cached_property
    def _on_gpu(self) -> Any:
        return on_gpu(self.file.searched)


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of the table that a search found.

    Attributes:
        rows: best first.
        scores: their inner products, but for rounding.
        bound: what no other row scores more than, but for rounding; a guess where the index is
            not exact.
    """

    rows: IntArray
    scores: FloatArray
    bound: float


class OpenTable:
    """The vectors of a table, whose rows are numbered in the order of the table.

    Args:
        index: as described.
        segments: opened, in the same order.
        parts: first row of every part, in the order of the table. Shape: (parts,).
        owners: segment of every part. Shape: (parts,).
        inside: first row of every part in its segment. Shape: (parts,).
        n_rows: of the table.
        remedy: what mends the index, for messages.
    """

    def __init__(
        self,
        index: TableIndex,
        segments: Sequence[OpenSegment],
        parts: IntArray,
        owners: IntArray,
        inside: IntArray,
        n_rows: int,
        remedy: str,
    ) -> None:
        self._remedy = remedy
        self._tuning = index.tuning
        self._segments = tuple(segments)
        self._parts = parts
        self._owners = owners
        self._inside = inside
        self.n_rows = n_rows
        self.width = int(segments[0].file.vectors.d)
        self.is_exact = index_kind(index.type).is_exact
        self.longest_vector = max(one.longest_vector for one in index.segments)

    @classmethod
    def open(
        cls,
        files: Mapping[str, HeldFile],
        index: TableIndex,
        parts: Sequence[str],
        *,
        metric: str,
    ) -> OpenTable:
        """Open all segments.

        Args:
            files: of the index, by name.
            index: of the table.
            parts: that the manifest names, in order.
            metric: of the index.

        Raises:
            OutputError: a file is missing or damaged.
        """
        sizes = {part.name: part.n_rows for one in index.segments for part in one.parts}
        held = [name for name in parts if name in sizes]
        starts = np.cumsum([0, *(sizes[name] for name in held)])
        places = dict(zip(held, starts.tolist(), strict=False))
        numbers = {name: number for number, name in enumerate(held)}
        owners, inside = (np.zeros(len(held), np.int64) for _ in range(2))
        segments = []
        for number, segment in enumerate(index.segments):
            firsts = _firsts(segment)
            for part, first in zip(segment.parts, firsts.tolist(), strict=True):
                if part.name in numbers:
                    owners[numbers[part.name]], inside[numbers[part.name]] = number, first
            own = np.array([places.get(part.name, -1) for part in segment.parts], np.int64)
            file = open_index_file(files[segment.file], segment, metric=metric)
            segments.append(OpenSegment(file, INDEX_KINDS[segment.type], firsts, own))
        remedy = files[index.segments[0].file].remedy
        return cls(index, segments, starts[:-1], owners, inside, int(starts[-1]), remedy)

    @property
    def ids(self) -> IntArray:
        """Ids of all rows. Shape: (rows,)."""
        ids = np.empty(self.n_rows, np.int64)
        for segment in self._segments:
            rows = np.arange(len(segment.file.ids))
            rows = rows if segment.alive is None else rows[segment.alive]
            ids[segment.in_table(rows)] = segment.file.ids[rows]
        return ids

    def search(
        self, query: FloatVector, n: int, *, harder: int = 1, allowed: BoolArray | None = None
    ) -> Found:
        """Find the rows with the highest inner products.

        Args:
            query: shape (width,).
            n: rows wanted.
            harder: what the effort is multiplied by.
            allowed: rows that may be found; None: all. Shape: (rows of the table,).
        """
        scores: list[FloatArray] = [np.zeros(0, np.float32)]
        rows: list[IntArray] = [np.zeros(0, np.int64)]
        for segment in self._segments:
            mask = None if allowed is None else segment.own(allowed)
            depth = n + self._tuning.candidates if segment.kind.is_coded else n
            found, own = segment.search(query, depth, self._tuning.effort * harder, mask)
            if segment.kind.is_coded:
                found = similarities(segment.vectors(own), query)
            scores.append(found)
            rows.append(segment.in_table(own))
        all_scores, all_rows = np.concatenate(scores), np.concatenate(rows)
        order = np.argsort(-all_scores, kind="stable")[:n]
        bound = float(all_scores[order[-1]]) if len(order) else -np.inf
        return Found(all_rows[order], all_scores[order], bound)

    def vectors(self, rows: IntArray) -> FloatArray:
        """Vectors of some rows. Shape: (rows, width)."""
        part = np.searchsorted(self._parts, rows, side="right") - 1
        owners, inside = self._owners[part], self._inside[part] + rows - self._parts[part]
        numbers = np.unique(owners).tolist()
        if len(numbers) == 1:
            whole: FloatArray = self._segments[numbers[0]].vectors(inside)
            return whole
        found = np.empty((len(rows), self.width), np.float32)
        for number in numbers:
            here = owners == number
            found[here] = self._segments[number].vectors(inside[here])
        return found

    def scores(self, queries: FloatArray, rows: IntArray) -> FloatArray:
        """Score rows exactly, independent of which rows and queries come together.

        Args:
            queries: shape (..., width).
            rows: whose vectors are read once for all queries.

        Returns:
            Shape: (..., rows).

        Raises:
            OutputError: a vector is not finite.
        """
        scores = np.empty((*queries.shape[:-1], len(rows)), np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = rows[start : start + ROWS_AT_ONCE]
            scores[..., start : start + len(block)] = similarities(self.vectors(block), queries)
        if not np.isfinite(scores).all():
            raise OutputError(
                f"the index holds a vector with NaN or infinity, so it is damaged: {self._remedy}"
            )
        return scores

    def rounding(self, query: FloatVector) -> float:
        """Bound how far FAISS's float32 sum may be from the exact inner product.

        At most ``width * 2**-24`` of the product of the lengths in whatever order it is summed
        (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); twice that,
        to cover the rounding of our own scores.
        """
        wide: DoubleArray = query.astype(np.float64)
        return float((len(query) + 8) * 2.0**-23 * np.sqrt(wide @ wide) * self.longest_vector)


def _firsts(segment: IndexSegment) -> IntArray:
    return np.cumsum([0, *(part.n_rows for part in segment.parts)])[:-1]
