"""Windows over a document's tokens, and which window owns each token."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Window:
    """A run of content tokens that fits the model, half-open.

    Attributes:
        start, stop: the tokens that the model sees.
        owned_start, owned_stop: the tokens whose results are kept.
    """

    start: int
    stop: int
    owned_start: int
    owned_stop: int

    @property
    def n_tokens(self) -> int:
        """Content tokens, special tokens not counted."""
        return self.stop - self.start

    @property
    def n_owned(self) -> int:
        """Tokens whose results are kept."""
        return self.owned_stop - self.owned_start


def default_overlap(size: int) -> int:
    """A quarter of a window's ``size`` content tokens."""
    return size // 4


def split_windows(n_tokens: int, *, size: int, overlap: int) -> tuple[Window, ...]:
    """Cover a document with overlapping windows.

    Windows start every ``size - overlap`` tokens; the last one is moved left to end with the
    document, so that every window but that of a short document is full. The owned ranges
    partition ``[0, n_tokens)``: a token belongs to the window that gives it most context on
    its poorer side, on a tie to the earlier one (the max-context rule of Devlin et al. 2018,
    ``run_squad.py``). For windows of one size that is the window with the nearest middle, so
    the border lies half-way between the middles of two neighbours.

    Args:
        n_tokens: content tokens of the document, special tokens not counted; at least 0.
        size: content tokens a window holds; at least 1.
        overlap: tokens shared by neighbours, in ``[0, size)``.

    Raises:
        ConfigError: overlap or size is out of range.
    """
    stream = WindowStream(size=size, overlap=overlap)
    return (*stream.add(n_tokens), *stream.finish())


class WindowStream:
    """The windows of :func:`split_windows` for tokens that come in pieces, once each is certain.

    One window is held back: it may turn out to be the last, which ends with the document.

    Args:
        size, overlap: as above.

    Raises:
        ConfigError: overlap or size is out of range.
    """

    def __init__(self, *, size: int, overlap: int) -> None:
        if size < 1:
            raise ConfigError(
                f"window must leave room for at least 1 content token, got {size}: enlarge it"
            )
        if not 0 <= overlap < size:
            raise ConfigError(
                f"overlap must be in [0, {size}), got {overlap}: try {default_overlap(size)}"
            )
        self._size = size
        self._step = size - overlap
        self._n_tokens = 0
        self._start = 0
        self._border = 0

    def add(self, n_tokens: int) -> list[Window]:
        """Count the next tokens; the windows that are certain now."""
        self._n_tokens += n_tokens
        windows = []
        while self._n_tokens >= self._start + self._step + self._size:
            windows.append(self._next(self._start + self._step))
        return windows

    def finish(self) -> list[Window]:
        """The windows that are left, the last of which ends with the document."""
        windows = []
        last = self._n_tokens - self._size
        if self._start < last:
            windows.append(self._next(last))
        if self._n_tokens:
            stop = min(self._start + self._size, self._n_tokens)
            windows.append(Window(self._start, stop, self._border, self._n_tokens))
        return windows

    def _next(self, following: int) -> Window:
        """The window at hand, given the start of the one after it."""
        start, first = self._start, self._border
        self._start = following
        self._border = (start + following + self._size + 1) // 2
        return Window(start, start + self._size, first, self._border)


def split_ends(n_tokens: int, *, size: int) -> tuple[Window, ...]:
    """The first and the last tokens of a document, to be read as one window.

    A quarter of the window from the beginning and the rest from the end, as the 128 and 382 of
    510 tokens in Sun et al. 2019 (arXiv:1905.05583). A document that fits is read whole.

    Args:
        n_tokens: content tokens of the document, special tokens not counted; at least 0.
        size: content tokens a window holds; at least 1.

    Returns:
        One or two runs of tokens, ``size`` in all at most; none of an empty document.
    """
    if n_tokens <= size:
        return split_windows(n_tokens, size=size, overlap=0)
    n_first = (size + 2) // 4
    n_last = size - n_first
    runs = ((0, n_first), (n_tokens - n_last, n_tokens))
    return tuple(Window(start, stop, start, stop) for start, stop in runs if start < stop)
