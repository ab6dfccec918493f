"""The command killed at every step that changes the output."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from faults.breaks import BREAKS
from faults.harness import (
    EVERY_FAULT,
    Commands,
    Ended,
    Harm,
    Scene,
    check_mended,
    check_torn,
    make_scene,
)
from faults.steps import Fault
from longbert.store.layout import PART_SUFFIXES

_HERE = ("--runner", "none")
_TWO_WORKERS = ("--runner", "DirectRunner", "--workers", "2")


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    served = Commands()
    yield served
    served.close()


@pytest.fixture(scope="module")
def scene(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """In one process."""
    return make_scene(commands, tmp_path_factory.mktemp("scene"), options=_HERE)


@pytest.fixture(scope="module")
def first(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """As ``scene``, with a first run."""
    place = tmp_path_factory.mktemp("first")
    return make_scene(commands, place, options=_HERE, is_first=True)


@pytest.fixture(scope="module")
def with_workers(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Through Beam, in two worker processes."""
    return make_scene(commands, tmp_path_factory.mktemp("workers"), options=_TWO_WORKERS)


def _is_of_a_unit(step: str) -> bool:
    what, name = step.split(" ")
    return name in PART_SUFFIXES and not what.endswith("remove")


def suffer(
    commands: Commands, scene: Scene, place: Path, *, at: int, broken: str = ""
) -> tuple[Path, Fault, Ended]:
    """Kill a run, or one of its workers, at a step."""
    output = place / "out"
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(scene.before, output)
    fault = Fault(str(output), str(place / "log"), "kill", at, broken)
    ended = commands.run(scene.arguments(output), fault)
    # 1: a worker was killed, and the command says so. Behind the last step nothing is killed.
    if at < len(scene.undisturbed.steps) and ended.status not in (-signal.SIGKILL, 1):
        raise Harm(f"step {at} never came: {ended.status} {ended.stderr}")
    return output, fault, ended


def kills(
    commands: Commands,
    scene: Scene,
    place: Path,
    steps: Iterable[int],
    *,
    broken: str = "",
) -> None:
    """Kill at some steps, one after the other; raises Harm."""
    for at in steps:
        output, fault, ended = suffer(commands, scene, place, at=at, broken=broken)
        check_torn(output)
        check_mended(commands, scene, output, fault, killed=ended, n_in_flight=1)


def _renamed(scene: Scene) -> set[str]:
    return {name for name in scene.undisturbed.steps if name.startswith("after-rename")}


def test_steps_are_those_that_commit(scene: Scene, first: Scene) -> None:
    """Else the kills below would miss some."""
    assert _renamed(first) - _renamed(scene) == {"after-rename fingerprint.json"}
    assert _renamed(scene) == {
        f"after-rename {one}"
        for one in (
            *("documents", "passages", "entities", "classifications", "errors"),
            *(
                "catalog",
                "lexical",
                "receipts",
                "index/documents",
                "index/passages",
                "index/description",
            ),
            *("manifest", "manifest.json", "run.json", "lock.json"),
        )
    }
    removed = {name for name in scene.undisturbed.steps if name.startswith("after-remove")}
    assert {f"after-remove {one}" for one in ("passages", "receipts", "index/passages")} <= removed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_every_step(commands: Commands, scene: Scene, tmp_path: Path) -> None:
    kills(commands, scene, tmp_path, range(len(scene.undisturbed.steps)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_first_run_killed_at_its_claim(commands: Commands, first: Scene, tmp_path: Path) -> None:
    steps = first.undisturbed.steps
    chosen = [at for at, name in enumerate(steps) if name.endswith(" fingerprint.json")]
    assert len(chosen) == 3
    kills(commands, first, tmp_path, chosen)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("of_units", [True, False], ids=["of units", "of the run"])
def test_killed_at_every_kind_of_step_with_two_workers(
    commands: Commands, with_workers: Scene, tmp_path: Path, of_units: bool
) -> None:
    if not of_units and not EVERY_FAULT:
        pytest.skip("as in one process: LONGBERT_FAULTS=all kills there as well")
    last = {name: at for at, name in enumerate(with_workers.undisturbed.steps)}
    chosen = {name: at for name, at in last.items() if _is_of_a_unit(name) == of_units}
    assert chosen
    for number, (name, at) in enumerate(chosen.items()):
        print(f"{number} of {len(chosen)}: {name}", flush=True)
        output, fault, ended = suffer(commands, with_workers, tmp_path, at=at)
        check_torn(output)
        check_mended(
            *(commands, with_workers, output, fault),
            killed=ended,
            n_in_flight=2,
            # Who goes on makes no difference, and one process is quicker.
            options=_HERE if number % 2 else None,
        )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_found(
    commands: Commands, scene: Scene, first: Scene, tmp_path: Path, broken: str
) -> None:
    """The harness proves itself: with a commit step made wrong, some kill does harm."""
    if BREAKS[broken].is_of_first:
        scene = first
    at = len(scene.undisturbed.steps)
    if step := BREAKS[broken].step:
        _, _, ended = suffer(commands, scene, tmp_path, at=at, broken=broken)
        at = ended.steps.index(step)
    with pytest.raises(Harm, match=r"torn|differ|ended with|verify"):
        kills(commands, scene, tmp_path, [at], broken=broken)
