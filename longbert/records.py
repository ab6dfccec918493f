"""Records that pass between the layers, all of them immutable and picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float32]
"""Shape: (width,)."""

FloatMatrix = npt.NDArray[np.float32]
"""Shape: (rows, width)."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that one of the inputs names.

    Attributes:
        path: where to open it.
        kind: key of ``longbert.readers.inputs.KINDS``: ``text``, ``html``, ``jsonl``, ``parquet``.
        compressed: gzip, by its name.
        document_id: the id of a file that is one document; the prefix of rows without id.
        order: position among all files of the run, from 0.
        n_bytes: size on disk.
    """

    path: str
    kind: str
    compressed: bool
    document_id: str
    order: int
    n_bytes: int


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
        row: 0 for a file that is one document, else the row's position from 0.
        start: first byte (uncompressed) of a JSON line; 0 for other kinds.
        stop: byte after the JSON line, its line break included; ``n_bytes`` for other kinds.
        document_id: None if it could not be learnt.
        source: the path, with ``#line`` (from 1) for a row.
        digest: SHA-256 of what the document is made from: the file's bytes, the line's bytes,
            or the row's fields. It changes when anything about the document does.
        error: set when planning has shown already that the document cannot be done.
    """

    file: InputFile
    row: int
    start: int
    stop: int
    document_id: str | None
    source: str
    digest: str
    error: ErrorRow | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Position in the order of the inputs."""
        return self.file.order, self.row

    @property
    def n_bytes(self) -> int:
        """Size by which documents are packed into units."""
        return self.stop - self.start


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
        n_chars_covered: characters that the windows span; see the guarantees.
        n_chars_unknown: characters under unknown tokens.
        embedding: None when no embedding model runs.
    """

    document: Document
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
