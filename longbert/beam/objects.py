"""Files in an object store: what longbert asks of files, in terms of what every store offers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from typing_extensions import override

from longbert.beam.remote import RemoteFiles, as_os_errors
from longbert.store.filesystem import FileInfo
from longbert.store.globs import first_wildcard, path_matches

READ_BYTES = 16 << 20
"""How much a reader asks for at once."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object at one time.

    Attributes:
        version: another one for any other content.
    """

    n_bytes: int
    version: str


class Replaced(OSError):
    """An object is no longer of the version that was asked for."""


class ObjectStore(Protocol):
    """Objects by path, ``scheme://bucket/name``; methods may raise the errors of any library.

    An object is seen only once it is complete. Requests that are throttled, that the store fails
    or whose connection is lost are tried again, with growing pauses.
    """

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """Objects whose path begins with ``prefix``, without the markers of empty folders."""

    def stat(self, path: str) -> ObjectInfo | None:
        """What is there now; None if nothing is."""

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        """Bytes from ``start`` to before ``stop``, which is more, of this version alone.

        Raises:
            Replaced: there is another version, or none.
        """

    def write(self, path: str, file: BinaryIO) -> None:
        """Write an object from a file, without having all of a large one in memory."""

    def write_if(self, path: str, data: bytes, version: str | None) -> bool:
        """Write an object if it is still of this version; None: if there is none.

        Returns:
            False where the store says that it is not, also because an earlier try of the same
            request took effect.
        """

    def remove(self, path: str) -> None:
        """Remove an object; no error if there is none."""


@dataclass(frozen=True)
class ObjectFiles(RemoteFiles):
    """The files of an object store.

    Patterns are matched here, so they mean the same as on the local disk.
    """

    store: ObjectStore

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        prefix = f"{path.rstrip('/')}/"
        with as_os_errors(prefix):
            yield from self.store.list(prefix)

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        with as_os_errors(pattern):
            # A path that exists is taken literally, even if its name contains wildcards.
            info = self.store.stat(pattern)
            if info is not None:
                yield FileInfo(pattern, info.n_bytes)
                return
            wildcard = first_wildcard(pattern)
            if wildcard is None:
                return
            for found in self.store.list(pattern[:wildcard]):
                if path_matches(found.path, pattern):
                    yield found

    @override
    def open(self, path: str) -> BinaryIO:
        with as_os_errors(path):
            info = self.store.stat(path)
        if info is None:
            raise FileNotFoundError(f"{path} does not exist")
        reader = _ObjectReader(self.store, path, info)
        return cast(BinaryIO, io.BufferedReader(reader, buffer_size=READ_BYTES))

    @override
    def send(self, path: str, file: BinaryIO) -> None:
        self.store.write(path, file)

    @override
    def remove(self, path: str) -> None:
        with as_os_errors(path):
            self.store.remove(path)

    @override
    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        """Write an object if its content is still what it was; of several writers one succeeds.

        A write that took effect although its answer was lost counts as done; so where only one
        writer may win, what they write has to differ.

        Args:
            path: the object.
            data: its new content.
            expected: content that it must have; None: there must be none.

        Returns:
            Whether ``data`` is the content now.

        Raises:
            OSError: the store refuses.
        """
        with as_os_errors(path):
            try:
                info = self.store.stat(path)
                if (None if info is None else self._content(path, info)) != expected:
                    return False
                if self.store.write_if(path, data, None if info is None else info.version):
                    return True
                info = self.store.stat(path)
                return info is not None and self._content(path, info) == data
            except Replaced:
                return False

    def _content(self, path: str, info: ObjectInfo) -> bytes:
        return self.store.read(path, 0, info.n_bytes, info.version) if info.n_bytes else b""


class _ObjectReader(io.RawIOBase):
    """An object's bytes, all of one version: one that is replaced meanwhile is an error."""

    def __init__(self, store: ObjectStore, path: str, info: ObjectInfo) -> None:
        super().__init__()
        self._store = store
        self._path = path
        self._info = info
        self._position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.n_bytes}
        self._position = max(0, origin[whence] + offset)
        return self._position

    @override
    def readall(self) -> bytes:
        # The inherited one would ask for a few kilobytes at a time.
        pieces = []
        while self._position < self._info.n_bytes:
            pieces.append(self.read(READ_BYTES))
        return b"".join(pieces)

    @override
    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self._info.n_bytes)
        if self._position >= stop:
            return 0
        with as_os_errors(self._path):
            data = self._store.read(self._path, self._position, stop, self._info.version)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def bucket_and_name(path: str) -> tuple[str, str]:
    """The parts of an object's path."""
    bucket, _, name = path.partition("://")[2].partition("/")
    return bucket, name
