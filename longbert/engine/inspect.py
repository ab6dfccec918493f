"""How a document is split, to look at before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.core.passages import passage_spans, passage_starts
from longbert.core.windows import Window
from longbert.encoders.models import Models
from longbert.errors import DocumentError
from longbert.records import Document


@dataclass(frozen=True, slots=True)
class WindowView:
    """A window with its characters, half-open, in code points."""

    window: Window
    char_start: int
    char_end: int
    owned_char_start: int
    owned_char_end: int


@dataclass(frozen=True, slots=True)
class SplitView:
    """How one backbone reads a document.

    Attributes:
        heads: names of the heads on it.
        n_tokens: content tokens.
        windows: in order.
        passages: character spans, half-open; they partition the text.
    """

    heads: tuple[str, ...]
    n_tokens: int
    windows: tuple[WindowView, ...]
    passages: tuple[tuple[int, int], ...]


def split_document(
    models: Models, document: Document, *, passage_tokens: int
) -> tuple[SplitView, ...]:
    """The windows of each pass over a document.

    Raises:
        DocumentError: the document has no token.
    """
    views = []
    n_chars = len(document.text)
    for pass_ in models.passes:
        tokens = pass_.tokenizer.tokenize(document.text)
        if not len(tokens):
            raise DocumentError("tokenize", "no_tokens", "the document has no token")
        offsets = tokens.offsets
        windows = []
        for window in pass_.split_tokens(tokens):
            starts = (window.start, window.owned_start)
            stops = (window.stop, window.owned_stop)
            first, owned_first = (int(offsets[start, 0]) for start in starts)
            last, owned_last = (int(offsets[stop - 1, 1]) for stop in stops)
            windows.append(WindowView(window, first, last, owned_first, owned_last))
        spans = passage_spans(offsets, passage_starts(offsets, size=passage_tokens), n_chars)
        views.append(
            SplitView(
                heads=tuple(head.name for head in pass_.heads),
                n_tokens=len(tokens),
                windows=tuple(windows),
                passages=tuple((int(start), int(stop)) for start, stop in spans),
            )
        )
    return tuple(views)
