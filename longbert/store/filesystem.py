"""The few file operations that longbert needs, and their local implementation.

Everything above works on a :class:`FileSystem`, so that the Beam layer can supply one that knows
object stores.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from typing_extensions import override

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
        """All files under the folder ``path``, recursively, in any order.

        Raises:
            OSError: a folder cannot be listed.
        """

    def match(self, pattern: str) -> Iterator[FileInfo]:
        """Files whose path matches ``pattern`` (a plain path matches itself), in any order."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading; raises OSError."""

    def local_path(self, path: str) -> str | None:
        """Where the file lies on this machine, to be mapped into memory; None if it does not."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file so that it is there whole or not at all, folders included.

        Raises:
            OSError: the folder cannot be made, is not writable, or is full.
        """

    def remove(self, path: str) -> None:
        """Remove a file; no error if there is none."""


def join(folder: str, name: str) -> str:
    """Path of a file that is named relative to a folder."""
    return f"{folder.rstrip('/') or folder}/{name}"


class LocalFileSystem(FileSystem):
    """Files of this machine."""

    @override
    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        # Links are followed, but not into a folder that they lie in.
        yield from _files(path, above=frozenset())

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        if os.path.isfile(pattern):
            yield FileInfo(pattern, _size(pattern))
            return
        for path in glob.glob(pattern, recursive=True):
            if _is_listed(path):
                yield FileInfo(path, _size(path))

    @override
    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    @override
    def local_path(self, path: str) -> str | None:
        return path

    @override
    def write(self, path: str, data: bytes) -> None:
        # Beside it, fsync, rename, fsync of the folder.
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

    @override
    def remove(self, path: str) -> None:
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
    """Whether a path is a file, or a dangling link, which must not go unnoticed.

    Devices, sockets and pipes are not: opening one may wait for ever.
    """
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def _size(path: str) -> int:
    """Size in bytes; 0 for a dangling link, which fails when it is opened."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
