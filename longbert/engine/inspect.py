"""How a document is split, to inspect before a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longbert.core.passages import passage_spans, passage_starts
from longbert.core.windows import Window
from longbert.encoders.readings import Reading
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
    """How one pass reads a document.

    Attributes:
        heads: names of its heads.
        n_tokens: content tokens.
        windows: in order.
        passages: character spans, half-open; they partition the text.
    """

    heads: tuple[str, ...]
    n_tokens: int
    windows: tuple[WindowView, ...]
    passages: tuple[tuple[int, int], ...]


def split_document(
    readings: Sequence[Reading[Any]], document: Document, *, passage_tokens: int
) -> tuple[SplitView, ...]:
    """Find the windows of each pass over a document.

    Args:
        readings: of the passes; no weights are needed.
        document: to split.
        passage_tokens: content tokens of a passage.

    Raises:
        DocumentError: the document has no tokens.
    """
    views = []
    n_chars = len(document.text)
    for reading in readings:
        tokens = reading.tokenizer.tokenize(document.text)
        if not len(tokens):
            raise DocumentError(
                "tokenize", "no_tokens", "the document has no tokens: name one with words"
            )
        offsets = tokens.offsets
        windows = []
        for window in reading.split_tokens(tokens):
            starts = (window.start, window.owned_start)
            stops = (window.stop, window.owned_stop)
            first, owned_first = (int(offsets[start, 0]) for start in starts)
            last, owned_last = (int(offsets[stop - 1, 1]) for stop in stops)
            windows.append(WindowView(window, first, last, owned_first, owned_last))
        spans = passage_spans(offsets, passage_starts(offsets, size=passage_tokens), n_chars)
        views.append(
            SplitView(
                heads=reading.names,
                n_tokens=len(tokens),
                windows=tuple(windows),
                passages=tuple((int(start), int(stop)) for start, stop in spans),
            )
        )
    return tuple(views)
