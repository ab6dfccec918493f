"""Rows that wait on disk until their turn in a table comes."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

_IN_MEMORY_BYTES = 1 << 20


class Spool(Generic[Item]):
    """Items in the order in which they were added; beyond a megabyte they are in a file.

    The file has no name, so that nothing of it is left, however the process ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115
        self._n_items = 0

    def add(self, item: Item) -> None:
        """Append an item; raises OSError if the disk is full."""
        pickle.dump(item, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._n_items += 1

    def items(self) -> Iterator[Item]:
        """All items, once there are no more to add."""
        self._file.seek(0)
        for _ in range(self._n_items):
            yield pickle.load(self._file)

    def close(self) -> None:
        """Remove them."""
        self._file.close()
