"""Local files that fail at a given change, or that are watched."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

from longbert.store.filesystem import TEMPORARY_SUFFIX, FileInfo, LocalFileSystem
from longbert.store.layout import LOCK


class Death(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


class FailingFiles(LocalFileSystem):
    """Local files on which the n-th change fails; those of the lock do not count.

    Args:
        fails_at: writes and removals, from 0, before the one that fails; None: none does.
        fault: ``"full"`` is a full disk, ``"death"`` leaves half a file as a killed process does.
    """

    def __init__(self, fails_at: int | None = None, fault: str = "full") -> None:
        self.n_changes = 0
        self._fails_at = fails_at
        self._fault = fault

    @contextmanager
    def create(self, path: str) -> Iterator[IO[bytes]]:
        if path.endswith(LOCK) or not self._is_time():
            with super().create(path) as file:
                yield file
            return
        if self._fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        written = io.BytesIO()
        yield written
        self._die(path, written.getvalue())

    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        # A file that is there is written by `create`.
        if expected is None and not path.endswith(LOCK) and self._is_time():
            if self._fault == "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            self._die(path, data)
        return super().write_if(path, data, expected=expected)

    def remove(self, path: str) -> None:
        if not path.endswith(LOCK) and self._is_time():
            raise Death if self._fault == "death" else PermissionError(errno.EACCES, "denied", path)
        super().remove(path)

    def _die(self, path: str, data: bytes) -> NoReturn:
        """Leave half a file."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path + TEMPORARY_SUFFIX).write_bytes(data[: len(data) // 2])
        raise Death

    def _is_time(self) -> bool:
        self.n_changes += 1
        return self.n_changes - 1 == self._fails_at


class WatchedFiles(LocalFileSystem):
    """Local files that call a function whenever one is opened, written or listed."""

    def __init__(self, watch: Callable[[str], None]) -> None:
        self._watch = watch

    def open(self, path: str) -> BinaryIO:
        self._watch(path)
        return super().open(path)

    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        self._watch(path)
        return super().create(path)

    def files(self, path: str) -> Iterator[FileInfo]:
        self._watch(path)
        return super().files(path)
