"""The output folder: reading, committing and removing its files."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec
import pyarrow as pa

from longbert.errors import ConfigError, OutputError, UnfinishedError
from longbert.store.digested_file import DigestedFile
from longbert.store.filesystem import FileSystem, join
from longbert.store.index_description import INDEX_VERSION, IndexDescription, IndexEntry
from longbert.store.layout import (
    CLAIM,
    INDEX,
    MANIFEST,
    PART_SUFFIXES,
    RECEIPTS,
    SHARDS,
    is_own,
    receipt_file,
)
from longbert.store.manifest import Claim, Manifest
from longbert.store.receipts import Receipt
from longbert.store.record import Record, RecordType, from_json, to_json

IN_MEMORY_BYTES = 32 << 20
"""Of a file on another machine, beyond which it is read by way of the disk."""

_PIECE_BYTES = 1 << 20


class OutputFolder:
    """Reads and writes the files of one output folder.

    Args:
        filesystem: where it is.
        path: the folder; it need not exist.
    """

    def __init__(self, filesystem: FileSystem, path: str) -> None:
        self.filesystem = filesystem
        self.path = path.rstrip("/") or "/"

    def join(self, name: str) -> str:
        """Path of a file that is named relative to the folder."""
        return join(self.path, name)

    def remedy(self, name: str, *, is_damaged: bool = False) -> str:
        """How a file that is lost or damaged is made again, for messages.

        Args:
            name: relative to the folder.
            is_damaged: whether it is there, so that a run would take it for whole.
        """
        if name.startswith(f"{INDEX}/"):
            return f"build the index again from the tables, with {self.index_command}"
        again = "run longbert again with the same inputs to recreate it"
        return f"remove it and {again}" if is_damaged else again

    @property
    def index_command(self) -> str:
        """The command that builds the index again from the tables."""
        return f"longbert index {shlex.quote(self.path)}"

    def read(self, name: str) -> bytes | None:
        """Content of a file, or None if there is none.

        Raises:
            OutputError: it is there and cannot be read.
        """
        try:
            with self.filesystem.open(self.join(name)) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise OutputError(
                f"{self.join(name)} cannot be read ({error.strerror or error}): make it readable, "
                "or name another folder"
            ) from error

    def read_checked(self, name: str, sha256: str) -> bytes:
        """Content of a file, checked against a digest.

        Raises:
            OutputError: it is missing or damaged.
        """
        data = self.read(name)
        if data is None:
            raise self._missing(name)
        self._compare(name, hashlib.sha256(data).hexdigest(), sha256)
        return data

    def check_file(self, name: str, sha256: str) -> None:
        """Compare a file of any size with a digest.

        Raises:
            OutputError: it is missing or damaged.
        """
        try:
            with self.filesystem.open(self.join(name)) as file:
                digest = hashlib.sha256()
                while piece := file.read(_PIECE_BYTES):
                    digest.update(piece)
        except OSError as error:
            raise self._missing(name) from error
        self._compare(name, digest.hexdigest(), sha256)

    def open_source(self, name: str) -> Any:
        """A file as Arrow reads it: mapped into memory where it is local; raises OSError.

        One that is not is read first: a large one into a temporary file, which goes with the map.
        """
        path = self.join(name)
        local = self.filesystem.local_path(path)
        if local is not None:
            return pa.memory_map(local)
        with self.filesystem.open(path) as file:
            beginning = file.read(IN_MEMORY_BYTES)
            if len(beginning) < IN_MEMORY_BYTES:
                return pa.BufferReader(beginning)
            with NamedTemporaryFile(prefix="longbert-") as copy:
                copy.write(beginning)
                del beginning
                shutil.copyfileobj(file, copy, _PIECE_BYTES)
                copy.flush()
                return pa.memory_map(copy.name)

    def open_mapped(self, name: str) -> memoryview:
        """Content of a file, as :meth:`open_source` maps it; raises OSError."""
        source = self.open_source(name)
        return memoryview(source.read_buffer())

    def exists(self, name: str) -> bool:
        """Whether a file exists and can be opened."""
        try:
            self.filesystem.open(self.join(name)).close()
        except OSError:
            return False
        return True

    def holds(self, name: str, *, n_bytes: int) -> bool:
        """Whether a file of this size exists; its content is not read."""
        found = self.filesystem.match(self.join(name))
        return [info.n_bytes for info in found] == [n_bytes]

    def check_writable(self) -> None:
        """Make sure, as far as it is known without trying, that files can be written.

        Raises:
            OutputError: they cannot.
        """
        problem = self.filesystem.write_problem(self.path)
        if problem:
            raise OutputError(
                f"output {self.path!r} cannot be written ({problem}): fix that, or name another "
                "folder with --output"
            )

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file atomically.

        Raises:
            OutputError: the folder is a file, not writable or full.
        """
        with self._writing(name):
            self.filesystem.write(self.join(name), data)

    def write_if(self, name: str, data: bytes, *, expected: bytes | None) -> bool:
        """Write a file if its content is still what it was; None: if there is none.

        Returns:
            Whether it was written.

        Raises:
            OutputError: the folder is a file, not writable or full.
        """
        with self._writing(name):
            return self.filesystem.write_if(self.join(name), data, expected=expected)

    @contextmanager
    def create(self, name: str) -> Iterator[DigestedFile]:
        """Write a file piece by piece; it appears, whole, when the context ends without an error.

        Raises:
            OutputError: the folder is a file, not writable or full.
        """
        with self._writing(name), self.filesystem.create(self.join(name)) as file:
            digested = DigestedFile(file)
            try:
                yield digested
            except BaseException:
                digested.abandon()
                raise

    def write_record(self, name: str, record: Record) -> None:
        """Write a record as JSON."""
        self.write(name, to_json(record))

    def manifest(self) -> Manifest | None:
        """The manifest, or None if no run has finished here.

        Raises:
            OutputError: it is damaged or of another format.
        """
        return self._record(MANIFEST, Manifest)

    def finished(self) -> Manifest:
        """The manifest of a finished output.

        Raises:
            ConfigError: there is no such folder, or it is not an output of longbert.
            UnfinishedError: its first run has not finished, or the manifest was removed.
            OutputError: the manifest is damaged or of another format.
        """
        manifest = self.manifest()
        if manifest is not None:
            return manifest
        if not self.filesystem.is_folder(self.path):
            raise ConfigError(
                f"{self.path!r} is not a folder: name the output folder of `longbert run`"
            )
        if self.read(CLAIM) is None:
            raise ConfigError(
                f"{self.path!r} holds no longbert output: name the output folder of `longbert run`"
            )
        raise UnfinishedError(
            f"{self.join(MANIFEST)} is missing: the first run into {self.path!r} has not finished, "
            "or the file was removed. Run it again, which keeps the parts that are complete"
        )

    def claim(self) -> Claim | None:
        """Which configuration the folder belongs to, or None if no run has begun."""
        return self._record(CLAIM, Claim)

    def receipt(self, part: str) -> Receipt | None:
        """The receipt of a part, or None if the part is not complete."""
        try:
            receipt = self._record(receipt_file(part), Receipt)
        except OutputError:
            return None
        return receipt if receipt is not None and receipt.part == part else None

    def whole_receipt(self, part: str, folders: Iterable[str]) -> Receipt | None:
        """The receipt of a part if its files exist in full length, else None.

        Args:
            part: its name.
            folders: of the files.
        """
        receipt = self.receipt(part)
        return receipt if receipt is not None and self.holds_all(receipt, folders) else None

    def holds_all(self, receipt: Receipt, folders: Iterable[str]) -> bool:
        """Whether the files of a part in some folders exist in full length."""
        return all(
            folder in receipt.files
            and self.holds(receipt.path(folder), n_bytes=receipt.files[folder].n_bytes)
            for folder in folders
        )

    def write_receipt(self, receipt: Receipt) -> None:
        """Make a part count."""
        self.write_record(receipt_file(receipt.part), receipt)

    def complete_parts(self) -> list[str]:
        """Names of all parts that have a receipt, from any run, in order."""
        suffix = PART_SUFFIXES[RECEIPTS]
        names = (name for name in self.names(RECEIPTS) if is_own(RECEIPTS, name))
        return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))

    def has_shards(self) -> bool:
        """Whether a run has finished here, or was about to, even if the manifest is gone."""
        return any(is_own(SHARDS, name) for name in self.names(SHARDS))

    def names(self, folder: str) -> Iterator[str]:
        """Files under one of its folders, relative to it, in any order; none if it does not exist.

        Raises:
            OSError: it cannot be listed.
        """
        path = self.join(folder)
        if self.filesystem.is_folder(path):
            for info in self.filesystem.files(path):
                yield info.path.replace("\\", "/").removeprefix(f"{path}/")

    def index_description(self, entry: IndexEntry) -> IndexDescription:
        """The description of an index.

        Raises:
            OutputError: its description is missing, damaged or of another version.
        """
        data = self.read_checked(entry.file, entry.sha256)
        found = msgspec.json.decode(data).get("version")
        if found != INDEX_VERSION:
            raise OutputError(
                f"{self.join(entry.file)} has version {found!r}, and this version of longbert "
                f"reads and writes {INDEX_VERSION}: {self.remedy(entry.file)}"
            )
        return from_json(data, IndexDescription, path=self.join(entry.file))

    def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
            OutputError: it cannot be removed.
        """
        path = self.join(name)
        try:
            self.filesystem.remove(path)
        except OSError as error:
            raise OutputError(
                f"{path} no longer belongs to the output and cannot be removed "
                f"({error.strerror or error}): readers that glob the folder will pick it up. Fix "
                "the permissions, then run again"
            ) from error

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(
                f"output {self.path!r}: {name} cannot be written ({reason}). What was written "
                "before is kept: fix that, then run again to continue"
            ) from error

    def _record(self, name: str, kind: type[RecordType]) -> RecordType | None:
        data = self.read(name)
        return None if data is None else from_json(data, kind, path=self.join(name))

    def _missing(self, name: str) -> OutputError:
        return OutputError(f"{self.join(name)} is missing: {self.remedy(name)}")

    def _compare(self, name: str, found: str, sha256: str) -> None:
        if found != sha256:
            raise OutputError(
                f"{self.join(name)} is damaged: its SHA-256 is {found[:12]}..., but the output "
                f"says {sha256[:12]}...: {self.remedy(name, is_damaged=True)}"
            )
