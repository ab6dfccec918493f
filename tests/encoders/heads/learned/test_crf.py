"""The loss of a conditional random field, against all sequences written out."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tensors import draws
from torch import Tensor

from longbert.encoders.heads.learned.crf import crf_loss

seeds = st.integers(0, 2**31 - 1)


def slow_loss(
    emissions: Tensor, tags: Tensor, lengths: list[int], transitions: Tensor, allowed: Tensor
) -> float:
    """All sequences of each row written out."""
    total = 0.0
    for row, length in enumerate(lengths):
        scores = {}
        for labels in product(range(emissions.shape[2]), repeat=length):
            if all(bool(allowed[a, b]) for a, b in pairwise(labels)):
                score = sum(float(emissions[row, i, label]) for i, label in enumerate(labels))
                scores[labels] = score + sum(float(transitions[a, b]) for a, b in pairwise(labels))
        gold = scores[tuple(tags[row, :length].tolist())]
        total += float(np.logaddexp.reduce(list(scores.values()))) - gold
    return total / sum(lengths)


@settings(max_examples=40)
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_loss_is_that_of_all_sequences(seed: int, lengths: list[int]) -> None:
    n_labels, longest = 4, max(lengths)
    generator = draws(seed)
    allowed = torch.rand(n_labels, n_labels, generator=generator) > 0.3
    allowed[:, 0] = True
    emissions = torch.randn(len(lengths), longest, n_labels, generator=generator) * 2
    transitions = torch.randn(n_labels, n_labels, generator=generator)
    tags = torch.zeros(len(lengths), longest, dtype=torch.long)
    for row in range(len(lengths)):
        tags[row, 0] = int(torch.randint(n_labels, (), generator=generator))
        for place in range(1, longest):
            following = torch.nonzero(allowed[tags[row, place - 1]])[:, 0]
            at = int(torch.randint(len(following), (), generator=generator))
            tags[row, place] = following[at]
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).float()
    found = float(crf_loss(emissions, tags, mask, transitions, allowed))
    expected = slow_loss(emissions, tags, lengths, transitions, allowed)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert found > -1e-5


@settings(max_examples=25)
@given(seeds, st.integers(1, 5), st.integers(0, 4))
def test_padding_changes_neither_loss_nor_gradient(seed: int, n_words: int, n_more: int) -> None:
    generator = draws(seed)
    emissions = torch.randn(1, n_words, 3, generator=generator)
    tags = torch.randint(3, (1, n_words), generator=generator)
    allowed = torch.ones(3, 3, dtype=torch.bool)
    found = []
    for more in (0, n_more):
        padding = torch.randn(1, more, 3, generator=generator)
        padded = torch.cat([emissions, padding], dim=1).requires_grad_()
        moves = torch.eye(3).requires_grad_()
        mask = torch.tensor([[1.0] * n_words + [0.0] * more])
        loss = crf_loss(padded, torch.nn.functional.pad(tags, (0, more)), mask, moves, allowed)
        loss.backward()
        assert padded.grad is not None
        assert moves.grad is not None
        assert not padded.grad[:, n_words:].any()
        found.append((loss.detach(), padded.grad[:, :n_words], moves.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
