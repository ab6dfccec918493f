"""Attention over tokens: sums over windows, and reductions of hidden states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tensors import draws, randomise
from torch import Tensor

from longbert.encoders.heads.learned.attention import (
    AttentionShape,
    TokenAttention,
    attention_sums,
    fit_reduction,
    folded,
    gather,
)

seeds = st.integers(0, 2**31 - 1)


@given(seeds, st.integers(1, 40), st.sampled_from([0.1, 3.0, 300.0]), st.data())
def test_any_cut_into_windows_gathers_what_one_softmax_does(
    seed: int, n_tokens: int, scale: float, data: st.DataObject
) -> None:
    generator = draws(seed)
    channels = torch.randn(n_tokens, 4, 3, generator=generator)
    scores = torch.randn(n_tokens, 4, 2, generator=generator) * scale
    cuts = data.draw(st.sets(st.integers(0, n_tokens), max_size=6))
    borders = sorted({0, n_tokens, *cuts})
    parts = [
        attention_sums(channels[a:b].numpy(), scores[a:b].numpy()) for a, b in pairwise(borders)
    ]
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
                attention_sums(*(one.numpy() for one in module.attend(inputs[row, a:b])))
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
