"""Laying out text as a browser does: white space that collapses, and lines that break."""

from __future__ import annotations

import re

_WHITE_SPACE = re.compile(r"[ \t\n\r\f]+")
_LINE_BREAK = re.compile(r"\r\n?")
_MOST_BREAKS = 2


class Layout:
    """Collects text piece by piece.

    White space and breaks are held back until text follows, so that none begins or ends a line.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._n_breaks = 0
        self._gap = ""

    def write(self, text: str | None, *, is_preformatted: bool = False) -> None:
        """Add text, with white space collapsed unless it is preformatted."""
        if not text:
            return
        if is_preformatted:
            self._add(_LINE_BREAK.sub("\n", text))
            return
        words = _WHITE_SPACE.sub(" ", text)
        if words.startswith(" "):
            self.separate(" ")
        if words != " ":
            self._add(words.strip(" "))
        if words.endswith(" "):
            self.separate(" ")

    def separate(self, gap: str) -> None:
        """Keep what follows apart from what is there; a tab is stronger than a space."""
        if self._gap != "\t":
            self._gap = gap

    def break_lines(self, n_breaks: int) -> None:
        """Begin a new line (1), or leave a blank one before it (2); 0 does nothing."""
        self._n_breaks = max(self._n_breaks, n_breaks)

    def break_line(self) -> None:
        """Break the line even where one is broken already; no more than one blank line."""
        self._n_breaks = min(self._n_breaks + 1, _MOST_BREAKS)

    def text(self) -> str:
        """All that was written."""
        return "".join(self._pieces)

    def _add(self, text: str) -> None:
        if not text:
            return
        last = self._pieces[-1] if self._pieces else ""
        if self._n_breaks:
            # Preformatted text may have broken the line itself.
            n_there = len(last) - len(last.rstrip("\n")) if self._pieces else self._n_breaks
            if n_there < self._n_breaks:
                self._pieces.append("\n" * (self._n_breaks - n_there))
        elif self._gap and last and not last.endswith("\n"):
            self._pieces.append(self._gap)
        self._n_breaks = 0
        self._gap = ""
        self._pieces.append(text)
