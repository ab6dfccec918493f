"""Local files, object stores, and any other file system of Beam's, behind one interface."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from typing_extensions import override

from longbert.beam.objects import ObjectFiles
from longbert.beam.remote import RemoteFiles, as_os_errors
from longbert.store.filesystem import FileInfo, FileSystem, LocalFileSystem


@dataclass(frozen=True)
class BeamFileSystem(FileSystem):
    """Paths without a scheme are local, ``gs://`` and ``s3://`` object stores, others Beam's."""

    local: FileSystem = field(default_factory=LocalFileSystem)

    @override
    def is_folder(self, path: str) -> bool:
        return self._with(path).is_folder(path)

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        return self._with(path).files(path)

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        return self._with(pattern).match(pattern)

    @override
    def open(self, path: str) -> BinaryIO:
        return self._with(path).open(path)

    @override
    def local_path(self, path: str) -> str | None:
        return self._with(path).local_path(path)

    @override
    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        return self._with(path).create(path)

    @override
    def write(self, path: str, data: bytes | memoryview) -> None:
        self._with(path).write(path, data)

    @override
    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        return self._with(path).write_if(path, data, expected=expected)

    @override
    def write_problem(self, folder: str) -> str:
        return self._with(folder).write_problem(folder)

    @override
    def remove(self, path: str) -> None:
        self._with(path).remove(path)

    @override
    def remove_folder(self, path: str) -> None:
        self._with(path).remove_folder(path)

    def objects(self, path: str) -> ObjectFiles | None:
        """The object store that a path is in, which can write on a condition; None elsewhere.

        Raises:
            OSError: there is no way to that store, such as its library.
        """
        with as_os_errors(path):
            return _object_files(path.partition("://")[0], beam_options())

    def _with(self, path: str) -> FileSystem:
        if "://" not in path:
            return self.local
        return self.objects(path) or _OtherFiles()


class _OtherFiles(RemoteFiles):
    """Files of a scheme that only Beam knows, such as ``hdfs://``."""

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        prefix = path.rstrip("/") + "/"
        # Beam cannot escape wildcards, which the folder's name may contain.
        found = self.match(re.sub(r"[*?\[]", "?", prefix) + "**")
        return (info for info in found if info.path.startswith(prefix))

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        with as_os_errors(pattern):
            (result,) = FileSystems.match([pattern])
        return (
            FileInfo(one.path, one.size_in_bytes, version=str(one.last_updated_in_seconds))
            for one in result.metadata_list
        )

    @override
    def open(self, path: str) -> BinaryIO:
        with as_os_errors(path):
            if not FileSystems.exists(path):
                raise FileNotFoundError(f"{path} does not exist")
            handle = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
        return cast(BinaryIO, handle)

    @override
    def send(self, path: str, file: BinaryIO) -> None:
        target = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
        try:
            shutil.copyfileobj(file, target)
            target.close()
        except BaseException:
            # Closing it makes a file of what has arrived so far.
            with suppress(Exception):
                target.close()
            with suppress(OSError):
                self.remove(path)
            raise

    @override
    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        # Beam offers no precondition: between reading and writing, another process may write.
        try:
            with self.open(path) as file:
                found: bytes | None = file.read()
        except FileNotFoundError:
            found = None
        if found != expected:
            return False
        self.write(path, data)
        return True

    @override
    def remove(self, path: str) -> None:
        with as_os_errors(path):
            if FileSystems.exists(path):
                FileSystems.delete([path])


def beam_options() -> PipelineOptions:
    """Options of the pipeline, also on its workers; the defaults where there is none.

    Left to itself, Beam would take them from the arguments of this process.
    """
    if FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))
    return FileSystems._pipeline_options


@lru_cache(maxsize=8)
def _object_files(scheme: str, options: PipelineOptions) -> ObjectFiles | None:
    """One client for a process, which keeps its connections."""
    if scheme == "gs":
        from longbert.beam.google_store import GoogleStore

        return ObjectFiles(GoogleStore(options))
    if scheme == "s3":
        from longbert.beam.amazon_store import AmazonStore

        return ObjectFiles(AmazonStore(options))
    return None
