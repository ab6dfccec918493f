"""Files in memory, in place of a file system."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import BinaryIO

from longbert.store.filesystem import FileInfo, FileSystem


class MemoryFiles(FileSystem):
    """Files in memory; remembers which were opened."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.opened: list[str] = []

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
            if name == pattern or fnmatchcase(name, pattern)
        )

    def open(self, path: str) -> BinaryIO:
        self.opened.append(path)
        if path not in self.data:
            raise FileNotFoundError(2, "No such file or directory", path)
        return io.BytesIO(self.data[path])

    def local_path(self, path: str) -> str | None:
        return None

    def write(self, path: str, data: bytes) -> None:
        self.data[path] = data

    def remove(self, path: str) -> None:
        self.data.pop(path, None)
