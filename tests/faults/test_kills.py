"""The command killed at every step that changes the output, and at random moments."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.breaks import BREAKS
from faults.harness import Commands, Harm, Scene, check_mended, check_torn, make_scene
from faults.steps import Fault

_N_RANDOM = 50


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    served = Commands()
    yield served
    served.close()


@pytest.fixture(scope="module")
def scene(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(commands, tmp_path_factory.mktemp("scene"), options=())


def suffer(
    commands: Commands, scene: Scene, place: Path, *, at: int, broken: str = ""
) -> tuple[Path, Fault, list[str]]:
    """Kill a run at a step."""
    output = place / "out"
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(scene.before, output)
    fault = Fault(str(output), str(place / "log"), "kill", at, broken)
    ended = commands.run(scene.arguments(output), fault)
    if ended.status != -signal.SIGKILL:
        raise Harm(f"step {at} never came: {ended.status} {ended.stderr}")
    return output, fault, ended.steps


def test_steps_are_those_that_commit(scene: Scene) -> None:
    """Else the kills below would miss some."""
    names = {name for name in scene.steps if name.startswith("after-rename")}
    assert names == {
        f"after-rename {one}"
        for one in (
            *("documents", "passages", "entities", "classifications", "errors"),
            *("lexical", "receipts", "index/documents", "index/passages", "index/description"),
            *("manifest.json", "run.json"),
        )
    }
    removed = {name for name in scene.steps if name.startswith("after-remove")}
    assert {f"after-remove {one}" for one in ("passages", "receipts", "index/passages")} <= removed


@pytest.mark.slow
def test_killed_at_every_step(commands: Commands, scene: Scene, tmp_path: Path) -> None:
    for at in range(len(scene.steps)):
        output, fault, steps = suffer(commands, scene, tmp_path, at=at)
        assert steps == scene.steps[: at + 1]
        check_torn(output)
        check_mended(commands, scene, output, fault, n_in_flight=1)


@pytest.mark.slow
def test_killed_at_random_moments(commands: Commands, scene: Scene, tmp_path: Path) -> None:
    moments = random.Random(0)
    n_killed = 0
    while n_killed < _N_RANDOM:
        output = tmp_path / "out"
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(scene.before, output)
        fault = Fault(str(output), str(tmp_path / "log"))
        ended = commands.run(
            scene.arguments(output),
            fault,
            killed_after_seconds=moments.uniform(0, 1.5 * scene.seconds),
        )
        assert ended.status in (-signal.SIGKILL, 3), ended.stderr
        n_killed += ended.status == -signal.SIGKILL
        check_torn(output)
        check_mended(commands, scene, output, fault, n_in_flight=1)


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_found(
    commands: Commands, scene: Scene, tmp_path: Path, broken: str
) -> None:
    """The harness proves itself: with a commit step made wrong, some kill does harm."""
    with pytest.raises(Harm):
        for at in range(len(scene.steps)):
            output, fault, _ = suffer(commands, scene, tmp_path, at=at, broken=broken)
            check_torn(output)
            check_mended(commands, scene, output, fault, n_in_flight=1)
