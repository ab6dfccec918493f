"""Files of named arrays, which are read through a memory map.

They are safetensors files: a JSON header and plain little-endian arrays, so they also open in
``safetensors.numpy``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from longbert.arrays import Array

_TYPES = {"U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "I64": "<i8"}


def pack(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> bytes:
    """Make a file: the same content gives the same bytes.

    Args:
        arrays: of one dimension, by name; unsigned, or int64.
        facts: for JSON.
    """
    from safetensors.numpy import save

    # A single entry, for safetensors writes several in no fixed order.
    return save(dict(arrays), metadata={"longbert": json.dumps(facts, sort_keys=True)})


def unpack(data: Any, names: Iterable[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a file without copying or touching its arrays.

    Args:
        data: its bytes, best a memory map.
        names: of the arrays that it must have.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is damaged.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8 : 8 + size]))
    facts: dict[str, Any] = json.loads(header.pop("__metadata__")["longbert"])
    names = sorted(names)
    if missing := [name for name in names if name not in header]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return {name: _array(data, 8 + size, header[name]) for name in names}, facts


def smallest(values: Array) -> Array:
    """The values in the smallest unsigned integers that hold them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _array(data: Any, offset: int, entry: Mapping[str, Any]) -> Array:
    start, stop = entry["data_offsets"]
    kind = np.dtype(_TYPES[entry["dtype"]])
    if (
        not 0 <= start <= stop <= len(data) - offset
        or stop - start != kind.itemsize * entry["shape"][0]
    ):
        raise ValueError("it ends too early")
    return np.frombuffer(data, kind, (stop - start) // kind.itemsize, offset + start)
