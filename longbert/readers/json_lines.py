"""JSON lines, plain or gzip: a record a line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from longbert.errors import DocumentError
from longbert.readers.decoding import BOM_UTF8, has_wide_bom
from longbert.readers.kinds import Row
from longbert.readers.refs import changed, digest_of
from longbert.readers.settings import ReadSettings
from longbert.readers.values import DECODER, WrittenNumber
from longbert.records import DocumentRef, InputFile
from longbert.store.filesystem import FileSystem

_WHITE_SPACE = b" \t\r\n"
_LINE_BREAK = b"\r\n"
_PIECE_BYTES = 1 << 20
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)


def rows(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[Row]:
    """Every line that is not blank; offsets are those of the decompressed stream.

    Raises:
        DocumentError: the file is not UTF-8, or not gzip from here on.
        OSError: the file system does not give the file.
    """
    row = 0
    start = 0
    most = settings.max_record_bytes + len(_LINE_BREAK)
    with _opened(filesystem, file) as stream:
        while line := _readline(stream, most):
            if start == 0 and has_wide_bom(line):
                raise DocumentError(
                    "plan", "encoding", "the file begins as UTF-16 or UTF-32: convert it to UTF-8"
                )
            is_whole = line.endswith(b"\n") or len(line) < most
            if not is_whole or len(line.rstrip(_LINE_BREAK)) > settings.max_record_bytes:
                found = _too_long(row, start, line, stream, settings)
                yield found
                start = found.stop
            else:
                if _content(line, start):
                    yield _row(row, start, line)
                start += len(line)
            row += 1


@contextmanager
def open_rows(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[_Lines]:
    """Lines by their offsets."""
    with _opened(filesystem, file) as stream:
        yield _Lines(stream)


class _Lines:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._is_damaged = False

    def row(self, ref: DocumentRef) -> Row:
        """The line of a ref; raises DocumentError or OSError."""
        # A damaged gzip is not read again from its start for every line after.
        if self._is_damaged or ref.row is None:
            raise changed()
        try:
            self._stream.seek(ref.start)
            line = self._stream.read(ref.stop - ref.start)
        except _DAMAGED:
            self._is_damaged = True
            raise changed() from None
        return _row(ref.row, ref.start, line)


def _readline(stream: IO[bytes], most: int) -> bytes:
    """The rest of the line, or its first ``most`` bytes."""
    try:
        return stream.readline(most)
    except _DAMAGED:
        raise DocumentError(
            "plan",
            "bad_gzip",
            "the gzip data is damaged or cut short from here on: "
            "copy or compress the file again (gzip -t checks it)",
        ) from None


def _too_long(row: int, start: int, line: bytes, stream: IO[bytes], settings: ReadSettings) -> Row:
    """Pass over a line in pieces; ``line`` is its beginning."""
    digest = hashlib.sha256(line)
    n_bytes = len(line)
    while not line.endswith(b"\n") and (line := _readline(stream, _PIECE_BYTES)):
        digest.update(line)
        n_bytes += len(line)
    error = settings.too_large("the line", n_bytes, "max_record_bytes", remedy="split the document")
    return Row(row, start, start + n_bytes, digest.hexdigest(), error)


@contextmanager
def _opened(filesystem: FileSystem, file: InputFile) -> Iterator[IO[bytes]]:
    with filesystem.open(file.path) as raw:
        if file.compressed:
            with gzip.open(raw) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield raw


def _row(row: int, start: int, line: bytes) -> Row:
    content = _content(line, start)
    record: dict[str, Any] | DocumentError
    try:
        record = _record(content)
    except DocumentError as error:
        record = error
    return Row(row, start, start + len(line), digest_of(content), record)


def _content(line: bytes, start: int) -> bytes:
    """The line without white space around it, and the mark some editors put before the first."""
    return (line.removeprefix(BOM_UTF8) if start == 0 else line).strip(_WHITE_SPACE)


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise DocumentError(
            "plan",
            "encoding",
            f"byte {error.start} of the line is not UTF-8: convert the file to UTF-8",
        ) from None
    except RecursionError:
        raise _bad_json("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        # `msg` names what was expected; the exception itself may quote the document.
        what = error.msg.split(":")[0].removesuffix(" at")
        raise _bad_json(f"{what} at character {error.pos}") from None
    if not isinstance(record, dict):
        raise DocumentError(
            "plan",
            "not_an_object",
            f"the line is a JSON {_JSON_NAMES[type(record)]}, not an object: "
            'write {"id": ..., "text": ...}, one a line',
        )
    return record


_JSON_NAMES = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    WrittenNumber: "number",
    bool: "boolean",
    type(None): "null",
}


def _bad_json(what: str) -> DocumentError:
    return DocumentError(
        "plan", "bad_json", f"the line is not valid JSON: {what}: write one whole record a line"
    )
