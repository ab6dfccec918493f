"""The kinds of input that longbert reads.

A kind is one record in :data:`KINDS` and one module that it names. Nothing else knows the kinds:
listing goes by their suffixes, planning and reading by the functions of their modules. A new kind
is a new file with ``extract`` (or, for files of records, ``rows`` and ``open_rows``) and one more
record.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, cast

from longbert.errors import DocumentError
from longbert.readers.settings import ReadSettings
from longbert.records import DocumentRef, InputFile
from longbert.store.filesystem import FileSystem


@dataclass(frozen=True, slots=True)
class Extract:
    """What a reader takes from a file that is one document."""

    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A record where it lies in its file.

    Attributes:
        row: position in the file, from 0.
        start, stop: first byte (uncompressed) and the byte after the last; for a file without
            lines 0 and a size by which rows can be compared.
        digest: SHA-256 of the record's content, whatever stands before and after it.
        record: its fields, or why it cannot be read.
    """

    row: int
    start: int
    stop: int
    digest: str
    record: dict[str, Any] | DocumentError


class DocumentReader(Protocol):
    """The module of a kind whose files are one document each."""

    def extract(self, data: bytes, /, *, encoding: str | None) -> Extract:
        """Turn a whole file into text.

        Args:
            data: the file.
            encoding: the codec that the user names for it, if any; where it is no matter, it may
                be passed over.

        Raises:
            DocumentError: the file cannot be read without losing text.
        """


class RowSource(Protocol):
    """An open file of records."""

    def row(self, ref: DocumentRef, /) -> Row:
        """The row that a ref was made from; cheapest in the order of the file.

        Raises:
            DocumentError: there is no such row any more.
            OSError: the file system does not give the file.
        """


class RecordReader(Protocol):
    """The module of a kind whose files hold many documents."""

    def rows(
        self, filesystem: FileSystem, file: InputFile, settings: ReadSettings, /
    ) -> Iterator[Row]:
        """Every row in order, in memory bounded by a row or a batch of rows.

        Raises:
            DocumentError: the file cannot be read from here on.
            OSError: the file system does not give the file.
        """

    def open_rows(
        self, filesystem: FileSystem, file: InputFile, settings: ReadSettings, /
    ) -> AbstractContextManager[RowSource]:
        """Open the file to fetch single rows; raises as :meth:`RowSource.row`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of input.

    Attributes:
        name: how refs and messages call it.
        suffixes: of its files, in lower case; one that ends in ``.gz`` is of gzipped files.
        reader: module of the reader, imported when the first file of the kind is read; a
            :class:`RecordReader` or a :class:`DocumentReader`.
        holds_records: whether a file holds many documents with fields.
        version: of our own code; raise it when the same bytes give another text or metadata.
        libraries: distributions whose version can change the text of every file.
        detectors: distributions whose version can change the text of files that are not UTF-8.
        extra: of ``pip install 'longbert[EXTRA]'``, if the libraries come with one.
        size_limit: of :class:`ReadSettings`, for a file that is one document.
        is_plain: whether the text of a file is what its bytes decode to, so that it can be read
            piece by piece.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    holds_records: bool
    version: int
    libraries: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    extra: str | None = None
    size_limit: str = "max_record_bytes"
    is_plain: bool = False

    def fingerprint(self, *, is_utf8: bool = True) -> str:
        """The versions that decide on what is read; part of a document's identity.

        A library that is missing counts as well: when it is there, the documents are read again.
        """
        libraries = self.libraries if is_utf8 else (*self.libraries, *self.detectors)
        return ", ".join([f"{self.name} {self.version}", *map(_named_version, libraries)])

    def check(self) -> None:
        """Raise DocumentError if a library is missing."""
        missing = [library for library in self.libraries if library_version(library) is None]
        if missing:
            source = f"longbert[{self.extra}]" if self.extra else " ".join(missing)
            raise DocumentError(
                "plan",
                "no_reader",
                f"reading {self.suffixes[0]} needs {' and '.join(missing)}: "
                f"pip install '{source}', or leave the file out of the inputs",
            )

    def document_reader(self) -> DocumentReader:
        """The reader of a kind that holds no records."""
        return cast(DocumentReader, importlib.import_module(self.reader))

    def record_reader(self) -> RecordReader:
        """The reader of a kind that holds records."""
        return cast(RecordReader, importlib.import_module(self.reader))


KINDS: tuple[Kind, ...] = (
    Kind(
        name="text",
        suffixes=(".txt", ".md", ".rst"),
        reader="longbert.readers.plain_text",
        holds_records=False,
        version=1,
        detectors=("chardet",),
        size_limit="max_text_bytes",
        is_plain=True,
    ),
    Kind(
        name="html",
        suffixes=(".html", ".htm"),
        reader="longbert.readers.html",
        holds_records=False,
        version=1,
        libraries=("lxml",),
        detectors=("chardet",),
    ),
    Kind(
        name="jsonl",
        suffixes=(".jsonl", ".jsonl.gz"),
        reader="longbert.readers.json_lines",
        holds_records=True,
        version=1,
    ),
    # Any pyarrow reads the same values from a Parquet file.
    Kind(
        name="parquet",
        suffixes=(".parquet",),
        reader="longbert.readers.parquet",
        holds_records=True,
        version=1,
    ),
)


def kind_named(name: str) -> Kind:
    """Raises KeyError if there is none of this name."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise KeyError(f"no kind of input is called {name!r}; there are {[k.name for k in KINDS]}")


def kind_of(path: str) -> tuple[Kind | None, str]:
    """The kind of a file by its name, None if it is none of ours, and its suffix in lower case."""
    name = path.rsplit("/", 1)[-1].lower()
    stem, dot, last = name.rpartition(".")
    suffix = dot + last if stem else ""
    if suffix == ".gz" and "." in stem:
        suffix = f".{stem.rpartition('.')[2]}.gz"
    return next((kind for kind in KINDS if suffix in kind.suffixes), None), suffix


def known_suffixes() -> str:
    """All suffixes, for messages."""
    return " ".join(suffix for kind in KINDS for suffix in kind.suffixes)


def reader_versions() -> dict[str, str]:
    """The readers' fingerprint: by kind, the versions that can change what it reads."""
    return {kind.name: kind.fingerprint(is_utf8=False) for kind in KINDS}


def _named_version(library: str) -> str:
    return f"{library} {library_version(library) or 'missing'}"


@cache
def library_version(library: str) -> str | None:
    """The installed version; None if it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
