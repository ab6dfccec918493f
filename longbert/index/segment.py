"""Building one segment of an index from gathered vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from longbert.arrays import FloatVector, IntArray
from longbert.core.ranking import similarities
from longbert.index.faiss_file import beside_vectors, flat_view, write_index_file
from longbert.index.kinds import INDEX_KINDS, IndexKind, search_parameters
from longbert.index.rows import Rows
from longbert.index.tuning import NEAREST, Tuned, exact_nearest, steps, tune
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexSegment

ROWS_AT_ONCE = 65_536
_EFFORTS = {"nprobe": (1, 4_096), "efSearch": (16, 4_096)}
_CANDIDATES = (32, 4_096)


def fill(index: Any, kind: IndexKind, rows: Rows) -> Any:
    """Add vectors to an index, and lay them beside it where it keeps codes.

    Vectors are added block by block, except to a graph, which comes out the same on any number of
    threads only if they are added all at once.

    Returns:
        The index to write.
    """
    if kind.is_exact:
        return flat_view(rows.path, *rows.vectors.shape)
    n_at_once = ROWS_AT_ONCE if kind.has_cells else len(rows.vectors)
    for start in range(0, len(rows.vectors), n_at_once):
        index.add(rows.vectors[start : start + n_at_once])
    if kind.is_coded:
        return beside_vectors(index, flat_view(rows.path, *rows.vectors.shape))
    return index


def tune_segment(index: Any, type: str, rows: Rows, queries: IntArray, recall: float) -> Tuned:
    """Find how hard the index of a single segment has to look.

    Args:
        index: without the vectors beside it.
        type: key of :data:`longbert.index.kinds.INDEX_KINDS`.
        rows: that are in it.
        queries: rows to measure with, which it was not trained on. Shape: (queries,).
        recall: to reach.

    Raises:
        ConfigError: it cannot be reached.
    """
    kind = INDEX_KINDS[type]

    def search(query: FloatVector, effort: int, candidates: int) -> IntArray:
        parameters = search_parameters(kind, effort, None)
        depth = min(NEAREST + 1 + candidates, len(rows.ids))
        _, found = index.search(query[np.newaxis], depth, params=parameters)
        near: IntArray = found[0][found[0] >= 0]
        if kind.is_coded:
            scores = similarities(rows.vectors[near], query)
            near = near[np.argsort(-scores, kind="stable")]
        return near[: NEAREST + 1]

    least, most = _EFFORTS[kind.effort]
    if kind.has_cells:
        most = min(most, index.nlist)
    return tune(
        search,
        rows.vectors,
        queries,
        exact_nearest(rows.vectors, queries),
        recall=recall,
        efforts=steps(least, most),
        candidates=steps(*_CANDIDATES) if kind.is_coded else (0,),
        name=type,
    )


def write_segment(
    output: OutputFolder, table: str, type: str, index: Any, rows: Rows, *, spread: float
) -> IndexSegment:
    """Write an index as a segment."""
    file, sha256, n_bytes = write_index_file(output, table, index, rows.ids)
    beside = rows.vectors.nbytes if INDEX_KINDS[type].is_coded else 0
    return IndexSegment(
        file=file,
        sha256=sha256,
        n_bytes=n_bytes,
        type=type,
        memory_bytes=n_bytes - beside,
        longest_vector=rows.longest,
        spread=spread,
        parts=rows.parts,
    )
