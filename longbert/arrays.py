"""The types of arrays, named once; shapes are told where they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FloatArray = npt.NDArray[np.float32]
"""float32."""

FloatVector = npt.NDArray[np.float32]
"""float32. Shape: (width,)."""

FloatMatrix = npt.NDArray[np.float32]
"""float32. Shape: (rows, width)."""

DoubleArray = npt.NDArray[np.float64]
"""float64."""

AnyFloatArray = npt.NDArray[np.floating[Any]]
"""Of any precision."""

IntArray = npt.NDArray[np.int64]
"""int64."""

IdArray = npt.NDArray[np.int32]
"""int32: ids of tokens."""

BoolArray = npt.NDArray[np.bool_]
"""Booleans."""

TermArray = npt.NDArray[np.uint64]
"""uint64: numbers of terms."""

UnsignedArray = npt.NDArray[np.unsignedinteger]
"""Unsigned, of the smallest width that holds the values."""
