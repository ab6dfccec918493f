"""What files on other machines have in common, whichever library reaches them."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, cast

from typing_extensions import override

from longbert.store.filesystem import FileSystem


class RemoteFiles(FileSystem):
    """Files on other machines. What is not whole is never sent: until then it is on the disk."""

    @abstractmethod
    def send(self, path: str, file: BinaryIO) -> None:
        """Write a file with all of another's content, or leave none; may raise any error."""

    @override
    def is_folder(self, path: str) -> bool:
        return next(self.files(path), None) is not None

    @override
    def local_path(self, path: str) -> str | None:
        return None

    @override
    @contextmanager
    def create(self, path: str) -> Iterator[IO[bytes]]:
        with TemporaryFile() as file:
            yield file
            file.seek(0)
            with as_os_errors(path):
                self.send(path, cast(BinaryIO, file))

    @override
    def write(self, path: str, data: bytes | memoryview) -> None:
        with as_os_errors(path):
            self.send(path, io.BytesIO(data))


class as_os_errors:
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
