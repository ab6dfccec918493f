"""Large documents that workers share, against the same made by one worker."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.encoder import fake_models
from fakes.local_files import WatchedFiles
from support.runs import files_of, problems, rows, some_texts, write_texts
from support.texts import long_text

from longbert.config import run_config
from longbert.core.units import Unit
from longbert.encoders.batch import TokenWindow
from longbert.encoders.loaded_models import Models
from longbert.engine import window_groups
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo
from longbert.engine.prepare import Prepared
from longbert.engine.run import RunModels, do_units_here, run_in_process
from longbert.engine.segments import (
    DoneSegment,
    divide,
    encode_segment,
    join,
    least_shared_bytes,
    may_be_shared,
)
from longbert.engine.spool import Spool
from longbert.engine.unit import process_unit
from longbert.errors import OutputError
from longbert.readers import piecewise
from longbert.store.filesystem import LocalFileSystem

HEADS: dict[str, Any] = {
    "embed": "fake",
    "classify": ["c"],
    "ner": ["n", "m"],
    "window_scores": True,
    "window": 20,
    "passage": 7,
    "unit_bytes": 1_000,
}
LEAST_BYTES = 3_000
Watch = Callable[[Sequence[TokenWindow]], None]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piecewise, "PIECE_BYTES", 1_000)
    monkeypatch.setattr(window_groups, "TOKENS_AT_ONCE", 70)


class Counted:
    """Counts the windows that a model reads, and may fail on some."""

    def __init__(self, fails: Callable[[TokenWindow], bool] = lambda _: False) -> None:
        self.n_windows = 0
        self._fails = fails

    def __call__(self, windows: Sequence[TokenWindow]) -> None:
        self.n_windows += len(windows)
        if any(map(self._fails, windows)):
            raise MemoryError


def run(docs: Path, output: Path, do_units: Any, watch: Watch | None = None, **given: Any) -> None:
    files = given.pop("files", LocalFileSystem())
    settings = {"input": [str(docs)], "output": str(output), **HEADS, **given}
    context = RunContext(run_config(settings), files, load=partial(fake_models, watch=watch))
    run_in_process(context, RunInfo("none"), do_units)


def shared(
    context: RunContext,
    units: Spool[Unit],
    prepared: Prepared,
    models: RunModels,
    *,
    between: Callable[[int], None] = lambda _: None,
) -> None:
    """Make units as workers do that share large documents, in an order that is none."""

    def loaded() -> Models:
        return models.checked(prepared)

    n_shared = 0
    for unit in units:
        segments = []
        if may_be_shared(context, unit, least_bytes=LEAST_BYTES):
            segments = divide(context, unit, loaded())
        done: list[DoneSegment] = []
        for number, segment in enumerate(random.Random(5).sample(segments, len(segments))):
            between(number)
            done.append(encode_segment(context, unit, segment, loaded))
        if segments:
            assert len(segments) > 5
            n_shared += 1
            join(context, unit, done, loaded)
        else:
            process_unit(context, unit, loaded)
    assert n_shared <= 1


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    texts = some_texts(4) | {"02-large.txt": "Café\r\n" + long_text(2_000, seed=3)}
    return write_texts(tmp_path / "docs", texts)


def test_the_files_are_those_of_one_worker(docs: Path, tmp_path: Path) -> None:
    alone, together = Counted(), Counted()
    run(docs, tmp_path / "alone", do_units_here, alone)
    run(docs, tmp_path / "together", shared, together)
    assert files_of(tmp_path / "together") == files_of(tmp_path / "alone")
    assert together.n_windows == alone.n_windows
    assert not (tmp_path / "together" / "segments").exists()
    assert problems(tmp_path / "together") == []


@pytest.mark.parametrize("n_before", [0, 1, 7])
def test_segments_that_are_done_are_not_encoded_again(
    docs: Path, tmp_path: Path, n_before: int
) -> None:
    output = tmp_path / "together"

    def stop(number: int) -> None:
        if number == n_before:
            raise KeyboardInterrupt

    alone, first, second = Counted(), Counted(), Counted()
    run(docs, tmp_path / "alone", do_units_here, alone)
    with pytest.raises(KeyboardInterrupt):
        run(docs, output, partial(shared, between=stop), first)
    left = [path.name for path in (output / "segments").iterdir()]
    assert sum(name.endswith(".partials") for name in left) == n_before
    run(docs, output, shared, second)
    assert first.n_windows + second.n_windows == alone.n_windows
    assert files_of(output) == files_of(tmp_path / "alone")


def test_a_run_that_shares_nothing_removes_what_another_left(docs: Path, tmp_path: Path) -> None:
    def stop(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    run(docs, tmp_path / "alone", do_units_here)
    with pytest.raises(KeyboardInterrupt):
        run(docs, tmp_path / "out", partial(shared, between=stop))
    assert list((tmp_path / "out" / "segments").iterdir())
    run(docs, tmp_path / "out", do_units_here)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "alone")
    assert not (tmp_path / "out" / "segments").exists()


def fails_late(window: TokenWindow) -> bool:
    return window.is_last and window.window.start > 1_000


def fails_twice(window: TokenWindow) -> bool:
    return window.window.start in (280, 980)


@pytest.mark.parametrize("fails", [fails_late, fails_twice])
def test_a_segment_that_fails_leaves_one_row_of_its_document(
    docs: Path, tmp_path: Path, fails: Callable[[TokenWindow], bool]
) -> None:
    run(docs, tmp_path / "alone", do_units_here, Counted(fails))
    run(docs, tmp_path / "together", shared, Counted(fails))
    (error,) = rows(tmp_path / "together", "errors")
    assert (error["stage"], error["error"]) == ("encode", "MemoryError")
    assert error["document_id"] == "02-large.txt"
    assert len(rows(tmp_path / "together", "documents")) == 4
    assert files_of(tmp_path / "together") == files_of(tmp_path / "alone")
    # The machine may have more memory the next time, and then all of it is done.
    run(docs, tmp_path / "together", shared)
    assert rows(tmp_path / "together", "errors") == []


def test_a_document_that_cannot_be_read_to_its_end_has_its_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    data = b"\xff\xfe" + long_text(2_000).encode("utf-16-le") + b"\x00\xd8"
    (tmp_path / "docs" / "a.txt").write_bytes(data)
    for name, do_units in (("alone", do_units_here), ("together", shared)):
        run(tmp_path / "docs", tmp_path / name, do_units)
    assert rows(tmp_path / "together", "errors")[0]["error"] == "encoding"
    assert files_of(tmp_path / "together") == files_of(tmp_path / "alone")


@pytest.mark.parametrize("n_words", [1_990, 900])
def test_a_document_that_changes_before_it_is_joined(tmp_path: Path, n_words: int) -> None:
    docs = write_texts(tmp_path / "docs", {"a.txt": long_text(2_000)})
    n_opened = 0

    def change(path: str) -> None:
        nonlocal n_opened
        if path.endswith("a.txt"):
            n_opened += 1
            # To plan, to divide (its encoding, its text), to join (its encoding, its text).
            if n_opened == 5:
                (docs / "a.txt").write_text(long_text(n_words, seed=9))

    run(docs, tmp_path / "out", shared, files=WatchedFiles(change))
    assert n_opened >= 5
    (error,) = rows(tmp_path / "out", "errors")
    assert (error["stage"], error["error"]) == ("read", "changed")
    assert problems(tmp_path / "out") == []


@pytest.mark.parametrize("kind", ["windows", "partials"])
@pytest.mark.parametrize(
    ("data", "message"), [(None, "is missing.*run again"), (b"no such thing", "is damaged.*remove")]
)
def test_a_file_between_workers_that_is_lost_stops_the_run(
    docs: Path, tmp_path: Path, kind: str, data: bytes | None, message: str
) -> None:
    output = tmp_path / "out"

    def lose(number: int) -> None:
        if number < 5:
            return
        for path in (output / "segments").glob(f"*.{kind}"):
            path.unlink()
            if data is not None:
                path.write_bytes(data)

    with pytest.raises(OutputError, match=rf"\.{kind} {message}"):
        run(docs, output, partial(shared, between=lose))
    for path in (output / "segments").iterdir():
        path.unlink()
    run(docs, output, shared)
    run(docs, tmp_path / "alone", do_units_here)
    assert files_of(output) == files_of(tmp_path / "alone")


@pytest.mark.parametrize(
    ("n_bytes", "n_workers", "least"),
    [(10_000, 1, None), (10_000, 2, 5_001), (10_000, 4, 2_501), (0, 2, 1)],
)
def test_what_is_more_than_the_share_of_a_worker_is_shared(
    n_bytes: int, n_workers: int, least: int | None
) -> None:
    for is_on_gpu, expected in ((False, least), (True, None)):
        prepared = cast("Prepared", SimpleNamespace(is_on_gpu=is_on_gpu))
        found = least_shared_bytes(prepared, n_bytes=n_bytes, n_workers=n_workers)
        assert found == expected


def test_nothing_is_shared_that_no_model_reads(docs: Path, tmp_path: Path) -> None:
    run(docs, tmp_path / "together", shared, embed="none", classify=[], ner=[], window_scores=False)
    assert not (tmp_path / "together" / "segments").exists()
    assert len(rows(tmp_path / "together", "documents")) == 5
