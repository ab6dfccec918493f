"""Vectors as Arrow columns hold them, and their length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from longbert.arrays import DoubleArray, FloatMatrix

_UNIT_TOLERANCE = 1e-6


def column_vectors(column: Any) -> FloatMatrix | None:
    """Read a column ``embedding``; None if it holds no vectors at all.

    Raises:
        ValueError: not a list of float32 of fixed size, or null in some rows only.
    """
    if column.null_count == len(column):
        return None
    if not pa.types.is_fixed_size_list(column.type) or not pa.types.is_float32(
        column.type.value_type
    ):
        raise ValueError(f"column embedding must be fixed_size_list<float32>, is {column.type}")
    if column.null_count:
        raise ValueError(f"column embedding is null in {column.null_count} rows, but not in all")
    values = column.flatten().to_numpy(zero_copy_only=False)
    vectors: FloatMatrix = values.reshape(len(column), column.type.list_size)
    return vectors


def lengths(vectors: FloatMatrix) -> DoubleArray:
    """Euclidean lengths, each independent of the other vectors. Shape: (n,)."""
    squares = np.square(vectors, dtype=np.float64)
    norms: DoubleArray = np.sqrt(squares.sum(axis=1))
    return norms


def unit_vectors(vectors: FloatMatrix) -> FloatMatrix:
    """Scale to length 1; vectors of length 1 (to 1e-6) or 0 are kept bit for bit."""
    norms = lengths(vectors)
    norms[(np.abs(norms - 1) <= _UNIT_TOLERANCE) | (norms == 0)] = 1
    return (vectors / norms[:, np.newaxis]).astype(np.float32)
