"""The command killed at random moments, workers and all."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.texts import long_text

from faults.harness import EVERY_FAULT, Commands, Kill, check_mended, check_torn, make_scene
from faults.steps import Fault

_N_KILLS = 50 if EVERY_FAULT else 10

_HERE = ("--runner", "none")
_TWO_WORKERS = ("--runner", "DirectRunner", "--workers", "2")

_NEW = {f"more/{i:02}.txt": long_text(150, seed=100 + i) for i in range(8)}
_LARGE = {"large.txt": long_text(3000, seed=99)}
"""A document that is larger than a unit, and so is read and written as a stream."""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    served = Commands()
    yield served
    served.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("options", "n_in_flight"),
    [(_HERE, 1), (_TWO_WORKERS, 2)],
    ids=["one process", "two workers"],
)
def test_killed_at_random_moments(
    commands: Commands, tmp_path: Path, options: Sequence[str], n_in_flight: int
) -> None:
    scene = make_scene(
        commands, tmp_path / "scene", options=options, new=_NEW | _LARGE, kind="slow"
    )
    assert len(scene.undisturbed.begun) > 5
    moments = random.Random(n_in_flight)
    seconds = scene.undisturbed.seconds
    n_killed = n_locked = n_stopped_at_work = 0
    while n_killed < _N_KILLS:
        output = Path(shutil.copytree(scene.before, tmp_path / "out"))
        fault = Fault(str(output), str(tmp_path / "log"), "slow")
        kill = Kill(moments.uniform(0, 1.2 * seconds), whole_group=moments.random() < 0.5)
        ended = commands.run(scene.arguments(output), fault, kill=kill)
        if ended.status == -signal.SIGKILL:
            n_killed += 1
            n_locked += (output / "lock.json").exists()
            n_stopped_at_work += 0 < len(ended.begun) < len(scene.undisturbed.begun)
            check_torn(output)
        else:
            # It was over before.
            assert ended.status == 3, ended.stderr
            seconds = ended.seconds
        check_mended(
            *(commands, scene, output, fault),
            killed=ended,
            n_in_flight=n_in_flight,
            # Who goes on makes no difference, and one process is quicker.
            options=_HERE if n_killed % 2 else None,
        )
        shutil.rmtree(output)
        print(n_killed, n_locked, n_stopped_at_work, ended.status, kill, flush=True)
    assert n_locked, "no lock was left to be taken over"
    assert n_stopped_at_work, "no run was at its units when it was killed"
