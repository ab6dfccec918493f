"""The few file operations that longbert needs, and their local implementation.

Everything above works on a :class:`FileSystem`, so that the Beam layer can supply
one that knows object stores.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

TEMPORARY_SUFFIX = ".tmp"
"""Ending of a file that is still being written."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file's path as given to ``open``, and its size."""

    path: str
    n_bytes: int


class FileSystem(Protocol):
    """Files by path; paths use ``/`` and may carry a scheme such as ``gs://``."""

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` is a folder (in an object store: a prefix with files under it)."""

    def files(self, path: str) -> Iterator[FileInfo]:
        """All files under the folder ``path``, recursively, in any order."""

    def match(self, pattern: str) -> Iterator[FileInfo]:
        """Files whose path matches ``pattern`` (a plain path matches itself), in any order."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading; raises OSError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file so that it is there whole or not at all, folders included.

        Raises:
            OSError: the folder cannot be made, is not writable, or is full.
        """

    def remove(self, path: str) -> None:
        """Remove a file; no error if there is none."""


class LocalFileSystem:
    """Files of this machine."""

    def is_folder(self, path: str) -> bool:
        """See :class:`FileSystem`."""
        return os.path.isdir(path)

    def files(self, path: str) -> Iterator[FileInfo]:
        """See :class:`FileSystem`; a folder that cannot be listed raises OSError.

        Links are followed, but not into a folder that they lie in.
        """
        yield from _files(path, above=frozenset())

    def match(self, pattern: str) -> Iterator[FileInfo]:
        """See :class:`FileSystem`; ``**`` matches folders."""
        if os.path.isfile(pattern):
            yield FileInfo(pattern, _size(pattern))
            return
        for path in glob.glob(pattern, recursive=True):
            if _is_listed(path):
                yield FileInfo(path, _size(path))

    def open(self, path: str) -> BinaryIO:
        """See :class:`FileSystem`."""
        return open(path, "rb")

    def write(self, path: str, data: bytes) -> None:
        """See :class:`FileSystem`: beside it, fsync, rename, fsync of the folder."""
        folder = os.path.dirname(path) or "."
        os.makedirs(folder, exist_ok=True)
        beside = f"{path}{TEMPORARY_SUFFIX}"
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: str) -> None:
        """See :class:`FileSystem`."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _files(folder: str, *, above: frozenset[tuple[int, int]]) -> Iterator[FileInfo]:
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries]
    for path in found:
        if os.path.isdir(path):
            yield from _files(path, above=above | {identity})
        elif _is_listed(path):
            yield FileInfo(path, _size(path))


def _is_listed(path: str) -> bool:
    """Whether a path is a file, or a dangling link, which shall not go unnoticed.

    Devices, sockets and pipes are not: opening one may wait for ever.
    """
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def _size(path: str) -> int:
    """Size in bytes; 0 for a dangling link, which fails when it is opened."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
