"""Commands in processes of their own: how long they take and how much memory they need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from longbert.errors import LongbertError

_COMMAND = "import sys; from longbert.cli.main import main; main(sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process took.

    Attributes:
        seconds: from start to exit.
        peak_mb: most memory that it held at a time; that of processes it started not counted.
    """

    seconds: float
    peak_mb: float


def run_command(*arguments: str) -> Ended:
    """Run ``longbert ARGUMENTS``.

    Raises:
        LongbertError: it failed.
    """
    return run_python(_COMMAND, *arguments)


def run_python(code: str, *arguments: str) -> Ended:
    """Run a line of Python.

    Raises:
        LongbertError: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise LongbertError(f"{_shown(arguments)} ended with {process.returncode}: {said.strip()}")
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    return Ended(seconds, usage.ru_maxrss / per_mb)


def _shown(arguments: Sequence[str]) -> str:
    return f"longbert {arguments[0]}" if arguments else "a process"
