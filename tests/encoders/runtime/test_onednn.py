"""The forward pass by oneDNN against that of transformers and of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from longbert.config import ModelConfig
from longbert.encoders.devices.plain import PlainDevice
from longbert.encoders.models import load_models
from longbert.encoders.runtime import registry
from longbert.encoders.runtime.base import EncoderModule, Runtime
from longbert.encoders.runtime.bert_files import load_bert
from longbert.encoders.runtime.onednn import is_available
from longbert.encoders.runtime.registry import choose_runtime, runtime_factory
from longbert.encoders.runtime.transformers_model import load_transformers_model

Build = Callable[..., Path]

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(not is_available(), reason="torch has no bfloat16 of oneDNN here")


def reference_of(folder: Path) -> EncoderModule:
    return load_transformers_model(
        folder, model_class="AutoModel", trust_pickle=False, trust_remote_code=False
    ).encoder


def runtime_of(folder: Path, name: str = "onednn") -> Runtime:
    model = load_bert(folder, model_class="AutoModel")
    assert model is not None
    return runtime_factory(name)(
        model.encoder, folder=folder, device=PlainDevice(CPU), dtype=torch.bfloat16
    )


def windows(n_ids: int, *, rows: int, length: int, n_padding: int) -> list[np.ndarray]:
    generator = np.random.default_rng(length)
    mask = np.ones((rows, length), dtype=np.int64)
    if n_padding:
        mask[:, -n_padding:] = 0
    return [generator.integers(5, n_ids, (rows, length)), mask]


def similarities(found: Tensor, expected: Tensor, mask: np.ndarray) -> Tensor:
    known = torch.from_numpy(mask).bool()
    return functional.cosine_similarity(found[known].float(), expected[known].float(), dim=-1)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_padding", [0, 5])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
def test_states_are_nearer_to_float32_than_those_of_transformers(
    models: Build, family: str, n_padding: int
) -> None:
    folder = models(family)
    exact, reduced = reference_of(folder), reference_of(folder).to(torch.bfloat16)
    inputs = windows(exact.n_ids, rows=3, length=40, n_padding=n_padding)
    found = runtime_of(folder).hidden_states(*inputs, all_layers=True)
    with torch.inference_mode():
        expected, rounded = (
            one(*map(torch.from_numpy, inputs), all_layers=True) for one in (exact, reduced)
        )
    assert len(found) == exact.n_layers + 1
    for own, right in zip(found, expected, strict=True):
        assert own.dtype == torch.bfloat16
        assert similarities(own, right, inputs[1]).min() > 0.995
    mean = similarities(found[-1], expected[-1], inputs[1]).mean()
    assert mean >= similarities(rounded[-1], expected[-1], inputs[1]).mean() - 1e-4
    (last,) = runtime_of(folder).hidden_states(*inputs)
    assert torch.equal(last, found[-1])


def test_vectors_of_the_packaged_model(minilm: Path) -> None:
    exact = reference_of(minilm)
    inputs = windows(exact.n_ids, rows=4, length=256, n_padding=10)
    (found,) = runtime_of(minilm).hidden_states(*inputs)
    with torch.inference_mode():
        (expected,) = exact(*map(torch.from_numpy, inputs))
    vectors = [states[:, :-10].float().mean(dim=1) for states in (found, expected)]
    assert functional.cosine_similarity(*vectors).min() > 0.999


@pytest.mark.parametrize("length", [16, 64, 256])
def test_bits_are_independent_of_batch_and_threads(
    minilm: Path, two_threads: None, length: int
) -> None:
    runtime = runtime_of(minilm)
    for n_padding in (0, 3):
        ids, mask = windows(30_000, rows=5, length=length, n_padding=n_padding)
        (whole,) = runtime.hidden_states(ids, mask)
        for rows in (1, 2, 3):
            for n_threads in (1, 2):
                torch.set_num_threads(n_threads)
                (part,) = runtime.hidden_states(ids[:rows], mask[:rows])
                assert torch.equal(part, whole[:rows])


def test_it_is_used_in_bfloat16_alone(models: Build) -> None:
    model = load_bert(models("bert"), model_class="AutoModel")
    assert model is not None
    chosen = [
        choose_runtime(encoder, device=CPU, dtype=dtype)
        for encoder in (model.encoder, reference_of(models("bert")))
        for dtype in (torch.bfloat16, torch.float32)
    ]
    assert chosen == ["onednn", "torch", "torch", "torch"]


def test_it_is_part_of_the_settings_of_a_pass(
    models: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def implementation(precision: str) -> str:
        config = ModelConfig(embed=str(models("bert")), precision=precision)  # type: ignore[arg-type]
        (settings,) = load_models(config).settings
        assert settings.batch_invariant
        return settings.implementation

    assert implementation("bfloat16") == "longbert-onednn"
    assert implementation("float32") == "longbert"
    monkeypatch.setattr(registry, "is_available", lambda: False)
    assert implementation("bfloat16") == "longbert"
