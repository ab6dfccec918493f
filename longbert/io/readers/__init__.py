"""Reading documents: stubs at plan time, text at encode time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import ModuleType
from typing import Any

from longbert.errors import DocumentError
from longbert.io.filesystem import FileSystem
from longbert.io.readers import lines, table, whole
from longbert.io.readers.fields import Fields, replace_surrogates
from longbert.records import Document, ErrorRow, InputFile, Stub

__all__ = ["RECORD_KINDS", "read", "records", "replace_surrogates", "scan"]

RECORD_KINDS = ("jsonl", "parquet")
"""Kinds of files whose documents are records with fields."""

_READERS: Mapping[str, ModuleType] = {
    "text": whole,
    "html": whole,
    "jsonl": lines,
    "parquet": table,
}


def scan(
    filesystem: FileSystem, file: InputFile, *, id_field: str, text_field: str
) -> Iterator[Stub]:
    """Learn what documents a file holds, without keeping their text.

    Memory is bounded by a line or a batch of rows. Nothing is raised for what is wrong
    with the file or one of its documents: that is the ``error`` of a stub, and the
    documents before and after it stay.

    Args:
        filesystem: where the file is.
        file: as listed.
        id_field, text_field: names of the fields of a record.
    """
    fields = Fields(id_field, text_field)
    found: Iterator[Stub] = _READERS[file.kind].scan(filesystem, file, fields)
    return found


def read(
    filesystem: FileSystem, stubs: Sequence[Stub], *, id_field: str, text_field: str
) -> Iterator[Document | ErrorRow]:
    """Read the documents of ``stubs``: one item for each, in the same order.

    A file is opened once for a run of neighbouring stubs. What cannot be read, or is not
    what was planned, is an error row.

    Args:
        filesystem: where the files are.
        stubs: as found by :func:`scan` with the same fields.
        id_field, text_field: names of the fields of a record.
    """
    fields = Fields(id_field, text_field)
    for file, run in groupby(stubs, key=lambda stub: stub.file):
        yield from _READERS[file.kind].read(filesystem, tuple(run), fields)


def records(
    filesystem: FileSystem, file: InputFile
) -> Iterator[tuple[int, dict[str, Any] | DocumentError]]:
    """Every record of a file with its position from 0, all fields as they are.

    Nothing is raised for what is wrong with the file or a record: that is an item.

    Args:
        filesystem: where the file is.
        file: of one of :data:`RECORD_KINDS`.
    """
    found: Iterator[tuple[int, dict[str, Any] | DocumentError]]
    found = _READERS[file.kind].records(filesystem, file)
    return found
