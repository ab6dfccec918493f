"""Steps that change an output, named and counted over all processes of a run, and what fails there.

``install`` replaces the few calls by which the local file system changes anything. It runs in the
process of the command and in each of its workers (see ``site/sitecustomize.py``), as the variable
``LONGBERT_FAULT`` of the environment says.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longbert.store.filesystem import finished_name

VARIABLE = "LONGBERT_FAULT"
_LINE_BYTES = 64
_REFUSED = {"full": errno.ENOSPC, "read-only": errno.EROFS}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and where.

    Attributes:
        output: the folder whose changes are steps.
        log: file with a line for each step.
        kind: ``none`` only counts; ``kill`` ends the process as SIGKILL does; from the step on
            ``full`` is a full disk and ``read-only`` a disk that takes nothing; ``unreadable`` is a
            disk error of the input ``disk.txt`` once it is planned; ``clock`` lets the clock jump a
            day back and forth; ``memory`` raises MemoryError where a document that says ``MEMORY``
            is encoded; ``slow`` lets a batch take some time, so that a moment drawn at random
            finds a unit at work.
        at: the step, from 0.
        broken: name of what is made wrong on purpose; see ``breaks.py``.
    """

    output: str
    log: str
    kind: str = "none"
    at: int = -1
    broken: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """For the command that is to suffer it."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of_environment(cls) -> Fault | None:
        """The fault that this process is to suffer."""
        text = os.environ.get(VARIABLE)
        return None if text is None else cls(**json.loads(text))

    def steps(self) -> list[str]:
        """Names of the steps so far."""
        return _lines(self.log)

    def begin(self, unit: str) -> None:
        """Note that a unit is being made."""
        with open(f"{self.log}.units", "a") as file:
            file.write(f"{unit}\n")

    def begun(self) -> list[str]:
        """Units that were begun, as often as they were."""
        return _lines(f"{self.log}.units")

    def forget(self) -> None:
        """Begin the notes anew."""
        for path in (self.log, f"{self.log}.units"):
            Path(path).unlink(missing_ok=True)


def _lines(path: str) -> list[str]:
    if not os.path.exists(path):
        return []
    return [line.strip() for line in Path(path).read_text().splitlines()]


class _Steps:
    """Counts the steps of all processes in one file, since appending to it is atomic."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._handle = os.open(fault.log, os.O_CREAT | os.O_RDWR | os.O_APPEND)

    def take(self, when: str, path: str) -> None:
        name = self._name(path)
        if name is None:
            return
        line = f"{when} {name}".ljust(_LINE_BYTES - 1)[: _LINE_BYTES - 1] + "\n"
        os.write(self._handle, line.encode())
        number = os.lseek(self._handle, 0, os.SEEK_CUR) // _LINE_BYTES - 1
        if self._fault.kind == "kill" and number == self._fault.at:
            os.kill(os.getpid(), signal.SIGKILL)
        code = _REFUSED.get(self._fault.kind)
        if code is not None and number >= self._fault.at and when == "write":
            raise OSError(code, os.strerror(code), path)

    def _name(self, path: str) -> str | None:
        """The folder of a table or index, or the name of a file beside them."""
        inside = os.path.relpath(path, self._fault.output)
        if inside.startswith(".."):
            return None
        folder, _, file = inside.rpartition("/")
        if folder == "index":
            return f"index/{file.partition('-')[0]}"
        return folder or finished_name(file)


def install(fault: Fault) -> None:
    """Count the steps of this process, and let it fail where it shall."""
    steps = _Steps(fault)
    _around(os, "replace", steps.take, "rename", place=1)
    _around(os, "link", steps.take, "rename", place=1)
    _around(os, "unlink", steps.take, "remove", place=0)
    # The machine does not lose power here; that a file is about to be whole is a step all the same.
    os.fsync = lambda handle: _sync(steps, handle)  # type: ignore[assignment]
    if fault.kind == "clock":
        _jump()


def _sync(steps: _Steps, handle: int) -> None:
    path = os.readlink(f"/proc/self/fd/{handle}")
    if not os.path.isdir(path):
        steps.take("write", path)


def _around(
    module: Any, name: str, take: Callable[[str, str], None], what: str, *, place: int
) -> None:
    original = getattr(module, name)

    def replaced(*arguments: Any, **named: Any) -> Any:
        path = os.fspath(arguments[place])
        take(f"before-{what}", path)
        result = original(*arguments, **named)
        take(f"after-{what}", path)
        return result

    setattr(module, name, replaced)


def _jump() -> None:
    """Let every second reading of the clock be a day earlier."""
    original, count = time.time, 0

    def jumping() -> float:
        nonlocal count
        count += 1
        return original() - 86_400 * (count % 2)

    time.time = jumping
