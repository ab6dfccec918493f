"""Features of windows: what is stored, when it is computed, and whose it is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tagger_features import tagger_features
from support.training import WINDOW, Stopped, with_entities, write_rows
from torch import Tensor

from longbert.config import ModelConfig
from longbert.encoders.batch import WindowBatch
from longbert.encoders.heads.learned.features import FeatureHead, WindowFeatures
from longbert.encoders.models import LoadedBackbone, load_backbone
from longbert.engine.encode import WindowPartials, encode_windows
from longbert.engine.meter import NullMeter
from longbert.errors import FingerprintError, InputError, OutputError
from longbert.readers.labels import read_labelled
from longbert.records import Document, LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.training.base import FeatureWindow
from longbert.training.features import FeatureStore

ABOUT = {"documents": "d", "backbone": "b"}


class Counted(FeatureHead):
    """Features of words; counts the windows it is asked for and may fail at one.

    Args:
        fails_at: window, from 1.
    """

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__(self._words, needs_word_shapes=True)
        self.n_windows = 0
        self._fails_at = fails_at

    def _words(self, states: Sequence[Tensor], batch: WindowBatch, row: int) -> WindowFeatures:
        self.n_windows += 1
        if self.n_windows == self._fails_at:
            raise Stopped
        return tagger_features((0, 2), states, batch, row)


@pytest.fixture(scope="module")
def loaded(models: Callable[..., Path]) -> LoadedBackbone:
    folder = models("bert", sentence_transformers={"max_seq_length": WINDOW})
    return load_backbone(ModelConfig(embed=str(folder), precision="float32"))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledDocument, ...]:
    path = write_rows(tmp_path_factory.mktemp("data") / "a.jsonl", with_entities(7))
    return read_labelled(LocalFileSystem(), str(path)).documents


def fill(
    folder: Path,
    documents: Sequence[LabelledDocument],
    loaded: LoadedBackbone,
    head: FeatureHead,
    **options: Any,
) -> list[FeatureWindow]:
    """The windows of all documents, computed two documents a chunk."""
    by_document = FeatureStore(folder, ABOUT).fill(
        documents, loaded.pass_for(head), meter=NullMeter(), chunk_chars=600, **options
    )
    return [window for windows in by_document for window in windows]


def test_it_holds_what_the_engine_gives(
    tmp_path: Path, documents: tuple[LabelledDocument, ...], loaded: LoadedBackbone
) -> None:
    done: list[int] = []
    windows = fill(tmp_path / "f", documents, loaded, Counted(), on_chunk=done.append)
    assert len(done) > 2
    assert done[-1] == len(documents)
    stored = iter(windows)
    texts = [Document(one.document_id, one.text) for one in documents]
    for number, text in enumerate(texts):
        (result,) = encode_windows(loaded.pass_for(Counted()), [text])
        assert isinstance(result, WindowPartials)
        assert len(result.windows) > 1
        for window, expected in zip(result.windows, result.partials, strict=True):
            own = next(stored)
            assert (own.document, own.window) == (number, window.window)
            assert own.features.keys() == expected.keys()
            for name, values in expected.items():
                assert own.features[name].dtype == values.dtype
                np.testing.assert_array_equal(own.features[name], values)
    assert next(stored, None) is None


def test_it_is_read_through_memory_maps(
    tmp_path: Path, documents: tuple[LabelledDocument, ...], loaded: LoadedBackbone
) -> None:
    for stored in fill(tmp_path / "f", documents, loaded, Counted()):
        for values in stored.features.values():
            assert isinstance(values, np.memmap)
            assert not values.flags.writeable


def test_a_second_time_computes_nothing(
    tmp_path: Path, documents: tuple[LabelledDocument, ...], loaded: LoadedBackbone
) -> None:
    first, second = Counted(), Counted()
    one = fill(tmp_path / "f", documents, loaded, first)
    two = fill(tmp_path / "f", documents, loaded, second)
    assert first.n_windows == len(one) == len(two)
    assert second.n_windows == 0


def test_interrupted_and_filled_again(
    tmp_path: Path, documents: tuple[LabelledDocument, ...], loaded: LoadedBackbone
) -> None:
    whole = fill(tmp_path / "whole", documents, loaded, Counted())
    first = Counted(fails_at=len(whole) // 2)
    done: list[int] = []
    with pytest.raises(Stopped):
        fill(tmp_path / "parts", documents, loaded, first, on_chunk=done.append)
    kept = sum(1 for one in whole if one.document < done[-1])
    second = Counted()
    fill(tmp_path / "parts", documents, loaded, second)
    assert kept > 0
    assert second.n_windows == len(whole) - kept
    names = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*")]
    assert sorted(names) == sorted(
        path.relative_to(tmp_path / "parts") for path in (tmp_path / "parts").rglob("*")
    )
    for name in names:
        if (tmp_path / "whole" / name).is_file():
            assert (tmp_path / "whole" / name).read_bytes() == (
                tmp_path / "parts" / name
            ).read_bytes()


@pytest.mark.parametrize("key", ABOUT)
def test_features_of_something_else_are_refused(tmp_path: Path, key: str) -> None:
    FeatureStore(tmp_path / "f", ABOUT)
    FeatureStore(tmp_path / "f", ABOUT)
    with pytest.raises(FingerprintError, match="Remove the folder, or name another"):
        FeatureStore(tmp_path / "f", ABOUT | {key: "other"})


def test_a_document_without_tokens_is_named_by_its_line(
    tmp_path: Path, loaded: LoadedBackbone
) -> None:
    documents = [LabelledDocument("x", "\x00\x01", "data.jsonl#7", spans=())]
    with pytest.raises(InputError, match=r"^data.jsonl#7: the document has no tokens"):
        fill(tmp_path / "f", documents, loaded, Counted())


def test_a_long_document_is_in_memory_once_while_it_is_written(
    tmp_path: Path, loaded: LoadedBackbone
) -> None:
    (row,) = with_entities(1)
    document = LabelledDocument("x", row["text"] * 10, "data.jsonl#1", spans=())

    def wide(states: Sequence[Tensor], batch: WindowBatch, row: int) -> WindowFeatures:
        n_words = len(tagger_features((0,), states, batch, row)["states"])
        return {"wide": np.ones((n_words, 5_000), dtype=np.float32)}

    head = FeatureHead(wide, needs_word_shapes=True)
    tracemalloc.start()
    try:
        windows = fill(tmp_path / "f", [document], loaded, head)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    stored_bytes = sum(one.features["wide"].nbytes for one in windows)
    assert stored_bytes > 10_000_000
    assert peak_bytes < 1.5 * stored_bytes
    for one in windows:
        assert (one.features["wide"] == 1).all()


def test_chunks_that_cannot_be_written(
    tmp_path: Path, documents: tuple[LabelledDocument, ...], loaded: LoadedBackbone
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "000001.unfinished").write_text("in the way")
    with pytest.raises(OutputError, match=r"File exists.*name another folder with --features"):
        fill(folder, documents, loaded, Counted())
    (folder / "000001.unfinished").unlink()
    second = Counted()
    windows = fill(folder, documents, loaded, second)
    # The chunk before is not computed again.
    assert 0 < second.n_windows < len(windows)
