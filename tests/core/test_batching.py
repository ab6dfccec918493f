"""Batches: a partition within the budget, of windows that do not change each other's bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from longbert.core.batching import Batch, fill_batches, pack_batches, padded_length


@given(st.integers(1, 600), st.integers(1, 600))
def test_padded_length_against_counting_up(n_positions: int, limit: int) -> None:
    expected = n_positions
    while expected % 8 or expected < 16:
        expected += 1
    assert padded_length(n_positions, limit=limit) == min(expected, limit)


@st.composite
def lengths_and_limit(draw: st.DrawFn) -> tuple[list[int], int]:
    limit = draw(st.integers(1, 140))
    return draw(st.lists(st.integers(1, limit), max_size=60)), limit


@given(lengths_and_limit(), st.integers(1, 1_000))
def test_batches(drawn: tuple[list[int], int], batch_tokens: int) -> None:
    lengths, limit = drawn

    batches = pack_batches(lengths, batch_tokens=batch_tokens, limit=limit)

    indices = sorted(index for batch in batches for index in batch.indices)
    assert indices == list(range(len(lengths)))
    for batch in batches:
        assert batch.padded_length <= limit
        assert len(batch.indices) == 1 or batch.padded_length * len(batch.indices) <= batch_tokens
        own = [padded_length(lengths[index], limit=limit) for index in batch.indices]
        assert set(own) == {batch.padded_length}
        assert len({lengths[index] < batch.padded_length for index in batch.indices}) == 1
    padded = [batch.padded_length for batch in batches]
    assert padded == sorted(padded, reverse=True)


@given(lengths_and_limit(), st.integers(1, 1_000))
def test_batches_are_as_full_as_the_budget_allows(
    drawn: tuple[list[int], int], batch_tokens: int
) -> None:
    lengths, limit = drawn

    batches = pack_batches(lengths, batch_tokens=batch_tokens, limit=limit)

    for one, following in pairwise(batches):
        kinds = [
            (batch.padded_length, lengths[batch.indices[0]] < batch.padded_length)
            for batch in (one, following)
        ]
        if kinds[0] == kinds[1]:
            assert (len(one.indices) + 1) * one.padded_length > batch_tokens


@given(lengths_and_limit(), st.integers(1, 1_000))
def test_batches_that_come_early_are_the_same(
    drawn: tuple[list[int], int], batch_tokens: int
) -> None:
    lengths, limit = drawn
    packed = pack_batches(lengths, batch_tokens=batch_tokens, limit=limit)
    taken = 0

    def counted() -> Iterator[int]:
        nonlocal taken
        for length in lengths:
            taken += 1
            yield length

    filled = []
    for batch in fill_batches(counted(), batch_tokens=batch_tokens, limit=limit):
        filled.append(batch)
        # A full batch does not wait for what comes after it.
        is_full = (len(batch.indices) + 1) * batch.padded_length > batch_tokens
        assert taken == (batch.indices[-1] + 1 if is_full else len(lengths))
    assert sorted(filled, key=repr) == sorted(packed, key=repr)


def test_a_worked_example() -> None:
    assert pack_batches([5, 30, 16, 32, 31, 12], batch_tokens=64, limit=512) == [
        Batch((1, 4), 32),
        Batch((3,), 32),
        Batch((0, 5), 16),
        Batch((2,), 16),
    ]
