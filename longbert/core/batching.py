"""Batches of windows whose results depend on nothing beside them.

A window is padded to its own length rounded up, never to its neighbours', and shares a batch
only with windows of the same padded length. The kernels then do the same arithmetic for it
whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_MULTIPLE = 8
_LEAST = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows that run through the model together.

    Attributes:
        indices: positions in the list that was packed.
        padded_length: positions of every row.
    """

    indices: tuple[int, ...]
    padded_length: int


def padded_length(n_positions: int, *, limit: int) -> int:
    """Round up to a multiple of 8, at least 16, at most the model's limit.

    Below 16 float32 kernels were seen to depend on the size of the batch.
    """
    return min(max(-(-n_positions // _MULTIPLE) * _MULTIPLE, _LEAST), limit)


def pack_batches(lengths: Sequence[int], *, batch_tokens: int, limit: int) -> list[Batch]:
    """Pack windows into batches of at most ``batch_tokens`` positions, padding included.

    Args:
        lengths: positions of every window, special tokens included.
        batch_tokens, limit: as in :func:`fill_batches`.

    Returns:
        Batches that partition the windows, longest first, so that a lack of memory shows at once.
    """
    filled = fill_batches(lengths, batch_tokens=batch_tokens, limit=limit)
    return sorted(filled, key=lambda batch: batch.padded_length, reverse=True)


def fill_batches(lengths: Iterable[int], *, batch_tokens: int, limit: int) -> Iterator[Batch]:
    """Pack windows that come one after another, and give each batch as soon as it is full.

    Windows that need no padding do not share a batch with those that do: a mask of ones is
    dropped on the way to the attention kernel, and another kernel gives other bits.

    Args:
        lengths: positions of every window, special tokens included.
        batch_tokens: a batch holds at least one window, even when that exceeds it.
        limit: positions that the model takes.

    Yields:
        Batches that partition the windows; those that are not full come last, longest first.
    """
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, length in enumerate(lengths):
        padded = padded_length(length, limit=limit)
        group = groups.setdefault((padded, length < padded), [])
        group.append(index)
        if len(group) == max(1, batch_tokens // padded):
            yield Batch(tuple(group), padded)
            group.clear()
    for (padded, _), group in sorted(groups.items(), reverse=True):
        if group:
            yield Batch(tuple(group), padded)
