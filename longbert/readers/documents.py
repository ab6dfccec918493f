"""Reading documents: refs at plan time, text at encode time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import ModuleType
from typing import Any

from longbert.errors import DocumentError
from longbert.readers import json_lines, parquet, text_files
from longbert.readers.fields import Fields, replace_surrogates
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem

__all__ = ["RECORD_KINDS", "read", "records", "replace_surrogates", "scan"]

RECORD_KINDS = ("jsonl", "parquet")
"""Kinds of files whose documents are records with fields."""

_READERS: Mapping[str, ModuleType] = {
    "text": text_files,
    "html": text_files,
    "jsonl": json_lines,
    "parquet": parquet,
}


def scan(
    filesystem: FileSystem, file: InputFile, *, id_field: str, text_field: str
) -> Iterator[DocumentRef]:
    """Learn what documents a file holds, without keeping their text.

    Memory is bounded by a line or a batch of rows. Nothing is raised for what is wrong
    with the file or one of its documents: that is the ``error`` of a ref, and the
    documents before and after it stay.

    Args:
        filesystem: where the file is.
        file: as listed.
        id_field, text_field: names of the fields of a record.
    """
    fields = Fields(id_field, text_field)
    found: Iterator[DocumentRef] = _READERS[file.kind].scan(filesystem, file, fields)
    return found


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], *, id_field: str, text_field: str
) -> Iterator[Document | ErrorRow]:
    """Read the documents of ``refs``: one item for each, in the same order.

    A file is opened once for a run of neighbouring refs. What cannot be read, or is not
    what was planned, is an error row.

    Args:
        filesystem: where the files are.
        refs: as found by :func:`scan` with the same fields.
        id_field, text_field: names of the fields of a record.
    """
    fields = Fields(id_field, text_field)
    for file, run in groupby(refs, key=lambda ref: ref.file):
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
