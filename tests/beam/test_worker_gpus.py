"""Each worker process on this machine gets a GPU of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from longbert.beam import worker
from longbert.beam.failures import RunFolder
from longbert.beam.local import as_planned
from longbert.config import run_config
from longbert.encoders.runtime import machine
from longbert.encoders.runtime.machine import visible_gpus
from longbert.engine.context import RunContext
from longbert.engine.prepare import Prepared
from longbert.store.filesystem import LocalFileSystem

VARIABLE = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    for number in range(n):
        (tmp_path / "nvidia" / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)
    monkeypatch.setattr(machine, "NVIDIA", tmp_path / "nvidia")
    monkeypatch.delenv(VARIABLE)


def taken(folder: Path) -> str | None:
    """What a worker that starts now sees."""
    before = os.environ.get(VARIABLE)
    worker.take_gpu(RunFolder(str(folder)))
    found = os.environ.get(VARIABLE)
    if before is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = before
    return found


def test_each_takes_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path, monkeypatch, 3)
    assert [taken(tmp_path) for _ in range(5)] == ["0", "1", "2", "0", "1"]


@pytest.mark.parametrize("n", [0, 1])
def test_there_is_nothing_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    gpus(tmp_path, monkeypatch, n)
    assert [taken(tmp_path) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("4, 7", ["4", "7"]),
        ("GPU-8932f937,MIG-7c2a", ["GPU-8932f937", "MIG-7c2a"]),
        ("1,-1,2", ["1"]),
        ("-1", []),
        ("", []),
    ],
)
def test_those_that_the_user_names_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, named: str, expected: list[str]
) -> None:
    monkeypatch.setenv(VARIABLE, named)
    assert visible_gpus() == expected


def test_no_two_processes_take_one_number(tmp_path: Path) -> None:
    code = (
        "import sys; from longbert.beam.failures import RunFolder; "
        "print(RunFolder(sys.argv[1]).take_number())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    numbers = sorted(int(one.communicate()[0]) for one in processes)
    assert numbers == [0, 1, 2]


def test_a_worker_chooses_before_torch_is_there() -> None:
    code = "import sys, longbert.beam.worker; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("planned", [None, 4096])
def test_workers_take_batches_of_the_planned_size(planned: int | None) -> None:
    """What memory is free where the command runs has decided on it, and it is part of the plan."""
    config = run_config({"input": ["in"], "output": "out"})
    settings = SimpleNamespace(batch_tokens=planned)
    prepared = cast(Prepared, SimpleNamespace(rows=SimpleNamespace(settings=settings)))
    found = as_planned(RunContext(config, LocalFileSystem()), prepared).config
    assert found == replace(config, models=replace(config.models, batch_tokens=planned))
