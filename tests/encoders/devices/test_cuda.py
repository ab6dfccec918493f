"""Encoding on a GPU, whose kernels a stand-in computes on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.cuda import FakeDriver
from support.heads import build_head
from support.texts import long_text

from longbert.arrays import Array
from longbert.config import ModelConfig
from longbert.encoders import models as loading
from longbert.encoders.devices.cuda import MOST_TOKENS, N_LANES, CudaDevice
from longbert.encoders.devices.recordings import MOST
from longbert.encoders.models import Models, load_models
from longbert.engine.encode import encode_documents
from longbert.errors import DeviceMemoryError, DocumentError
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]

ROWS, WINDOW = 4, 32
BAD = "[MASK]"
DOCUMENTS = [
    *(Document(f"d{n}", long_text(n, seed=n)) for n in (3, 40, 41, 120, 200)),
    Document("bad", f"{long_text(60, seed=8)} {BAD} {long_text(30, seed=9)}"),
    *(Document(f"e{n}", long_text(n, seed=n)) for n in (6, 42, 80)),
]


@pytest.fixture(scope="module")
def config(models: Build) -> ModelConfig:
    """Three heads on one backbone, in batches of four whole windows."""
    return ModelConfig(
        embed=str(models("bert", backbone_seed=4)),
        classify=(str(models("bert", task="classify", backbone_seed=4)),),
        ner=(str(models("bert", task="ner", backbone_seed=4)),),
        window=WINDOW,
        passage=10,
        precision="float32",
        batch_tokens=ROWS * WINDOW,
    )


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    driver = FakeDriver()
    yield driver
    assert not driver.misuses


@pytest.fixture(scope="module")
def on_cpu(config: ModelConfig) -> Models:
    return load_models(replace(config, device="cpu"))


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch, config: ModelConfig, driver: FakeDriver) -> Models:
    device = CudaDevice(driver)
    monkeypatch.setattr(loading, "open_device", lambda name: device)
    loaded = load_models(config)
    driver.log.clear()
    return loaded


def encode(models: Models, documents: Sequence[Document]) -> dict[str, Any]:
    results = encode_documents(models, documents, passage_tokens=10)
    return {one.document_id: result for one, result in zip(documents, results, strict=True)}


def bits(result: DocumentResult) -> tuple[Any, ...]:
    assert result.embedding is not None
    vectors = [one.embedding.tobytes() for one in result.passages if one.embedding is not None]
    return replace(result, embedding=None, passages=()), result.embedding.tobytes(), vectors


def test_rows_are_those_of_the_cpu(on_cpu: Models, on_gpu: Models) -> None:
    found = encode(on_gpu, DOCUMENTS)
    (pass_,) = on_gpu.passes
    assert pass_.backbone.n_batches_at_once == N_LANES
    expected = encode(on_cpu, DOCUMENTS)
    for name, right in expected.items():
        own = found[name]
        assert own.embedding == pytest.approx(right.embedding, abs=1e-5)
        for one, other in zip(own.passages, right.passages, strict=True):
            assert one.embedding == pytest.approx(other.embedding, abs=1e-5)
            assert (one.char_start, one.char_end) == (other.char_start, other.char_end)
        spans = [
            [(e.char_start, e.char_end, e.label) for e in result.entities]
            for result in (own, right)
        ]
        assert spans[0] == spans[1]
        for score, other_score in zip(own.classifications, right.classifications, strict=True):
            assert (score.label, score.predicted) == (other_score.label, other_score.predicted)
            assert score.score == pytest.approx(other_score.score, abs=1e-5)


def test_what_a_window_gives_does_not_depend_on_what_is_encoded_beside_it(on_gpu: Models) -> None:
    together = encode(on_gpu, DOCUMENTS)
    for document in (DOCUMENTS[0], DOCUMENTS[3], DOCUMENTS[-1]):
        (alone,) = encode(on_gpu, [document]).values()
        assert bits(alone) == bits(together[document.document_id])


def test_batches_have_one_shape_for_each_length(on_gpu: Models, driver: FakeDriver) -> None:
    encode(on_gpu, DOCUMENTS)
    shapes = {event.shapes[0] for event in driver.events("upload") if len(event.shapes[0]) == 2}
    rows = {length: rows for rows, length in shapes}
    assert len(rows) == len(shapes) > 1
    assert all(rows[length] == ROWS * WINDOW // length for length in rows)
    # So it decides on bits, whether or not these kernels would give the same.
    assert on_gpu.decisive_batch_tokens == ROWS * WINDOW


def test_only_what_heads_make_of_hidden_states_comes_back(
    on_gpu: Models, driver: FakeDriver
) -> None:
    encode(on_gpu, DOCUMENTS)
    assert driver.events("download")
    width = 32
    for event in driver.events("download"):
        sums, classes, labels = event.shapes
        # At most so many pieces of passages, and twice special tokens, for each window.
        assert len(sums) == 2
        assert sums[1] == width
        assert classes[1] == 2
        assert labels == (*classes[:1], labels[1], 7)
        assert sums[0] <= classes[0] * (labels[1] // 10 + 4)


def test_nothing_waits_for_the_device_but_for_results(on_gpu: Models, driver: FakeDriver) -> None:
    encode(on_gpu, DOCUMENTS)
    assert not driver.events("wait for the device")


def test_two_batches_are_on_the_way_at_a_time(on_gpu: Models, driver: FakeDriver) -> None:
    both = threading.Barrier(N_LANES)
    (pass_,) = on_gpu.passes
    seen: list[str] = []

    def meet(number: int) -> int:
        seen.append(driver.current_stream().name)
        # Only together they pass.
        both.wait(30)
        return number

    device = pass_.backbone.device
    assert list(device.map(meet, range(6), n_at_once=N_LANES)) == list(range(6))
    assert set(seen) == {"stream 0", "stream 1"}
    assert driver.current_stream().name == "default"


def test_the_commonest_shapes_are_recorded_and_replayed(on_gpu: Models, driver: FakeDriver) -> None:
    encode(on_gpu, [*DOCUMENTS] * 3)
    records, replays = driver.events("record"), driver.events("replay")
    assert 0 < len(records) <= MOST * N_LANES
    assert len(replays) > len(records)
    full = (ROWS, WINDOW, 32)
    assert any(event.shapes[0] == full for event in replays)


def test_what_cannot_be_recorded_is_computed(
    on_gpu: Models, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = encode(on_gpu, DOCUMENTS)

    def record(work: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(driver, "record", record)
    (pass_,) = on_gpu.passes
    for lane in pass_.backbone.device.lanes:  # type: ignore[attr-defined]
        lane.recordings.clear()
    driver.log.clear()
    found = encode(on_gpu, DOCUMENTS)
    assert not driver.events("replay")
    assert {name: bits(one) for name, one in found.items()} == {
        name: bits(one) for name, one in expected.items()
    }


class TestTooLittleMemory:
    def test_a_batch_is_tried_again_alone_and_without_recordings(
        self, on_gpu: Models, driver: FakeDriver
    ) -> None:
        """The same shape has the same bits, so nothing of the rows tells of it."""
        expected = encode(on_gpu, DOCUMENTS)
        driver.log.clear()
        n_failed = 0

        def fail_at_first(array: Array) -> None:
            nonlocal n_failed
            if array.shape == (ROWS, WINDOW) and not driver.events("release"):
                n_failed += 1
                raise torch.OutOfMemoryError("CUDA out of memory")

        driver.before_upload = fail_at_first
        found = encode(on_gpu, DOCUMENTS)
        assert n_failed >= 1
        assert {name: bits(one) for name, one in found.items()} == {
            name: bits(one) for name, one in expected.items()
        }

    def test_fewer_recordings_are_kept_from_then_on(
        self, on_gpu: Models, driver: FakeDriver
    ) -> None:
        def n_recorded() -> int:
            driver.log.clear()
            for _ in range(4):
                encode(on_gpu, DOCUMENTS)
            return len(driver.events("record"))

        n_before = n_recorded()
        (pass_,) = on_gpu.passes
        outcomes = iter([torch.OutOfMemoryError("CUDA out of memory")])

        def fail_once() -> None:
            for error in outcomes:
                raise error

        list(pass_.map(lambda _: pass_.backbone.device.with_room(fail_once), [None]))
        assert 0 < n_recorded() < n_before

    def test_a_batch_that_never_fits_ends_the_run_and_blames_no_document(
        self, on_gpu: Models, driver: FakeDriver
    ) -> None:
        encode(on_gpu, DOCUMENTS)
        shape = ROWS, WINDOW
        n_uploads = sum(event.shapes[0] == shape for event in driver.events("upload"))
        n_failed = 0

        def fail(array: Array) -> None:
            nonlocal n_failed
            if array.shape == shape:
                n_failed += 1
                raise torch.OutOfMemoryError("CUDA out of memory")

        driver.before_upload = fail
        with pytest.raises(DeviceMemoryError, match="lower --batch-tokens"):
            encode(on_gpu, DOCUMENTS)
        # Each batch was tried twice at most, and none was halved, which would not make it smaller.
        assert 0 < n_failed <= 2 * n_uploads

    def test_a_document_that_the_model_cannot_read_fails_alone(
        self, on_gpu: Models, driver: FakeDriver
    ) -> None:
        expected = encode(on_gpu, DOCUMENTS)
        (pass_,) = on_gpu.passes
        (bad,) = pass_.tokenizer.tokenize(BAD).ids.tolist()

        def fail(array: Array) -> None:
            if array.ndim == 2 and (array == bad).any():
                raise RuntimeError("an index is out of range")

        driver.before_upload = fail
        found = encode(on_gpu, DOCUMENTS)
        error = found.pop("bad")
        assert isinstance(error, DocumentError)
        assert (error.stage, error.error) == ("encode", "RuntimeError")
        expected.pop("bad")
        assert {name: bits(one) for name, one in found.items()} == {
            name: bits(one) for name, one in expected.items()
        }


class TestBatchesThatFit:
    @pytest.mark.parametrize(
        ("free_bytes", "tokens"),
        [
            (1 << 40, MOST_TOKENS),
            # A third for two lanes, of which any batch takes 1,000 bytes and a row 64.
            (360_000, MOST_TOKENS),
            (36_000, 64 * 64),
            (18_000, 16 * 64),
            (1, 64),
        ],
    )
    def test_memory_is_measured_and_shared(self, free_bytes: int, tokens: int) -> None:
        driver = FakeDriver(
            free_bytes=free_bytes, bytes_of=lambda rows, positions: 1_000 + rows * 64
        )
        device = CudaDevice(driver)

        def run(rows: int) -> None:
            device.upload(np.zeros((rows, 64), dtype=np.int64))

        assert device.batch_tokens(run, 64) == tokens

    def test_one_window_is_tried_where_not_even_the_probe_fits(self) -> None:
        def run(rows: int) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        assert CudaDevice(FakeDriver()).batch_tokens(run, 128) == 128

    def test_models_take_what_fits(
        self, monkeypatch: pytest.MonkeyPatch, config: ModelConfig
    ) -> None:
        driver = FakeDriver(
            free_bytes=6 * 8 * WINDOW * 100, bytes_of=lambda rows, n: rows * n * 100
        )
        device = CudaDevice(driver)
        monkeypatch.setattr(loading, "open_device", lambda name: device)
        loaded = load_models(replace(config, batch_tokens=None))
        assert {pass_.batch_tokens for pass_ in loaded.passes} == {8 * WINDOW}
        assert loaded.decisive_batch_tokens == 8 * WINDOW


def test_learned_heads_compute_on_the_device(
    models: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: FakeDriver
) -> None:
    backbone = models("bert", seed=1, backbone_seed=7)
    learned = ModelConfig(
        embed=str(backbone),
        classify=(str(build_head(tmp_path / "mood", backbone, "classify", seed=2)),),
        ner=(str(build_head(tmp_path / "names", backbone, "ner", seed=3)),),
        window=WINDOW,
        passage=10,
        precision="float32",
        batch_tokens=ROWS * WINDOW,
    )
    expected = encode(load_models(replace(learned, device="cpu")), DOCUMENTS)
    monkeypatch.setattr(loading, "open_device", lambda name: CudaDevice(driver))
    loaded = load_models(learned)
    driver.log.clear()
    found = encode(loaded, DOCUMENTS)
    for name, right in expected.items():
        own = found[name]
        assert [(e.char_start, e.char_end, e.label) for e in own.entities] == [
            (e.char_start, e.char_end, e.label) for e in right.entities
        ]
        for score, other in zip(own.classifications, right.classifications, strict=True):
            assert score.score == pytest.approx(other.score, abs=1e-5)
    assert any(right.entities for right in expected.values())
    assert not driver.events("wait for the device")
    # No hidden states: neither all positions of a batch nor words with several layers.
    shapes = [shape for event in driver.events("download") for shape in event.shapes]
    assert not any(shape[-1] == 32 and len(shape) > 2 for shape in shapes)
