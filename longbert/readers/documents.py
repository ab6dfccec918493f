"""Reading documents: refs at plan time, text at encode time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from longbert.errors import DocumentError
from longbert.readers import document_files, record_files
from longbert.readers.kinds import kind_named
from longbert.readers.pieces import DocumentPieces
from longbert.readers.refs import error_for, failed_file, failed_listing, unreadable
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem


def scan(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[DocumentRef]:
    """Learn what documents a file holds, without keeping their text.

    Memory is bounded by a record or a batch of rows. Nothing is raised for what is wrong
    with the file or one of its documents: that is the ``error`` of a ref, and the
    documents before and after it stay.

    Args:
        filesystem: where the file is.
        file: as listed.
        settings: of the run.
    """
    if file.problem:
        yield failed_listing(file)
        return
    kind = kind_named(file.kind)
    try:
        kind.check()
    except DocumentError as error:
        yield failed_file(filesystem, file, kind, error)
        return
    if kind.holds_records:
        yield from record_files.scan(filesystem, file, kind, settings)
    else:
        yield from document_files.scan(filesystem, file, kind, settings)


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], settings: ReadSettings
) -> Iterator[Document | ErrorRow]:
    """Read the documents of ``refs``: one item for each, in the same order.

    A file is opened once for a run of neighbouring refs. What cannot be read, or is not
    what was planned, is an error row.

    Args:
        filesystem: where the files are.
        refs: as found by :func:`scan` with the same settings.
        settings: of the run.

    Raises:
        FingerprintError: this machine's readers are not those that the refs were planned with.
    """
    for file, run in groupby(refs, key=lambda ref: ref.file):
        of_file = tuple(run)
        failed = [ref.error for ref in of_file if ref.error is not None]
        if len(failed) == len(of_file):
            yield from failed
            continue
        kind = kind_named(file.kind)
        if kind.holds_records:
            yield from record_files.read(filesystem, of_file, kind, settings)
        else:
            yield from document_files.read(filesystem, of_file, kind, settings)


def read_pieces(
    filesystem: FileSystem, ref: DocumentRef, settings: ReadSettings
) -> DocumentPieces | ErrorRow:
    """Read one document piece by piece: a document larger than others.

    A file of plain text, in UTF-8 or an encoding that is marked or named, is never in memory as a
    whole. Other documents are: a record or a page is at most ``max_record_bytes`` long, and an
    encoding can only be guessed from all of a text.

    Args:
        filesystem: where the file is.
        ref: as found by :func:`scan` with the same settings.
        settings: of the run.

    Raises:
        FingerprintError: this machine's readers are not those that the ref was planned with.
    """
    kind = kind_named(ref.file.kind)
    if kind.is_plain and ref.error is None:
        try:
            found = document_files.read_pieces(filesystem, ref, kind, settings)
        except DocumentError as error:
            return error_for(ref, error)
        except OSError as error:
            return error_for(ref, unreadable("read", error))
        if found is not None:
            return found
    (whole,) = read(filesystem, [ref], settings)
    return whole if isinstance(whole, ErrorRow) else DocumentPieces.of(whole)


def records(
    filesystem: FileSystem, file: InputFile, settings: ReadSettings
) -> Iterator[tuple[int, dict[str, Any] | DocumentError]]:
    """Every record of a file with its position from 0, all fields as they are.

    Nothing is raised for what is wrong with the file or a record: that is an item.

    Args:
        filesystem: where the file is.
        file: of a kind that holds records.
        settings: of the run.
    """
    return record_files.records(filesystem, file, kind_named(file.kind), settings)
