"""Any file system that Beam supports, behind longbert's interface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from typing_extensions import override

from longbert.store.filesystem import FileInfo, FileSystem, LocalFileSystem


@dataclass(frozen=True)
class BeamFileSystem(FileSystem):
    """Paths with a scheme go to Beam, all others to the local file system.

    An object store shows an object only once it is complete, so writing needs no rename.
    """

    local: FileSystem = field(default_factory=LocalFileSystem)

    @override
    def is_folder(self, path: str) -> bool:
        if not _has_scheme(path):
            return self.local.is_folder(path)
        return next(self.files(path), None) is not None

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        if not _has_scheme(path):
            return self.local.files(path)
        prefix = path.rstrip("/") + "/"
        # Beam cannot escape wildcards, which the folder's name may contain.
        found = self.match(re.sub(r"[*?\[]", "?", prefix) + "**")
        return (info for info in found if info.path.startswith(prefix))

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        if not _has_scheme(pattern):
            return self.local.match(pattern)
        with _os_errors(pattern):
            (result,) = FileSystems.match([pattern])
        return (FileInfo(entry.path, entry.size_in_bytes) for entry in result.metadata_list)

    @override
    def open(self, path: str) -> BinaryIO:
        if not _has_scheme(path):
            return self.local.open(path)
        with _os_errors(path):
            if not FileSystems.exists(path):
                raise FileNotFoundError(f"{path} does not exist")
            handle = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
        return cast(BinaryIO, handle)

    @override
    def local_path(self, path: str) -> str | None:
        return None if _has_scheme(path) else self.local.local_path(path)

    @override
    @contextmanager
    def create(self, path: str) -> Iterator[IO[bytes]]:
        if not _has_scheme(path):
            with self.local.create(path) as file:
                yield file
            return
        with _os_errors(path):
            file = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
        try:
            yield cast(IO[bytes], _Upload(file, path))
        except BaseException:
            # Closing it makes an object of what was written so far.
            with suppress(Exception):
                file.close()
            with suppress(OSError):
                self.remove(path)
            raise
        with _os_errors(path):
            file.close()

    @override
    def remove(self, path: str) -> None:
        if not _has_scheme(path):
            self.local.remove(path)
            return
        with _os_errors(path):
            if FileSystems.exists(path):
                FileSystems.delete([path])


class _Upload:
    """An object that is being written."""

    def __init__(self, file: Any, path: str) -> None:
        self._file = file
        self._path = path

    def write(self, data: bytes) -> None:
        """Append some bytes; raises OSError."""
        with _os_errors(self._path):
            self._file.write(data)


class _os_errors:
    """Turn any error into OSError, which is what the layers below expect.

    Each store has its own library, with its own errors.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, OSError):
            raise OSError(f"{self._path}: {error}") from error


def _has_scheme(path: str) -> bool:
    return "://" in path
