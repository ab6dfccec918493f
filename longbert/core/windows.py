"""Windows over a document's tokens, and which window owns each token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

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
    if size < 1:
        raise ConfigError(f"window must leave room for at least 1 content token, got {size}")
    if not 0 <= overlap < size:
        raise ConfigError(
            f"overlap must be in [0, {size}), got {overlap}: try {default_overlap(size)}"
        )
    if n_tokens == 0:
        return ()
    if n_tokens <= size:
        return (Window(0, n_tokens, 0, n_tokens),)
    last = n_tokens - size
    starts = [*range(0, last, size - overlap), last]
    borders = [(left + right + size + 1) // 2 for left, right in pairwise(starts)]
    owned = [0, *borders, n_tokens]
    return tuple(
        Window(start, start + size, owned[i], owned[i + 1]) for i, start in enumerate(starts)
    )


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
