"""A file system of Beam's that stands for an object store, in the memory of this process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

from .memory_files import MemoryFiles

SCHEME = "mem"


class _Upload(io.BytesIO):
    """Becomes an object when it is closed, as an upload does."""

    def __init__(self, store: MemoryFiles, path: str) -> None:
        super().__init__()
        self._store = store
        self._path = path

    def close(self) -> None:
        if self.closed:
            return
        data = self.getvalue()
        super().close()
        if self._path in self._store.cut:
            self._store.write(self._path, data[: len(data) // 2])
            raise RuntimeError("the connection was lost")
        self._store.write(self._path, data)


class MemoryFileSystem(FileSystem):
    """Beam finds it by its scheme, since it is a subclass; it makes one for each call."""

    store: ClassVar = MemoryFiles()

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
        for path, data in self.store.data.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data))

    def create(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        if path in self.store.refused:
            raise RuntimeError("403 Forbidden")
        return _Upload(self.store, path)

    def open(self, path: str, *_: Any, **__: Any) -> Any:
        # A store's library has errors of its own.
        try:
            return self.store.open(path)
        except OSError as error:
            raise RuntimeError(error.strerror) from None

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        return path in self.store.data

    def size(self, path: str) -> int:
        return len(self.store.data[path])

    def last_updated(self, path: str) -> float:
        raise NotImplementedError

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(self.store.data[path]))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            if path not in self.store.data:
                raise BeamIOError("Delete operation failed", {path: "not found"})
            self.store.remove(path)
