"""Running the command until a fault ends it, and what must hold then and after running it again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from support.runs import damage, files_of, last_run, problems, write_texts
from support.texts import long_text

from faults.steps import Fault
from longbert.errors import OutputError

TESTS = Path(__file__).parent.parent
_TIMEOUT_SECONDS = 120


class Harm(AssertionError):
    """The output is not what it must be."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: exit status; negative for a signal.
        stderr: what it said.
        steps: names of the changes it made.
    """

    status: int
    stderr: str
    steps: list[str]


class Commands:
    """Runs the command in forks of one process; see ``server.py``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": _python_path()},
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=_TIMEOUT_SECONDS)

    def run(self, arguments: Sequence[str | Path], fault: Fault) -> Ended:
        """Run ``longbert`` to its end.

        Args:
            arguments: of the command.
            fault: that it suffers.
        """
        Path(fault.log).unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile("r") as stderr:
            self._send(
                {
                    "arguments": [str(one) for one in arguments],
                    "environment": fault.environment | {"PYTHONPATH": _python_path()},
                    "stderr": stderr.name,
                }
            )
            status = int(self._line())
            return Ended(status, stderr.read(), fault.steps())

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        return stdout.readline()


def _python_path() -> str:
    package = TESTS.parent if (TESTS.parent / "longbert").is_dir() else None
    folders = [TESTS / "faults" / "site", TESTS, *([package] if package else [])]
    return os.pathsep.join(map(str, folders))


@dataclass(frozen=True)
class Scene:
    """Inputs, an output of earlier inputs, and the output that a run over them must end in.

    Attributes:
        docs: the inputs as they are now: one file new, one changed, one gone, two bad ones.
        before: the output of the inputs as they were.
        wanted: files of the output, ``run.json`` aside.
        n_encoded: units that the undisturbed run encodes.
        steps: names of the changes that the undisturbed run makes.
        options: of the command.
    """

    docs: Path
    before: Path
    wanted: dict[str, bytes]
    n_encoded: int
    steps: list[str]
    options: tuple[str, ...]

    def arguments(self, output: Path) -> list[str | Path]:
        """Of the command."""
        return ["run", "--input", self.docs, "--output", output, *self.options]


def make_scene(commands: Commands, place: Path, *, options: Sequence[str]) -> Scene:
    """Make inputs and outputs."""
    docs, before, after = place / "docs", place / "before", place / "after"
    texts = {f"{i:02}.txt": long_text(30, seed=i) for i in range(8)}
    write_texts(docs, texts | {"empty.txt": " ", "broken.jsonl": "{"})
    every = (
        *("--unit-bytes", "1700", "--precision", "float32"),
        *options,
    )
    scene = Scene(docs, before, {}, 0, [], every)
    ended = commands.run(scene.arguments(before), Fault(str(before), str(place / "log")))
    if ended.status != 3:
        raise Harm(f"the undisturbed run ended with {ended.status}: {ended.stderr}")
    write_texts(docs, {"00.txt": long_text(30, seed=50), "new.txt": long_text(40, seed=51)})
    (docs / "02.txt").unlink()
    shutil.copytree(before, after)
    ended = commands.run(scene.arguments(after), Fault(str(after), str(place / "log")))
    if ended.status != 3 or problems(after):
        raise Harm(f"the undisturbed run ended with {ended.status}: {ended.stderr}")
    entry = last_run(after)
    return Scene(
        docs=docs,
        before=before,
        wanted=files_of(after),
        n_encoded=entry["units"] - entry["units_copied"],
        steps=ended.steps,
        options=every,
    )


def check_torn(output: Path) -> None:
    """What must hold after a run was ended anywhere: readers see one whole output.

    Raises:
        Harm: they do not.
    """
    try:
        torn = damage(output)
    except OutputError as error:
        torn = [str(error)]
    if torn:
        raise Harm(f"readers see a torn output: {torn}")


def check_mended(
    commands: Commands, scene: Scene, output: Path, fault: Fault, *, n_in_flight: int
) -> None:
    """What must hold after the command was run again: the bytes of an undisturbed run.

    Args:
        commands: to run it.
        scene: whose inputs it reads.
        output: as the fault left it.
        fault: with what is broken still broken.
        n_in_flight: units that may be encoded a second time.

    Raises:
        Harm: bytes differ, or too much was encoded again.
    """
    again = Fault(fault.output, fault.log, broken=fault.broken)
    done = len(_new_receipts(scene, output))
    ended = commands.run(scene.arguments(output), again)
    if ended.status != 3:
        raise Harm(f"the run that goes on ended with {ended.status}: {ended.stderr}")
    found = files_of(output)
    if found != scene.wanted:
        names = sorted({*found} ^ {*scene.wanted})
        other = sorted(n for n in {*found} & {*scene.wanted} if found[n] != scene.wanted[n])
        raise Harm(f"files differ from those of an undisturbed run: {names} {other}")
    if problems(output):
        raise Harm(f"verify finds {problems(output)}")
    entry = last_run(output)
    n_again = entry["units"] - entry["units_resumed"] + done - entry["units"]
    if entry["units"] and n_again > n_in_flight:
        raise Harm(f"{n_again} units that were complete were made again")


def _new_receipts(scene: Scene, output: Path) -> set[str]:
    names = {path.name for path in output.glob("receipts/*.json")}
    return names - {path.name for path in scene.before.glob("receipts/*.json")}
