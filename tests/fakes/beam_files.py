"""A file system of Beam's that stands for an object store: objects by name in this process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

SCHEME = "mem"


class _Upload(io.BytesIO):
    """Becomes an object when it is closed, as an upload does."""

    def __init__(self, objects: dict[str, bytes], path: str) -> None:
        super().__init__()
        self._objects = objects
        self._path = path

    def close(self) -> None:
        if not self.closed:
            self._objects[self._path] = self.getvalue()
        super().close()


class MemoryFileSystem(FileSystem):
    """Beam finds it by its scheme, since it is a subclass."""

    objects: ClassVar[dict[str, bytes]] = {}
    refused: ClassVar[set[str]] = set()
    """Paths that the store refuses, with an error of its library's."""

    @classmethod
    def scheme(cls) -> str:
        return SCHEME

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        raise NotImplementedError

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path, data in self.objects.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data))

    def create(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        self._check(path)
        return _Upload(self.objects, path)

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        self._check(path)
        return io.BytesIO(self.objects[path])

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        return path in self.objects

    def size(self, path: str) -> int:
        return len(self.objects[path])

    def last_updated(self, path: str) -> float:
        raise NotImplementedError

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(self.objects[path]))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            if path not in self.objects:
                raise BeamIOError("Delete operation failed", {path: "not found"})
            del self.objects[path]

    def _check(self, path: str) -> None:
        if path in self.refused:
            raise RuntimeError("403 Forbidden")
