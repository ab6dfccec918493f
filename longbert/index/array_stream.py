"""A safetensors file written from arrays that are on disk, with the bytes of ``safetensors``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from longbert.arrays import Array

CHUNK_ITEMS = 1 << 20
_ALIGNMENT_BYTES = 8


class Writable(Protocol):
    """A file open for writing."""

    def write(self, data: bytes, /) -> int:
        """Append some bytes."""


class ArrayOnDisk:
    """Unsigned whole numbers that are appended to and then read once, in order.

    They are in a file without a name, of which nothing is left however the process ends; a
    ``with`` block closes it.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._highest = 0
        self.n_items = 0

    def append(self, values: Array) -> None:
        """Append values; raises OSError if the disk is full."""
        self._file.write(values.astype("<u8").tobytes())
        self._highest = max(self._highest, int(values.max(initial=0)))
        self.n_items += len(values)

    @property
    def kind(self) -> np.dtype[Any]:
        """The smallest type that holds all of them."""
        return np.min_scalar_type(self._highest).newbyteorder("<")

    def chunks(self) -> Iterator[Array]:
        """All values, in that type."""
        self._file.seek(0)
        while len(values := np.fromfile(self._file, "<u8", CHUNK_ITEMS)):
            yield values.astype(self.kind)

    def __enter__(self) -> ArrayOnDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_arrays(
    file: Writable,
    arrays: Mapping[str, ArrayOnDisk],
    kinds: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Write the file that :func:`longbert.index.array_file.pack` makes.

    Args:
        file: open for writing.
        arrays: by name.
        kinds: types of those that are not to have the smallest one, by name.
        facts: for JSON.
    """
    types = {name: np.dtype(kinds.get(name, one.kind)) for name, one in arrays.items()}
    # The widest first, as safetensors aligns them.
    names = sorted(arrays, key=lambda name: (-types[name].itemsize, types[name].kind == "i", name))
    header: dict[str, Any] = {"__metadata__": {"longbert": json.dumps(facts, sort_keys=True)}}
    start = 0
    for name in names:
        stop = start + arrays[name].n_items * types[name].itemsize
        header[name] = {
            "dtype": f"{types[name].kind.upper()}{8 * types[name].itemsize}",
            "shape": [arrays[name].n_items],
            "data_offsets": [start, stop],
        }
        start = stop
    written = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % _ALIGNMENT_BYTES)
    file.write(len(written).to_bytes(8, "little") + written)
    for name in names:
        for chunk in arrays[name].chunks():
            file.write(chunk.astype(types[name].newbyteorder("<")).tobytes())
