"""The output folder: where everything lies, receipts, the manifest, and what may be removed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from longbert.core.units import Part, PlannedDocument
from longbert.errors import OutputError
from longbert.store.filesystem import TEMPORARY_SUFFIX, FileSystem
from longbert.store.tables import TABLES, WINDOW_SCORES

FORMAT = 1
"""Version of the layout; another one is refused."""

_MANIFEST_KEYS = {"fingerprint", "settings", "models", "counts", "parts", "index"}
_TOP_FILES = ("manifest.json", "fingerprint.json", "run.json")
_PART_FILE = re.compile(r"\d{6,}-[0-9a-f]{12}\.(parquet|json)")
_INDEX_FILE = re.compile(r"[a-z]+-[0-9a-f]{12}\.(faiss|json)")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A committed file of a part."""

    sha256: str
    n_bytes: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a part is complete; written after its tables.

    Attributes:
        part: its name and documents.
        fingerprint: of the run that made it.
        files: by table.
        counts: sums over its documents, by name.
    """

    part: Part
    fingerprint: str
    files: Mapping[str, FileEntry]
    counts: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The receipt's file."""
        return _dump(
            {
                "part": self.part.name,
                "fingerprint": self.fingerprint,
                "counts": dict(self.counts),
                "files": {table: asdict(entry) for table, entry in self.files.items()},
                "documents": [
                    [one.identity, one.document_id, one.source, one.failed]
                    for one in self.part.documents
                ],
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Receipt:
        """Parse a receipt; raises ValueError, KeyError or TypeError if it is damaged."""
        content = json.loads(data)
        documents = tuple(PlannedDocument(*row) for row in content["documents"])
        return cls(
            part=Part(content["part"], documents),
            fingerprint=content["fingerprint"],
            files={table: FileEntry(**entry) for table, entry in content["files"].items()},
            counts=content["counts"],
        )


class OutputFolder:
    """Reads and writes the files of one output folder.

    Args:
        filesystem: where it lies.
        path: the folder; it need not exist.
    """

    def __init__(self, filesystem: FileSystem, path: str) -> None:
        self.filesystem = filesystem
        self.path = path.rstrip("/") or "/"

    def join(self, name: str) -> str:
        """Path of a file that is named relative to the folder."""
        return f"{self.path}/{name}"

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
                f"{self.join(name)} cannot be read: {error.strerror or error}: make it readable, "
                "or name another folder"
            ) from error

    def exists(self, name: str) -> bool:
        """Whether a file is there and can be opened."""
        try:
            self.filesystem.open(self.join(name)).close()
        except OSError:
            return False
        return True

    def has_parts(self) -> bool:
        """Whether any part, of whatever run, is complete."""
        return any(path.endswith(".json") for path in self._files("receipts"))

    def read_json(self, name: str) -> Any:
        """Content of a JSON file, or None if there is none."""
        data = self.read(name)
        if data is None:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise OutputError(
                f"{self.join(name)} is damaged ({error}): restore it, or remove it and run again"
            ) from None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            OutputError: the folder is a file, not writable or full.
        """
        try:
            self.filesystem.write(self.join(name), data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(
                f"output {self.path!r}: {name} cannot be written ({reason}). What was written "
                "before is kept: mend that, then run again to go on"
            ) from error

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file: the same content gives the same bytes."""
        self.write(name, _dump(content))

    def table_file(self, table: str, part: str) -> str:
        """Name of a part's file of one table, relative to the folder."""
        return f"{table}/{part}.parquet"

    def receipt(self, part: str) -> Receipt | None:
        """The receipt of a part, or None if the part is not complete."""
        data = self.read(f"receipts/{part}.json")
        if data is None:
            return None
        try:
            return Receipt.from_json(data)
        except (ValueError, KeyError, TypeError):
            return None

    def write_receipt(self, receipt: Receipt) -> None:
        """Make a part count."""
        self.write(f"receipts/{receipt.part.name}.json", receipt.to_json())

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None if no run has finished here.

        Raises:
            OutputError: it is damaged or of another format.
        """
        manifest = self.read_json("manifest.json")
        if manifest is None:
            return None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise OutputError(
                f"{self.join('manifest.json')} is not of format {FORMAT}: "
                "run with another --output, or with the version of longbert that wrote it"
            )
        lacking = sorted(_MANIFEST_KEYS - manifest.keys())
        if lacking:
            raise OutputError(
                f"{self.join('manifest.json')} is damaged (it lacks {', '.join(lacking)}): "
                "restore it, or run into another folder"
            )
        return manifest

    def whole_receipt(self, part: str) -> Receipt | None:
        """The receipt of a part whose files are all there, in their full length, else None."""
        receipt = self.receipt(part)
        if receipt is None:
            return None
        if not receipt.files.keys() >= {*TABLES}:
            return None
        for table, entry in receipt.files.items():
            path = self.join(self.table_file(table, part))
            if [info.n_bytes for info in self.filesystem.match(path)] != [entry.n_bytes]:
                return None
        return receipt

    def foreign_tables(self) -> Iterator[str]:
        """Parquet files among the tables that no run of longbert wrote, relative to the output."""
        for table in (*TABLES, WINDOW_SCORES):
            for path in self._files(table):
                name = path.rpartition("/")[2]
                if name.endswith(".parquet") and not _PART_FILE.fullmatch(name):
                    yield f"{table}/{name}"

    def remove_unnamed(self, parts: Iterable[str], index_files: Iterable[str]) -> None:
        """Remove files of longbert's own that the manifest does not name.

        Among them are the unfinished ones that a process leaves when it is killed.

        Raises:
            OutputError: one cannot be removed.
        """
        suffixes = {**dict.fromkeys((*TABLES, WINDOW_SCORES), ".parquet"), "receipts": ".json"}
        kept = {f"{folder}/{part}{suffix}" for part in parts for folder, suffix in suffixes.items()}
        kept |= {*index_files}
        for folder, own in (*((folder, _PART_FILE) for folder in suffixes), ("index", _INDEX_FILE)):
            for path in self._files(folder):
                name = path.rpartition("/")[2]
                is_own = own.fullmatch(name.removesuffix(TEMPORARY_SUFFIX))
                if is_own and f"{folder}/{name}" not in kept:
                    self._remove(path)
        for name in _TOP_FILES:
            self._remove(self.join(name + TEMPORARY_SUFFIX))

    def _remove(self, path: str) -> None:
        try:
            self.filesystem.remove(path)
        except OSError as error:
            raise OutputError(
                f"{path} does not belong to the output any more and cannot be removed "
                f"({error.strerror or error}): who reads the folder by name would take it for a "
                "part of it. Mend that, then run again"
            ) from error

    def _files(self, folder: str) -> Sequence[str]:
        path = self.join(folder)
        if not self.filesystem.is_folder(path):
            return []
        return [info.path.replace("\\", "/") for info in self.filesystem.files(path)]


def entry_of(data: bytes, *, n_rows: int) -> FileEntry:
    """What a receipt says of a file."""
    return FileEntry(hashlib.sha256(data).hexdigest(), len(data), n_rows)


def _dump(content: object) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
