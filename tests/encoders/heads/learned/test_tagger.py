"""The tagger of words: padding, reach, dropout, states of words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tensors import draws, randomise
from torch import Tensor

from longbert.core.word_shape import FLAGS, N_BUCKETS, N_STRINGS
from longbert.encoders.heads.learned.tagger import TaggerShape, WordTagger, word_states
from longbert.encoders.heads.learned.token_head import words_around

seeds = st.integers(0, 2**31 - 1)
SHAPE = TaggerShape(
    layers=(0, 2), width=6, n_labels=5, channels=8, string_channels=4, dilations=(1, 2, 1)
)


def tagger() -> WordTagger:
    module = WordTagger(SHAPE, dropout=0.5, input_dropout=0.5)
    randomise(module, 1)
    return module


def window_inputs(generator: torch.Generator, n_words: int) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randn(n_words, len(SHAPE.layers), SHAPE.width, generator=generator),
        torch.rand(n_words, len(FLAGS), generator=generator),
        torch.randint(0, N_BUCKETS, (n_words, N_STRINGS), generator=generator),
    )


@settings(max_examples=25)
@given(seeds, st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_window_has_the_same_emissions_alone_and_padded(seed: int, lengths: list[int]) -> None:
    module, generator = tagger(), draws(seed)
    windows = [window_inputs(generator, n_words) for n_words in lengths]
    longest = max(lengths) + 2
    # What stands in the padding is not read.
    states, flags, strings = (
        torch.stack([part[:1].expand(longest, *part.shape[1:]).clone() for part in parts])
        for parts in zip(*windows, strict=True)
    )
    for row, (n_words, inputs) in enumerate(zip(lengths, windows, strict=True)):
        for whole, part in zip((states, flags, strings), inputs, strict=True):
            whole[row, :n_words] = part
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).float()
    with torch.inference_mode():
        together = module(states, flags, strings, mask)
        for row, (n_words, inputs) in enumerate(zip(lengths, windows, strict=True)):
            alone = module(*(part[None] for part in inputs), torch.ones(1, n_words))
            torch.testing.assert_close(together[row, :n_words], alone[0], atol=1e-5, rtol=1e-4)


def test_neighbours_within_reach_are_read_and_no_others() -> None:
    module = tagger()
    inputs = [part[None] for part in window_inputs(draws(3), 20)]
    mask = torch.ones(1, 20)
    with torch.inference_mode():
        before = module(*inputs, mask)[0]
        inputs[0][0, 10] += 1
        after = module(*inputs, mask)[0]
    changed = (before != after).any(dim=1).nonzero()[:, 0].tolist()
    assert changed == list(range(10 - sum(SHAPE.dilations), 11 + sum(SHAPE.dilations)))


def test_dropout_is_for_training_alone() -> None:
    module = tagger()
    inputs = [part[None] for part in window_inputs(draws(3), 5)]
    mask = torch.ones(1, 5)
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert torch.equal(module(*inputs, mask), module(*inputs, mask))
        module.train()
        assert not torch.equal(module(*inputs, mask), module(*inputs, mask))


@given(seeds, st.integers(1, 12), st.data())
def test_states_of_words_are_means_over_their_tokens(
    seed: int, n_tokens: int, data: st.DataObject
) -> None:
    others = data.draw(st.sets(st.integers(0, n_tokens - 1)))
    first_tokens = np.array(sorted({0, *others}))
    lengths = torch.from_numpy(np.diff(first_tokens, append=n_tokens))
    generator = draws(seed)
    states = [torch.randn(n_tokens, 3, generator=generator) for _ in range(2)]
    found = word_states(states, lengths)
    assert found.shape == (len(first_tokens), 2, 3)
    stops = [*first_tokens[1:].tolist(), n_tokens]
    for word, (start, stop) in enumerate(zip(first_tokens.tolist(), stops, strict=True)):
        for layer in range(2):
            expected = np.mean(states[layer][start:stop].numpy().astype(np.float64), axis=0)
            assert found[word, layer].numpy() == pytest.approx(expected, abs=1e-5)
    half = word_states([one.half() for one in states], lengths)
    assert half.dtype == torch.float32


@given(seeds, st.integers(1, 60))
def test_states_of_words_are_added_in_the_order_of_tokens(seed: int, n_tokens: int) -> None:
    generator = draws(seed)
    starts = torch.rand(n_tokens, generator=generator) < 0.5
    starts[0] = True
    first_tokens = starts.nonzero()[:, 0].numpy()
    states = torch.randn(n_tokens, 5, generator=generator) * 100
    lengths = torch.from_numpy(np.diff(first_tokens, append=n_tokens))
    sums = torch.segment_reduce(states, "sum", lengths=lengths, axis=0)
    expected = sums / lengths[:, None]
    assert torch.equal(word_states([states], lengths)[:, 0], expected)


@settings(max_examples=100)
@given(st.data())
def test_words_around_tokens_are_theirs_and_as_many_on_both_sides(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=12))
    word_of = [word for word, length in enumerate(lengths) for _ in range(length)]
    n_tokens = len(word_of)
    start = data.draw(st.integers(0, n_tokens - 1))
    stop = data.draw(st.integers(start + 1, n_tokens))
    reach = data.draw(st.integers(0, 3))

    first_tokens = np.cumsum([0, *lengths[:-1]])
    run = words_around(first_tokens, slice(start, stop), n_tokens=n_tokens, reach=reach)

    own = range(word_of[start], word_of[stop - 1] + 1)
    wanted = [word for word in range(len(lengths)) if any(abs(word - one) <= reach for one in own)]
    assert list(range(run.words.start, run.words.stop)) == wanted
    tokens = [token for token, word in enumerate(word_of) if word in wanted]
    assert list(range(run.tokens.start, run.tokens.stop)) == tokens
    assert run.n_tokens.tolist() == [lengths[word] for word in wanted]
    assert [wanted[word] for word in run.word_of_token] == word_of[start:stop]
