"""Files that are one document each, whatever their kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from longbert.errors import DocumentError
from longbert.readers.encodings import is_over_ascii, named_encoding
from longbert.readers.fields import (
    check_metadata_size,
    check_text_size,
    printable,
    replace_surrogates,
)
from longbert.readers.kinds import DocumentReader, Kind, kind_of
from longbert.readers.pieces import DocumentPieces
from longbert.readers.piecewise import Codec, DigestedStream, codec_of, decoded_pieces, survey
from longbert.readers.refs import (
    changed,
    check_reader,
    digest_of,
    digest_of_file,
    error_for,
    failed_file,
    failed_ref,
    unreadable,
)
from longbert.readers.settings import ReadSettings, utf8_size
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem


def scan(
    filesystem: FileSystem, file: InputFile, kind: Kind, settings: ReadSettings
) -> Iterator[DocumentRef]:
    """The one document of a file."""
    limit: int = getattr(settings, kind.size_limit)
    if file.n_bytes > limit:
        large = settings.too_large("the file", file.n_bytes, kind.size_limit, remedy="split it")
        yield failed_ref(file, kind, large, digest=digest_of(b""), n_bytes=file.n_bytes)
        return
    try:
        found = digest_of_file(filesystem, file.path)
    except OSError as error:
        yield failed_file(filesystem, file, kind, unreadable("plan", error))
        return
    if found.n_bytes == 0:
        empty = DocumentError("plan", "empty", "the file has 0 bytes: leave it out of the inputs")
        yield failed_file(filesystem, file, kind, empty)
        return
    yield DocumentRef(
        file=file,
        row=None,
        start=0,
        stop=found.n_bytes,
        document_id=file.document_id,
        digest=found.digest,
        reader=_reader(kind, _encoding(file, kind, settings), is_utf8=found.is_utf8),
    )


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], kind: Kind, settings: ReadSettings
) -> Iterator[Document | ErrorRow]:
    """The documents of refs to one file, all of them the same one."""
    reader = kind.document_reader()
    for ref in refs:
        if ref.error is not None:
            yield ref.error
            continue
        encoding = _encoding(ref.file, kind, settings)
        check_reader(ref, [_reader(kind, encoding, is_utf8=is_utf8) for is_utf8 in (True, False)])
        try:
            yield _document(filesystem, ref, reader, encoding, settings)
        except DocumentError as error:
            yield error_for(ref, error)
        except OSError as error:
            yield error_for(ref, unreadable("read", error))


def read_pieces(
    filesystem: FileSystem, ref: DocumentRef, kind: Kind, settings: ReadSettings
) -> DocumentPieces | None:
    """The document of a file of plain text, piece by piece.

    Returns:
        None where the encoding can only be told by the whole text.

    Raises:
        DocumentError: the file is not what was planned.
        OSError: the file system does not give the file.
    """
    encoding = _encoding(ref.file, kind, settings)
    with filesystem.open(ref.file.path) as stream:
        found = survey(stream)
    if found.digest != ref.digest:
        raise changed()
    check_reader(ref, [_reader(kind, encoding, is_utf8=found.is_utf8)])
    codec = codec_of(found, named=encoding)
    if codec is None:
        return None
    document = Document(ref.document_id or ref.file.document_id, "", source=ref.source)
    return DocumentPieces(document, _pieces(filesystem, ref, codec, settings))


def _pieces(
    filesystem: FileSystem, ref: DocumentRef, codec: Codec, settings: ReadSettings
) -> Iterator[str]:
    n_bytes = 0
    try:
        with filesystem.open(ref.file.path) as stream:
            digested = DigestedStream(stream)
            for piece in decoded_pieces(digested, codec):
                n_bytes += utf8_size(piece)
                # The rest of what is too large is read for the message.
                if n_bytes <= settings.max_text_bytes:
                    yield replace_surrogates(piece)[0]
    except OSError as error:
        raise unreadable("read", error) from error
    if digested.hexdigest() != ref.digest:
        raise changed()
    if n_bytes > settings.max_text_bytes:
        raise settings.too_large(
            "the text", n_bytes, "max_text_bytes", remedy="split the document", stage="read"
        )


class UnusedEncodings:
    """Globs for which an encoding was named, and which no file fits that has an encoding.

    Args:
        settings: that name the encodings.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._left = [one for one in settings.encodings if one.glob]

    def passing(self, files: Iterable[InputFile]) -> Iterator[InputFile]:
        """The same files, which are looked at as they go by."""
        for file in files:
            kind, _ = kind_of(file.path) if self._left else (None, None)
            if kind is not None and kind.detectors:
                self._left = [one for one in self._left if not one.fits(file)]
            yield file

    @property
    def globs(self) -> tuple[str, ...]:
        """Those that no file has fitted so far."""
        return tuple(one.glob for one in self._left)


def _encoding(file: InputFile, kind: Kind, settings: ReadSettings) -> str | None:
    """The encoding that was named for a file, if its kind has one."""
    return named_encoding(file, settings.encodings) if kind.detectors else None


def _reader(kind: Kind, encoding: str | None, *, is_utf8: bool) -> str:
    """What decides on the text beside the bytes: a name that was given, or the detector's guess."""
    if encoding is None:
        return kind.fingerprint(is_utf8=is_utf8)
    is_passed_over = is_utf8 and is_over_ascii(encoding)
    return kind.fingerprint() if is_passed_over else f"{kind.fingerprint()}, encoding {encoding}"


def _document(
    filesystem: FileSystem,
    ref: DocumentRef,
    reader: DocumentReader,
    encoding: str | None,
    settings: ReadSettings,
) -> Document:
    with filesystem.open(ref.file.path) as stream:
        data = stream.read()
    if digest_of(data) != ref.digest:
        raise changed()
    extract = reader.extract(data, encoding=encoding)
    check_text_size(extract.text, settings, stage="read")
    content, n_replaced = replace_surrogates(extract.text)
    metadata = {name: printable(value) for name, value in extract.metadata.items()}
    check_metadata_size(metadata, settings, stage="read")
    return Document(
        document_id=ref.document_id or ref.file.document_id,
        text=content,
        source=ref.source,
        metadata=metadata,
        n_chars_replaced=n_replaced,
    )
