"""The modules of learned heads by themselves: losses, padding, sums over windows, reductions."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from longbert.core.windows import split_windows
from longbert.core.word_shape import FLAGS, N_BUCKETS, N_STRINGS, WordShapes
from longbert.encoders.heads.learned.attention import (
    AttentionShape,
    TokenAttention,
    attention_sums,
    fit_reduction,
    folded,
    gather,
)
from longbert.encoders.heads.learned.crf import crf_loss
from longbert.encoders.heads.learned.document_head import owned_states, reduced_features
from longbert.encoders.heads.learned.features import FeatureHead
from longbert.encoders.heads.learned.tagger import TaggerShape, WordTagger, word_states
from longbert.encoders.heads.learned.token_head import tagger_features
from longbert.encoders.runtime.backbone import TokenWindow, WindowBatch
from longbert.encoders.tokenizers.fast import TokenizedText

seeds = st.integers(0, 2**31 - 1)
SHAPE = TaggerShape(
    layers=(0, 2), width=6, n_labels=5, channels=8, string_channels=4, dilations=(1, 2, 1)
)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Weights that are not those of a module before training, some of which are zero."""
    generator = draws(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    module.eval()


def tagger() -> WordTagger:
    module = WordTagger(SHAPE, dropout=0.5, input_dropout=0.5)
    randomise(module, 1)
    return module


# Conditional random field -----------------------------------------------------------------------


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


# Tagger -----------------------------------------------------------------------------------------


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
    words = WordShapes(
        first_tokens,
        np.zeros((len(first_tokens), len(FLAGS)), np.float32),
        np.zeros((len(first_tokens), N_STRINGS), np.int64),
    )
    generator = draws(seed)
    states = [torch.randn(n_tokens, 3, generator=generator) for _ in range(2)]
    found = word_states(states, words)
    assert found.shape == (len(first_tokens), 2, 3)
    stops = [*first_tokens[1:].tolist(), n_tokens]
    for word, (start, stop) in enumerate(zip(first_tokens.tolist(), stops, strict=True)):
        for layer in range(2):
            expected = np.mean(states[layer][start:stop].numpy().astype(np.float64), axis=0)
            assert found[word, layer].numpy() == pytest.approx(expected, abs=1e-5)
    half = word_states([one.half() for one in states], words)
    assert half.dtype == torch.float32


# Attention --------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 40), st.sampled_from([0.1, 3.0, 300.0]), st.data())
def test_any_cut_into_windows_gathers_what_one_softmax_does(
    seed: int, n_tokens: int, scale: float, data: st.DataObject
) -> None:
    generator = draws(seed)
    channels = torch.randn(n_tokens, 4, 3, generator=generator)
    scores = torch.randn(n_tokens, 4, 2, generator=generator) * scale
    cuts = data.draw(st.sets(st.integers(0, n_tokens), max_size=6))
    borders = sorted({0, n_tokens, *cuts})
    parts = [attention_sums(channels[a:b], scores[a:b]) for a, b in pairwise(borders)]
    sums = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    weights = torch.softmax(scores.double(), dim=0)
    members = [weights[:, one].T @ channels[:, one].double() for one in range(4)]
    expected = torch.stack(members).numpy()
    np.testing.assert_allclose(gather(sums), expected, atol=1e-10, rtol=1e-10)
    assert [len(values) for values in sums.values()] == [len(parts)] * 3


def attention(n_inputs: int = 6) -> TokenAttention:
    module = TokenAttention(
        AttentionShape(n_inputs=n_inputs, n_labels=3, channels=5, n_queries=2), dropout=0.5
    )
    randomise(module, 2)
    return module


def test_training_and_inference_give_the_same_logits() -> None:
    module, inputs = attention(), torch.randn(2, 30, 6, generator=draws(4))
    with torch.inference_mode():
        trained = module(inputs).numpy()
        for row in range(2):
            parts = [
                attention_sums(*module.attend(inputs[row, a:b]))
                for a, b in pairwise((0, 1, 12, 30))
            ]
            sums = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            found = module.classify(gather(sums))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, trained[row].mean(axis=0), atol=1e-5)


def test_an_untrained_classifier_says_nothing() -> None:
    module = TokenAttention(AttentionShape(n_inputs=4, n_labels=3))
    assert not module(torch.randn(2, 5, 4, generator=draws(0))).any()


def sample(n_tokens: int, n_inputs: int, *, seed: int = 0) -> Tensor:
    """Hidden states with strong and weak dimensions, correlated and not centred."""
    generator = draws(seed)
    mixing = torch.randn(n_inputs, n_inputs, generator=generator)
    scales = torch.logspace(-1, 1.5, n_inputs)
    return torch.randn(n_tokens, n_inputs, generator=generator) @ mixing * scales + 3


def test_a_reduction_is_the_same_each_time() -> None:
    states = sample(200, 12)
    one, other = (fit_reduction(states.clone(), n_reduced=5) for _ in range(2))
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)
    assert not one.weight.requires_grad


def test_a_reduction_gives_principal_components_half_whitened() -> None:
    states = sample(4000, 10)
    reduced = fit_reduction(states, n_reduced=6)(states).double()
    assert reduced.mean(dim=0).abs().max() < 1e-3
    covariance = torch.cov(reduced.T).numpy()
    variances = np.diag(covariance)
    assert np.abs(covariance - np.diag(variances)).max() < 1e-2
    standard = (states.double() - states.double().mean(dim=0)) / states.double().std(dim=0)
    values = np.linalg.eigvalsh(torch.cov(standard.T).numpy())[::-1][:6]
    expected = np.sqrt(values) / np.sqrt(values).mean()
    np.testing.assert_allclose(variances, expected, rtol=1e-2)


@pytest.mark.parametrize("constants", [[0], [0, 3, 7], list(range(1, 8)), list(range(8))])
def test_constant_dimensions_are_reduced_without_nan(constants: list[int]) -> None:
    states = sample(50, 8)
    states[:, constants] = 7.25
    reduced = fit_reduction(states, n_reduced=4)(states)
    assert torch.isfinite(reduced).all()
    assert reduced.abs().max() < 1e3


def test_a_folded_module_reads_states_as_the_module_reads_their_reduction() -> None:
    states = sample(120, 10, seed=5)
    reduction = fit_reduction(states, n_reduced=6)
    module = attention(n_inputs=6)
    whole = folded(module, reduction)
    assert whole.shape.n_inputs == 10
    assert not whole.training
    with torch.inference_mode():
        expected = module(reduction(states)[None])
        torch.testing.assert_close(whole(states[None]), expected, atol=1e-4, rtol=1e-4)


# Features of windows ----------------------------------------------------------------------------


def batch_of(n_tokens: int, *, left: int) -> tuple[list[Tensor], WindowBatch]:
    """Two overlapping windows behind so many special tokens, and the states of three layers."""
    tokens = TokenizedText(
        ids=np.arange(n_tokens, dtype=np.int32),
        offsets=np.stack([np.arange(n_tokens), np.arange(1, n_tokens + 1)], axis=1),
        starts_word=np.arange(n_tokens) % 2 == 0,
        is_unknown=np.zeros(n_tokens, dtype=np.bool_),
    )
    windows = split_windows(n_tokens, size=8, overlap=4)
    shapes = [
        WordShapes(
            np.flatnonzero((np.arange(w.start, w.stop) % 2 == 0) | (np.arange(w.n_tokens) == 0)),
            np.zeros((4, len(FLAGS)), np.float32),
            np.zeros((4, N_STRINGS), np.int64),
        )
        for w in windows
    ]
    rows = [
        TokenWindow(tokens.ids[w.start : w.stop], w, i == 0, i == len(windows) - 1, words)
        for i, (w, words) in enumerate(zip(windows, shapes, strict=True))
    ]
    mask = torch.ones(len(rows), 8 + left + 1, dtype=torch.long)
    states = [torch.zeros(len(rows), 8 + left + 1, 2) for _ in range(3)]
    for layer, one in enumerate(states):
        for row, window in enumerate(windows):
            for place in range(window.n_tokens):
                one[row, left + place] = torch.tensor([window.start + place, layer])
    return states, WindowBatch(rows, mask, mask, [left] * len(rows), left, 1)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_each_token_is_owned_once(left: int) -> None:
    states, batch = batch_of(12, left=left)
    assert len(batch.windows) == 2
    owned = torch.cat([owned_states((2, 0), states, batch, row) for row in range(2)])
    assert owned[:, 0].tolist() == owned[:, 2].tolist() == list(range(12))
    assert set(owned[:, 1].tolist()) == {2}
    assert set(owned[:, 3].tolist()) == {0}


@pytest.mark.parametrize("left", [0, 1, 3])
def test_features_are_those_of_a_windows_own_positions(left: int) -> None:
    states, batch = batch_of(12, left=left)
    for row, start in enumerate((0, 4)):
        features = tagger_features((1, 2), states, batch, row)
        assert features["states"].shape == (4, 2, 2)
        assert features["states"][:, 0, 0].tolist() == [start + 2 * n + 0.5 for n in range(4)]
        assert features["states"][:, :, 1].tolist() == [[1, 2]] * 4
    reduction = torch.nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        reduction.weight.copy_(torch.tensor([[1.0, 0, 1, 0]]))
    both = [reduced_features((0, 2), reduction, states, batch, row)["reduced"] for row in range(2)]
    assert np.concatenate(both)[:, 0].tolist() == [2 * n for n in range(12)]


def test_features_are_kept_when_their_batch_is_gone() -> None:
    states, batch = batch_of(12, left=1)

    def read(states: object, batch: WindowBatch, row: int) -> dict[str, np.ndarray]:
        return tagger_features((0,), states, batch, row) | {"view": states[0][row].numpy()}  # type: ignore

    head = FeatureHead(read, reads_words=True)
    one, other = head.partials(states, batch)
    before = one["view"].copy(), other["view"].copy()
    states[0].fill_(-1)
    assert np.array_equal(one["view"], before[0])
    assert np.array_equal(other["view"], before[1])
    assert head.merge([one, other]) == [one, other]
    assert (head.reads_words, head.reads_layers) == (True, True)
