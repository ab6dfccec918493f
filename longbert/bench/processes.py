"""Commands in processes of their own: how long they take and how much memory they need."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longbert.errors import LongbertError

_COMMAND = "import sys; from longbert.cli.main import main; main(sys.argv[1:])"
_STATUS = Path("/proc/self/status")
# What wait4 tells would count the memory of this process, from which the other one is forked.
_NOTING_PEAK = f"""
import atexit, os, shutil, sys
if os.path.exists('{_STATUS}'):
    atexit.register(shutil.copyfile, '{_STATUS}', sys.argv[1])
del sys.argv[1]
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process took.

    Attributes:
        seconds: from start to exit.
        peak_mb: most memory that it held at a time, that of processes it started not counted;
            None where the system does not tell.
    """

    seconds: float
    peak_mb: float | None


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
    with tempfile.TemporaryDirectory(prefix="longbert-bench-") as folder:
        status = Path(folder, "status")
        began = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-c", _NOTING_PEAK + code, str(status), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        seconds = time.perf_counter() - began
        if process.returncode:
            said = process.stderr.decode(errors="replace").strip()
            raise LongbertError(f"{_shown(arguments)} ended with {process.returncode}: {said}")
        return Ended(seconds, _peak_mb(status))


def _peak_mb(status: Path) -> float | None:
    """The high-water mark that a process noted as it ended."""
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return peaks[0] / 2**10 if peaks else None


def _shown(arguments: Sequence[str]) -> str:
    return f"longbert {arguments[0]}" if arguments else "a process"
