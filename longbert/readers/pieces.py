"""A document whose text comes in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from longbert.records import Document

PIECE_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class DocumentPieces:
    """A document as read, piece by piece.

    Attributes:
        document: without its text.
        pieces: of the text, lone surrogates already replaced; raises DocumentError where the text
            cannot be read on.
    """

    document: Document
    pieces: Iterator[str]

    @classmethod
    def of(cls, document: Document) -> DocumentPieces:
        """Cut a document that is in memory."""
        text = document.text
        pieces = (text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS))
        return cls(replace(document, text=""), pieces)
