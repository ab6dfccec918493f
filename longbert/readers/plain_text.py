"""Plain text files: their text as it stands."""

from __future__ import annotations

from longbert.readers.decoding import decode
from longbert.readers.kinds import Extract


def extract(data: bytes, *, encoding: str | None = None) -> Extract:
    """Decode a file; nothing else is done to the text.

    Raises:
        DocumentError: it cannot be decoded with confidence.
    """
    return Extract(decode(data, named=encoding))
