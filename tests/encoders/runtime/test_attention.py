"""Attention by batched products, against the plain formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from longbert.encoders.runtime import attention
from longbert.encoders.runtime.attention import attend, unseen_keys

ROWS, LENGTH, N_HEADS, WIDTH = 3, 40, 4, 32


def drawn(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Queries, keys and values side by side, and which positions are tokens."""
    generator = torch.Generator().manual_seed(0)
    inward = torch.randn(ROWS, LENGTH, 3 * WIDTH, generator=generator).to(dtype)
    is_seen = torch.arange(LENGTH) < torch.tensor([[LENGTH], [17], [1]])
    return inward, is_seen


def by_the_formula(inward: Tensor, is_seen: Tensor) -> Tensor:
    """Head by head and query by query, in float64."""
    found = torch.zeros(*inward.shape[:2], WIDTH, dtype=torch.float64)
    queries, keys, values = inward.double().chunk(3, dim=-1)
    size = WIDTH // N_HEADS
    for row in range(ROWS):
        for head in range(N_HEADS):
            own = slice(head * size, (head + 1) * size)
            for position in range(LENGTH):
                scores = keys[row, is_seen[row], own] @ queries[row, position, own]
                weights = scores.softmax(dim=0)
                found[row, position, own] = weights @ values[row, is_seen[row], own]
    return found


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_it_is_the_formula(dtype: torch.dtype, error: float) -> None:
    inward, is_seen = drawn(dtype)
    everything = torch.ones_like(is_seen)
    for seen, unseen in ((is_seen, unseen_keys(is_seen, dtype)), (everything, None)):
        found = attend(inward, unseen, N_HEADS)
        assert found.dtype == dtype
        assert found.shape == (ROWS, LENGTH, WIDTH)
        assert (found.double() - by_the_formula(inward, seen)).abs().max() < error


@pytest.mark.parametrize("n_at_once", [1, 5, 12, 100])
def test_how_many_heads_are_computed_at_once_changes_no_bit(
    n_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inward, is_seen = drawn(torch.bfloat16)
    for unseen in (None, unseen_keys(is_seen, torch.bfloat16)):
        expected = attend(inward, unseen, N_HEADS)
        with monkeypatch.context() as patch:
            patch.setattr(attention, "SCORES_AT_ONCE", n_at_once * LENGTH**2)
            assert torch.equal(attend(inward, unseen, N_HEADS), expected)
        alone = attend(inward[1:2], None if unseen is None else unseen[1:2], N_HEADS)
        assert torch.equal(alone, expected[1:2])


def test_padding_is_not_looked_at() -> None:
    inward, is_seen = drawn(torch.bfloat16)
    unseen = unseen_keys(is_seen, torch.bfloat16)
    other = torch.where(is_seen[..., None], inward, 7.0)
    found, again = (attend(one, unseen, N_HEADS) for one in (inward, other))
    assert torch.equal(found[is_seen], again[is_seen])
