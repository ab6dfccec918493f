"""Scanning and reading files in tests."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from longbert.readers.documents import read, scan
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import LocalFileSystem
from support.listing import list_inputs

FILES = LocalFileSystem()
SETTINGS = ReadSettings()


class CountingFileSystem(LocalFileSystem):
    """Counts how often files are opened; ``failing`` cannot be."""

    def __init__(self, failing: str = "") -> None:
        self.n_opened = 0
        self.failing = failing

    def open(self, path: str) -> BinaryIO:
        self.n_opened += 1
        if self.failing and path.endswith(self.failing):
            raise PermissionError(13, "Permission denied", path)
        return super().open(path)


def listed(path: Path) -> InputFile:
    """The one file of an input."""
    (file,) = list_inputs(FILES, [str(path)]).files
    return file


def scanned(path: Path, settings: ReadSettings = SETTINGS) -> list[DocumentRef]:
    """The refs of a file, which can be pickled."""
    refs = list(scan(FILES, listed(path), settings))
    assert pickle.loads(pickle.dumps(refs)) == refs
    return refs


def items(
    refs: Sequence[DocumentRef],
    files: LocalFileSystem = FILES,
    settings: ReadSettings = SETTINGS,
) -> list[Document | ErrorRow]:
    """What reading gives, an item for each ref."""
    found = list(read(files, refs, settings))
    assert len(found) == len(refs)
    return found


def documents(refs: Sequence[DocumentRef], settings: ReadSettings = SETTINGS) -> list[Document]:
    """As :func:`items`, where nothing is wrong."""
    found = [item for item in items(refs, settings=settings) if isinstance(item, Document)]
    assert len(found) == len(refs)
    return found


def errors(refs: Sequence[DocumentRef]) -> list[str | None]:
    """Names of the errors of planning."""
    return [ref.error and ref.error.error for ref in refs]


def write_lines(path: Path, *lines: str | bytes, end: bytes = b"\n") -> Path:
    """Write lines, gzipped by the name of the file."""
    data = b"".join((ln.encode() if isinstance(ln, str) else ln) + end for ln in lines)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def write_table(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    """Write a Parquet file."""
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path
