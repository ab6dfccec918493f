"""A worker process that is killed ends the run with a message, and the next run goes on."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest
from fakes.encoder import fake_models
from runners.conformance import SETTINGS, engines, job, reachable, run_graph
from support.runs import files_of, last_run, problems, rows, run_on, some_texts, write_texts
from support.texts import long_text
from typing_extensions import override

from longbert.beam.failures import own_errors
from longbert.beam.filesystem import BeamFileSystem
from longbert.beam.runners import run_on_beam
from longbert.engine.finish import RunInfo
from longbert.engine.meter import FileMeter, NullMeter
from longbert.errors import LongbertError, WorkerError
from longbert.store.filesystem import LocalFileSystem
from longbert.store.packed import unpack


@dataclass(frozen=True)
class Deadly(BeamFileSystem):
    """Files whose writing costs the process its life, once.

    Attributes:
        deadly: how the path ends.
        mark: a file that is there until it has happened.
    """

    deadly: str = ""
    mark: str = ""

    @override
    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        self._die(path)
        return super().create(path)

    @override
    def write(self, path: str, data: bytes | memoryview) -> None:
        self._die(path)
        super().write(path, data)

    def _die(self, path: str) -> None:
        if path.endswith(self.deadly) and os.path.exists(self.mark):
            os.unlink(self.mark)
            os.kill(os.getpid(), signal.SIGKILL)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Beam's threads wait for the process in vain, and say so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(autouse=True)
def fakes_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


def test_a_killed_worker_costs_only_what_it_was_at(tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(6))
    plain, output, mark = tmp_path / "plain", tmp_path / "out", tmp_path / "mark"
    run_on(LocalFileSystem(), inputs, plain, load=fake_models, **SETTINGS)
    # All of the unit's tables are written then.
    deadly = sorted(one.name for one in (plain / "receipts").iterdir())[2]
    mark.touch()
    context = job(inputs, output, Deadly(deadly=f"receipts/{deadly}", mark=str(mark))).context
    context = replace(context, meter=NullMeter())
    for name in ("first", "second"):
        (tmp_path / name).mkdir()

    info = RunInfo("DirectRunner", 2)
    with pytest.raises(LongbertError, match="run again"):
        run_on_beam(context, info, run_folder=str(tmp_path / "first"))
    assert not mark.exists()
    assert not (output / "manifest.json").exists()
    kept = [one.name for one in (output / "receipts").glob("*.json")]
    assert deadly not in kept

    run_on_beam(context, info, run_folder=str(tmp_path / "second"))
    assert files_of(output) == files_of(plain)
    assert problems(output) == []
    assert last_run(output)["units_resumed"] == len(kept)


def test_a_killed_worker_of_a_pool_is_told_from_an_error(tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(6))
    plain, output, mark = tmp_path / "plain", tmp_path / "out", tmp_path / "mark"
    run_on(LocalFileSystem(), inputs, plain, load=fake_models, **SETTINGS)
    deadly = sorted(one.name for one in (plain / "receipts").iterdir())[2]
    mark.touch()
    whole = job(inputs, output, Deadly(deadly=f"receipts/{deadly}", mark=str(mark)))
    (external,) = [one for one in engines() if one.needs_pool]
    with reachable(external) as options:
        with pytest.raises(WorkerError, match=r"a worker ended .* run again to go"), own_errors():
            run_graph(whole, options)
        assert not (output / "manifest.json").exists()
        run_graph(whole, options)
    assert files_of(output) == files_of(plain)


def test_a_killed_worker_costs_only_the_segment_it_was_at(tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(3) | {"giant.txt": long_text(250_000)})
    plain, output, mark = tmp_path / "plain", tmp_path / "out", tmp_path / "mark"
    run_on(LocalFileSystem(), inputs, plain, load=fake_models, **SETTINGS)
    mark.touch()
    context = job(inputs, output, Deadly(deadly="-000003.partials", mark=str(mark))).context
    contexts = {}
    for name in ("first", "second"):
        (tmp_path / name / "meter").mkdir(parents=True)
        contexts[name] = replace(context, meter=FileMeter(str(tmp_path / name / "meter")))

    info = RunInfo("DirectRunner", 2)
    with pytest.raises(LongbertError, match="run again"):
        run_on_beam(contexts["first"], info, run_folder=str(tmp_path / "first"))
    assert not mark.exists()
    kept = list((output / "segments").glob("*.partials"))
    n_kept = sum(len(unpack(one.read_bytes(), list[Any])) for one in kept)
    assert not any(one.name.endswith("-000003.partials") for one in kept)

    run_on_beam(contexts["second"], info, run_folder=str(tmp_path / "second"))
    assert files_of(output) == files_of(plain)
    assert not (output / "segments").exists()
    assert problems(output) == []
    (giant,) = [one for one in rows(plain, "documents") if one["document_id"] == "giant.txt"]
    n_again = contexts["second"].meter.totals()["windows"]
    assert n_again == giant["n_windows"] - n_kept
