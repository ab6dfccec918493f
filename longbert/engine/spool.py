"""Rows that wait on disk until their turn comes."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from typing_extensions import override

Item = TypeVar("Item")

_IN_MEMORY_BYTES = 1 << 20


class Spool(Iterable[Item], Generic[Item]):
    """Items in the order in which they were added; beyond a megabyte they are in a file.

    They can be read again and again, once there are no more to add, by one reader at a time. The
    file has no name, so that nothing of it is left, however the process ends, and is closed with
    the last reference to it.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115
        self._n_items = 0
        for item in items:
            self.add(item)

    def add(self, item: Item) -> None:
        """Append an item; raises OSError if the disk is full."""
        pickle.dump(item, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._n_items += 1

    def __len__(self) -> int:
        return self._n_items

    @override
    def __iter__(self) -> Iterator[Item]:
        self._file.seek(0)
        for _ in range(self._n_items):
            yield pickle.load(self._file)

    def __del__(self) -> None:
        self._file.close()

    def close(self) -> None:
        """Remove them."""
        self._file.close()
