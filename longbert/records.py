"""Records that pass between the layers, all of them immutable and picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from longbert.arrays import FloatVector


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that one of the inputs names, or a folder under it that cannot be listed.

    Attributes:
        path: where to open it.
        kind: name of a kind in ``longbert.readers.kinds``; empty where ``problem`` is set.
        compressed: gzip, by its name.
        document_id: the id of a file that is one document; the prefix of rows without id.
        order: position among all files of the run, from 0.
        n_bytes: size on disk.
        source: the path as the tables and messages give it.
        problem: why nothing in it can be read, if listing has shown that already.
    """

    path: str
    kind: str
    compressed: bool
    document_id: str
    order: int
    n_bytes: int
    source: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A row of the table ``errors``: a document or file that could not be done."""

    source: str
    document_id: str | None
    stage: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """What the planner knows of a document before its text is needed.

    Attributes:
        file: the file that holds it.
        row: position of its record from 0; None for a file that is one document.
        start, stop: the bytes (uncompressed) of a JSON line; for other kinds 0 and a size.
        document_id: None if it could not be learnt.
        digest: SHA-256 of what the document is made from: the file's bytes, the line without the
            white space around it, or the row's fields.
        reader: versions of what turns these bytes into a text.
        has_own_id: whether the record names its id. Then it is known by id and content, and its
            place in the file does not matter.
        error: set when planning has shown already that the document cannot be done.
    """

    file: InputFile
    row: int | None
    start: int
    stop: int
    document_id: str | None
    digest: str
    reader: str
    has_own_id: bool = False
    error: ErrorRow | None = None

    @property
    def source(self) -> str:
        """What the tables say of where it came from: the file, with ``#line`` if it has no id."""
        return self.file.source if self.has_own_id else self.place

    @property
    def place(self) -> str:
        """Where it is, to look it up: the file, with ``#line`` (from 1) for a record."""
        return self.file.source if self.row is None else f"{self.file.source}#{self.row + 1}"

    @property
    def order(self) -> tuple[int, int]:
        """Position in the order of the inputs."""
        return self.file.order, self.row or 0

    @property
    def n_bytes(self) -> int:
        """Size by which documents are packed into units; one that cannot be done takes no work."""
        return self.stop - self.start if self.error is None else 0


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read.

    Attributes:
        text: lone surrogates already replaced, one for one, by U+FFFD.
        metadata: further fields of the record, as strings.
        n_chars_replaced: lone surrogates that were replaced.
    """

    document_id: str
    text: str
    source: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    n_chars_replaced: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A short run of a document's tokens, the unit of search.

    Attributes:
        char_start, char_end: half-open, in code points of the document's text.
        embedding: None when no embedding model runs.
    """

    ordinal: int
    char_start: int
    char_end: int
    text: str
    embedding: FloatVector | None


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity with its exact span, half-open, in code points of the document's text."""

    head: str
    char_start: int
    char_end: int
    label: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Classification:
    """The score of one label of one head for a document."""

    head: str
    label: str
    score: float
    predicted: bool


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The score of one label of one head for a window, before windows are pooled.

    Attributes:
        window: its number in the document, from 0.
        char_start, char_end: what the window owns, half-open, in code points of the text. The
            spans of a document's windows partition it.
    """

    head: str
    window: int
    char_start: int
    char_end: int
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """All that the heads make of one document.

    Attributes:
        content_sha256: SHA-256 of the text in UTF-8, in hexadecimal.
        n_chars: code points of the text.
        n_chars_covered: characters that the windows span; see the guarantees.
        n_chars_unknown: characters under unknown tokens.
        embedding: None when no embedding model runs.
    """

    document: Document
    content_sha256: str
    n_chars: int
    n_tokens: int
    n_windows: int
    n_chars_covered: int
    n_chars_unknown: int
    embedding: FloatVector | None
    passages: tuple[Passage, ...]
    entities: tuple[Entity, ...]
    classifications: tuple[Classification, ...]
    window_scores: tuple[WindowScore, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class LabelledSpan:
    """A span with its label, half-open, in code points of the document's text."""

    char_start: int
    char_end: int
    label: str


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A span that a head has found, and how sure it is of the label."""

    span: LabelledSpan
    score: float


@dataclass(frozen=True, slots=True)
class LabelledDocument:
    """A document with what people say of it; exactly one of the last three is not None.

    Attributes:
        text: lone surrogates already replaced, one for one, by U+FFFD.
        source: path and line or row, for messages.
        labels: of the document; one where documents have one label each.
        number: of the document, for a regression.
        spans: sorted, without overlaps.
    """

    document_id: str
    text: str
    source: str
    labels: tuple[str, ...] | None = None
    number: float | None = None
    spans: tuple[LabelledSpan, ...] | None = None
