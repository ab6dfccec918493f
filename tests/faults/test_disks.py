"""Disks that are full, read-only or broken, clocks that jump, and memory that runs out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.runs import files_of, problems, rows_by_document
from support.texts import long_text

from faults.harness import Commands, Scene, check_mended, check_torn, make_scene
from faults.inside import MEMORY
from faults.steps import Fault


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    served = Commands()
    yield served
    served.close()


@pytest.fixture(scope="module")
def scene(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(commands, tmp_path_factory.mktemp("scene"), options=("--runner", "none"))


@pytest.fixture
def output(scene: Scene, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scene.before, tmp_path / "out"))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("full", "No space left on device"), ("read-only", "Read-only file system")],
)
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9])
def test_a_disk_that_takes_no_more(
    commands: Commands,
    scene: Scene,
    output: Path,
    tmp_path: Path,
    kind: str,
    reason: str,
    share: float,
) -> None:
    at = int(share * len(scene.undisturbed.steps))
    fault = Fault(str(output), str(tmp_path / "log"), kind, at)
    ended = commands.run(scene.arguments(output), fault)
    assert ended.status == 1
    assert reason in ended.stderr
    assert str(output) in ended.stderr
    assert "run again" in ended.stderr
    check_torn(output)
    check_mended(commands, scene, output, fault, killed=ended, n_in_flight=1)


def test_a_clock_that_jumps(commands: Commands, scene: Scene, output: Path, tmp_path: Path) -> None:
    ended = commands.run(
        scene.arguments(output), Fault(str(output), str(tmp_path / "log"), "clock")
    )
    assert ended.status == 3, ended.stderr
    assert files_of(output) == scene.wanted


@pytest.mark.parametrize(
    ("kind", "name", "stage", "error"),
    [
        ("unreadable", "disk.txt", "read", "unreadable"),
        ("memory", "memory.txt", "encode", "MemoryError"),
    ],
)
def test_one_document_that_fails_because_of_the_machine(
    commands: Commands, scene: Scene, tmp_path: Path, kind: str, name: str, stage: str, error: str
) -> None:
    docs = Path(shutil.copytree(scene.docs, tmp_path / "docs"))
    (docs / name).write_text(f"{long_text(40, seed=7)} {MEMORY} {long_text(40, seed=8)}")
    log = str(tmp_path / "log")

    def run(output: Path, kind: str = "none") -> int:
        arguments = ["run", "--input", docs, "--output", output, *scene.options]
        return commands.run(arguments, Fault(str(output), log, kind)).status

    assert run(tmp_path / "good") == 3
    good = rows_by_document(tmp_path / "good")

    assert run(tmp_path / "out", kind) == 3

    found = rows_by_document(tmp_path / "out")
    ((table, row),) = found.pop(name)
    assert (table, row["stage"], row["error"]) == ("errors", stage, error)
    assert found == {one: rows for one, rows in good.items() if one != name}
    assert problems(tmp_path / "out") == []
    assert run(tmp_path / "out") == 3
    assert rows_by_document(tmp_path / "out") == good, "it is tried again once the machine is well"
