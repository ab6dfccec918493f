"""The benchmark for GPUs, where there is none: what it compares, counts and says."""

import os
import subprocess
import sys
from pathlib import Path

import gpu
import numpy as np
import pytest
import torch
from fakes.cuda import FakeDriver

from longbert.config import ModelConfig
from longbert.encoders import models as loading
from longbert.encoders.devices.cuda import CudaDevice
from longbert.encoders.runtime.bert import BertShape
from longbert.records import Classification, Document, DocumentResult, Entity, Passage


def result(vector: list[float], *, label: str, entity: str) -> DocumentResult:
    embedding = np.array(vector, np.float32)
    return DocumentResult(
        document=Document("d", "abc"),
        content_sha256="",
        n_chars=3,
        n_tokens=1,
        n_windows=1,
        n_chars_covered=3,
        n_chars_unknown=0,
        embedding=embedding,
        passages=(Passage(0, 0, 3, "abc", embedding * 2),),
        entities=(Entity("names", 0, 3, entity, 0.5, "abc"),),
        classifications=tuple(
            Classification("tone", one, 0.5, one == label) for one in ("neg", "pos")
        ),
        window_scores=(),
    )


def test_what_differs_is_counted() -> None:
    right = [result([1, 0], label="pos", entity="PER"), result([0, 1], label="neg", entity="LOC")]
    assert gpu.parity(right, right) == {
        "documents": 2,
        "labels": 2,
        "labels_that_differ": 0,
        "entities": 2,
        "entities_that_differ": 0,
        "least_cosine": 1.0,
        "mean_cosine": 1.0,
    }
    other = [right[0], result([1, 1], label="pos", entity="ORG")]
    found = gpu.parity(other, right)
    # Either side has one that the other lacks.
    assert (found["labels_that_differ"], found["entities_that_differ"]) == (2, 2)
    assert found["least_cosine"] == pytest.approx(0.5**0.5)
    assert found["mean_cosine"] == pytest.approx((1 + 0.5**0.5) / 2)


def test_operations_are_those_of_the_layers() -> None:
    linear, attention = gpu.operations(
        n_positions=100, length=10, width=8, inner_width=32, n_layers=3
    )
    assert linear == 3 * 2 * 100 * (4 * 8 * 8 + 2 * 8 * 32)
    # Each position with each of its window: scores, then sums of values.
    assert attention == 3 * 2 * 100 * 10 * (8 + 8)


def test_the_encoder_is_timed_as_passes_run_it(
    minilm_like: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = FakeDriver()
    monkeypatch.setattr(loading, "open_device", lambda name: CudaDevice(driver))
    monkeypatch.setattr(gpu, "BATCH_TOKENS", (64,))
    monkeypatch.setattr(gpu, "N_BATCHES", 4)
    config = ModelConfig(embed=str(minilm_like), window=32, precision="float32", batch_tokens=64)
    (pass_,) = loading.load_models(config).passes
    synchronized: list[int] = []
    shape = gpu.shape_of(str(minilm_like))
    assert isinstance(shape, BertShape)
    (rate,) = gpu.encoder_rates(
        pass_.backbone, shape, length=32, synchronize=lambda: synchronized.append(1)
    )
    assert rate["batch_tokens"] == 64
    assert rate["positions_per_second"] > 0
    assert rate["share_of_products"] > 0
    assert len(synchronized) == 4
    assert driver.events("replay")
    assert gpu.tokens_per_second(pass_, ["a word or two"] * 3, n_threads=2) > 0


@pytest.fixture
def minilm_like(models) -> Path:  # type: ignore[no-untyped-def]
    return models("bert")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be timed")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A text.")
    done = subprocess.run(
        [sys.executable, gpu.__file__, str(text)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("there is no CUDA device here")
    assert not done.stdout
