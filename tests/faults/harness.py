"""Running the command until a fault ends it, and what must hold then and after running it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from support.runs import damage, files_of, problems, write_texts
from support.texts import long_text

from faults.steps import Fault
from longbert.errors import OutputError
from longbert.store.processes import process_start

EVERY_FAULT = os.environ.get("LONGBERT_FAULTS") == "all"
"""Whether all kills are wanted that were ever planned; the usual ones take a tenth of the time."""

TESTS = Path(__file__).parent.parent
TIMEOUT_SECONDS = 120
_POLL_SECONDS = 0.02


class Harm(AssertionError):
    """The output is not what it must be."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: exit status; negative for a signal.
        stderr: what it said.
        steps: names of the changes it made.
        begun: units that it began to make.
        seconds: that it took.
    """

    status: int
    stderr: str
    steps: list[str]
    begun: list[str]
    seconds: float


@dataclass(frozen=True)
class Kill:
    """SIGKILL from outside, at some moment.

    Attributes:
        after_seconds: of the run.
        whole_group: kill its workers as well, instead of the command alone.
    """

    after_seconds: float
    whole_group: bool = True

    @contextmanager
    def of(self, pid: int) -> Iterator[None]:
        """Kill a process during the block, if it lasts that long."""

        def kill() -> None:
            with suppress(ProcessLookupError):
                (os.killpg if self.whole_group else os.kill)(pid, signal.SIGKILL)

        timer = threading.Timer(self.after_seconds, kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class Commands:
    """Runs the command in forks of one process; see ``server.py``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": python_path()},
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=TIMEOUT_SECONDS)

    def run(
        self, arguments: Sequence[str | Path], fault: Fault, *, kill: Kill | None = None
    ) -> Ended:
        """Run ``longbert`` to its end, and that of all its processes.

        Args:
            arguments: of the command.
            fault: that it suffers.
            kill: that it suffers as well.

        Raises:
            Harm: a process is left.
        """
        fault.forget()
        with tempfile.NamedTemporaryFile("r") as stderr:
            self._send(
                {
                    "arguments": [str(one) for one in arguments],
                    "environment": fault.environment | {"PYTHONPATH": python_path()},
                    "stderr": stderr.name,
                }
            )
            pid = int(self._line())
            began = time.monotonic()
            with kill.of(pid) if kill is not None else nullcontext():
                status = int(self._line())
            seconds = time.monotonic() - began
            _wait_for_group(pid)
            return Ended(status, stderr.read(), fault.steps(), fault.begun(), seconds)

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        return stdout.readline()


def _wait_for_group(group: int) -> None:
    """Wait until no process of a group is left; workers look for their parent twice a second."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while left := [pid for pid in _running() if _group_of(pid) == group]:
        if time.monotonic() > deadline:
            raise Harm(f"processes are left: {left}")
        time.sleep(_POLL_SECONDS)


def _running() -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if process_start(pid) is not None]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def python_path() -> str:
    """Of processes that are to suffer faults."""
    package = TESTS.parent if (TESTS.parent / "longbert").is_dir() else None
    folders = [TESTS / "faults" / "site", TESTS, *([package] if package else [])]
    return os.pathsep.join(map(str, folders))


@dataclass(frozen=True)
class Scene:
    """Inputs, an output of earlier inputs, and the output that a run over them must end in.

    Attributes:
        docs: the inputs as they are now: some new, one changed, one gone, two bad ones.
        before: the output of the inputs as they were, or an empty folder before a first run.
        wanted: files of the output, ``run.json`` aside.
        undisturbed: the run that made it.
        n_runs: into it, the undisturbed one included.
        options: of the command.
    """

    docs: Path
    before: Path
    wanted: dict[str, bytes]
    undisturbed: Ended
    n_runs: int
    options: tuple[str, ...]

    def arguments(self, output: Path, *, options: Sequence[str] | None = None) -> list[str | Path]:
        """Of the command."""
        own = self.options if options is None else (*_EVERY, *options)
        return ["run", "--input", self.docs, "--output", output, *own]


_EVERY = ("--unit-bytes", "1700", "--precision", "float32")


def make_scene(
    commands: Commands,
    place: Path,
    *,
    options: Sequence[str],
    new: Mapping[str, str] | None = None,
    kind: str = "none",
    is_first: bool = False,
) -> Scene:
    """Make inputs and outputs.

    Args:
        commands: to run it.
        place: folder for all of it.
        options: of the command.
        new: further new documents.
        kind: of the fault that runs suffer; see :class:`Fault`.
        is_first: whether there is no output before.
    """
    docs, before, after = place / "docs", place / "before", place / "after"
    texts = {f"{i:02}.txt": long_text(30, seed=i) for i in range(8)}
    write_texts(docs, texts | {"empty.txt": " ", "broken.jsonl": "{"})
    arguments = ["run", "--input", docs, *_EVERY, *options, "--output"]

    def run(output: Path) -> Ended:
        ended = commands.run([*arguments, output], Fault(str(output), str(place / "log"), kind))
        if ended.status != 3 or problems(output):
            raise Harm(f"the undisturbed run ended with {ended.status}: {ended.stderr}")
        return ended

    if is_first:
        before.mkdir()
    else:
        run(before)
    write_texts(docs, {"00.txt": long_text(30, seed=50), "new.txt": long_text(40, seed=51)})
    write_texts(docs, new or {})
    (docs / "02.txt").unlink()
    shutil.copytree(before, after)
    ended = run(after)
    return Scene(docs, before, files_of(after), ended, 2 - is_first, (*_EVERY, *options))


def check_torn(output: Path) -> None:
    """What must hold after a run was ended anywhere: readers see one whole output.

    Raises:
        Harm: they do not.
    """
    if not (output / "manifest.json").exists():
        return
    try:
        torn = damage(output)
    except OutputError as error:
        torn = [str(error)]
    if torn:
        raise Harm(f"readers see a torn output: {torn}")


def check_mended(
    commands: Commands,
    scene: Scene,
    output: Path,
    fault: Fault,
    *,
    killed: Ended,
    n_in_flight: int,
    options: Sequence[str] | None = None,
) -> None:
    """What must hold after the command was run again: the bytes of an undisturbed run.

    Args:
        commands: to run it.
        scene: whose inputs it reads.
        output: as the fault left it.
        fault: with what is broken still broken.
        killed: how the run ended that suffered it.
        n_in_flight: units that may be made a second time.
        options: of the command; None: those of the scene.

    Raises:
        Harm: bytes differ, or too much was made again.
    """
    again = Fault(fault.output, fault.log, broken=fault.broken)
    complete = {path.stem for path in output.glob("receipts/*.json")}
    ended = commands.run(scene.arguments(output, options=options), again)
    if ended.status != 3:
        raise Harm(f"the run that goes on ended with {ended.status}: {ended.stderr}")
    found = files_of(output)
    if found != scene.wanted:
        names = sorted({*found} ^ {*scene.wanted})
        other = sorted(n for n in {*found} & {*scene.wanted} if found[n] != scene.wanted[n])
        raise Harm(f"files differ from those of an undisturbed run: {names} {other}")
    if problems(output):
        raise Harm(f"verify finds {problems(output)}")
    # A run that was killed may have noted itself.
    if len(json.loads((output / "run.json").read_text())["runs"]) < scene.n_runs:
        raise Harm("the histories differ: run.json lacks a run")
    if twice := complete & {*ended.begun}:
        raise Harm(f"units that were complete were made again: {twice}")
    every = sorted([*killed.begun, *ended.begun])
    n_again = len(every) - len({*every})
    if n_again > n_in_flight:
        raise Harm(f"{n_again} units were made twice, and {n_in_flight} were in flight")
    if {*every} != {*scene.undisturbed.begun}:
        raise Harm(f"units were made that an undisturbed run does not make: {every}")
