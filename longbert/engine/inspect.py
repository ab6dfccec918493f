"""How a document is split, to inspect before a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longbert.core.passages import passage_spans, passage_starts
from longbert.core.windows import Window
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.words import WordSegmenter
from longbert.engine.document_errors import without_tokens
from longbert.records import Document

if TYPE_CHECKING:
    from longbert.encoders.readings import Reading


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
        heads: names of its heads; none without a model.
        n_tokens: content tokens; words without a model.
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
    for reading in readings:
        tokens = reading.tokenizer.tokenize(document.text)
        if not len(tokens):
            raise without_tokens(has_models=True)
        offsets = tokens.offsets
        windows = []
        for window in reading.split_tokens(tokens):
            starts = (window.start, window.owned_start)
            stops = (window.stop, window.owned_stop)
            first, owned_first = (int(offsets[start, 0]) for start in starts)
            last, owned_last = (int(offsets[stop - 1, 1]) for stop in stops)
            windows.append(WindowView(window, first, last, owned_first, owned_last))
        views.append(
            SplitView(
                heads=reading.names,
                n_tokens=len(tokens),
                windows=tuple(windows),
                passages=_passages(document, tokens, passage_tokens),
            )
        )
    return tuple(views)


def split_by_words(document: Document, *, passage_words: int) -> SplitView:
    """Find the passages of a document that no model reads.

    Raises:
        DocumentError: the document has no words.
    """
    words = WordSegmenter().tokenize(document.text)
    if not len(words):
        raise without_tokens(has_models=False)
    return SplitView((), len(words), (), _passages(document, words, passage_words))


def _passages(document: Document, tokens: TokenizedText, size: int) -> tuple[tuple[int, int], ...]:
    starts = passage_starts(tokens.offsets, size=size)
    spans = passage_spans(tokens.offsets, starts, len(document.text))
    return tuple((int(start), int(stop)) for start, stop in spans)
