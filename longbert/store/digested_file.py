"""A file whose digest is computed while it is written."""

from __future__ import annotations

import hashlib
from typing import IO

from longbert.store.receipts import FileEntry


class DigestedFile:
    """A file that is being written, and what a receipt says of it.

    Args:
        file: open for writing.
    """

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._n_bytes = 0
        self._is_abandoned = False

    def write(self, data: bytes | memoryview) -> int:
        """Append some bytes."""
        n_bytes = memoryview(data).nbytes
        if not self._is_abandoned:
            self._file.write(data)
            self._digest.update(data)
            self._n_bytes += n_bytes
        return n_bytes

    def tell(self) -> int:
        """Bytes written so far."""
        return self._n_bytes

    def flush(self) -> None:
        """Nothing: the file is flushed when it is whole."""

    def abandon(self) -> None:
        """Pass over what is still written: pyarrow ends a file even when it is collected."""
        self._is_abandoned = True

    def entry(self, *, n_rows: int) -> FileEntry:
        """A receipt's entry for what was written so far."""
        return FileEntry(sha256=self._digest.hexdigest(), n_bytes=self._n_bytes, n_rows=n_rows)
