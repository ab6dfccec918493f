"""Files in memory: a file system of longbert's own, and the store behind that of Beam's."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from longbert.store.filesystem import FileInfo, FileSystem
from longbert.store.globs import path_matches


class MemoryFiles(FileSystem):
    """Files by path, which come into being whole.

    Attributes:
        data: what is in them.
        opened: paths that were opened, in order.
        refused: paths that may be neither opened nor written.
        cut: paths of which only half arrives where they are written through Beam.
    """

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.opened: list[str] = []
        self.refused: set[str] = set()
        self.cut: set[str] = set()

    def clear(self) -> None:
        """Forget everything."""
        self.data.clear()
        self.opened.clear()
        self.refused.clear()
        self.cut.clear()

    def is_folder(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self.data)

    def files(self, path: str) -> Iterator[FileInfo]:
        return (
            FileInfo(name, len(data))
            for name, data in self.data.items()
            if name.startswith(f"{path}/")
        )

    def match(self, pattern: str) -> Iterator[FileInfo]:
        return (
            FileInfo(name, len(data))
            for name, data in self.data.items()
            if name == pattern or path_matches(name, pattern)
        )

    def open(self, path: str) -> BinaryIO:
        self.opened.append(path)
        self._check(path)
        if path not in self.data:
            raise FileNotFoundError(2, "No such file or directory", path)
        return io.BytesIO(self.data[path])

    def local_path(self, path: str) -> str | None:
        return None

    @contextmanager
    def create(self, path: str) -> Iterator[IO[bytes]]:
        self._check(path)
        file = io.BytesIO()
        yield file
        self.data[path] = file.getvalue()

    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        if self.data.get(path) != expected:
            return False
        self.write(path, data)
        return True

    def remove_folder(self, path: str) -> None:
        pass

    def remove(self, path: str) -> None:
        self.data.pop(path, None)

    def _check(self, path: str) -> None:
        if path in self.refused:
            raise PermissionError(13, "403 Forbidden", path)
