"""Attention on a CPU by two batched products, a few heads at a time, so that scores stay in cache.

The fused attention of torch multiplies tiles of 64 queries, for which its products of bfloat16 are
slow where a processor has AVX512-BF16 without AMX. Whole products of a head are many times as fast,
provided that scores are still in the cache when the softmax reads them.
"""

from __future__ import annotations

import torch
from torch import Tensor

SCORES_AT_ONCE = 3 << 18
"""In bfloat16, the scores of 12 heads over 256 positions: 1.5 MB."""


def unseen_keys(is_seen: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores: minus infinity for padding.

    Args:
        is_seen: whether a position is a token. Shape: (batch, positions).
        dtype: of the scores.

    Returns:
        Shape: (batch, 1, positions).
    """
    added = torch.zeros(is_seen.shape, dtype=dtype)
    return added.masked_fill_(is_seen.logical_not(), -torch.inf)[:, None]


def attend(inward: Tensor, unseen: Tensor | None, n_heads: int) -> Tensor:
    """What each position takes from the values of all.

    Args:
        inward: queries, scaled already, keys and values. Shape: (batch, positions, 3 * width).
        unseen: as :func:`unseen_keys` gives it; None where there is no padding.
        n_heads: that share the width.

    Returns:
        Shape: (batch, positions, width).
    """
    n_rows, length, _ = inward.shape
    apart = inward.view(n_rows, length, 3, n_heads, -1).permute(2, 0, 3, 1, 4).contiguous()
    queries, keys, values = apart.flatten(1, 2)
    keys = keys.transpose(1, 2)
    if unseen is not None:
        unseen = unseen.repeat_interleave(n_heads, dim=0)
    found = torch.empty_like(queries)
    n_at_once = min(max(1, SCORES_AT_ONCE // length**2), len(queries))
    buffer = inward.new_empty(n_at_once, length, length)
    for first in range(0, len(queries), n_at_once):
        own = slice(first, first + n_at_once)
        scores = buffer[: len(queries[own])]
        torch.bmm(queries[own], keys[own], out=scores)
        if unseen is not None:
            scores += unseen[own]
        torch.softmax(scores, dim=-1, out=scores)
        torch.bmm(scores, values[own], out=found[own])
    return found.view(n_rows, n_heads, length, -1).transpose(1, 2).reshape(n_rows, length, -1)
