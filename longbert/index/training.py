"""Training the cells of an index on a sample, and setting vectors aside to measure it with."""

from __future__ import annotations

from typing import Any

import numpy as np

from longbert.arrays import FloatMatrix, IntArray
from longbert.index.backend import load_faiss, on_gpu
from longbert.index.kinds import n_cells

HELD_OUT = 500
"""Vectors that recall is measured with; training never sees them."""

_PER_CELL = 64
_PER_CODE = 64 * 256
_ROWS_AT_ONCE = 8192
_SEED = 0


def sample_size(n_rows: int) -> int:
    """Vectors to train on: 64 for each cell, and for each code of a product quantizer."""
    return min(max(_PER_CELL * n_cells(n_rows), _PER_CODE), n_rows - held_out(n_rows))


def held_out(n_rows: int) -> int:
    """Vectors to measure with: at most one in ten."""
    return min(HELD_OUT, n_rows // 10)


def split(n_rows: int) -> tuple[IntArray, IntArray]:
    """Rows to measure with and rows to train on, apart, ascending; the same for each ``n_rows``."""
    n_measured, n_trained = held_out(n_rows), sample_size(n_rows)
    drawn = np.random.default_rng(_SEED).choice(n_rows, n_measured + n_trained, replace=False)
    return np.sort(drawn[:n_measured]), np.sort(drawn[n_measured:])


def train(index: Any, vectors: FloatMatrix) -> float:
    """Train cells and codes, on a GPU where there is one.

    Returns:
        The mean squared distance of these vectors to the centres of their cells.
    """
    faiss = load_faiss()
    index.clustering_index = on_gpu(faiss.IndexFlatIP(index.d))
    index.train(vectors)
    index.clustering_index = None
    return spread(index.quantizer, vectors)


def spread(quantizer: Any, vectors: FloatMatrix) -> float:
    """Mean squared distance of vectors to the centres of their cells, to six digits."""
    total = 0.0
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        block = np.ascontiguousarray(vectors[start : start + _ROWS_AT_ONCE])
        _, cells = quantizer.search(block, 1)
        total += float(np.square(block - quantizer.reconstruct_batch(cells[:, 0])).sum())
    return float(f"{total / len(vectors):.6g}")
