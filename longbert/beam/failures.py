"""Carry our errors from a worker to the process that waits for it.

Beam itself passes on only the text of a traceback.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from longbert import errors
from longbert.core.units import Unit
from longbert.errors import LongbertError, Stopped, WorkerError, shown

_NAMED = 3
_STOPPED = re.compile(r"\b(KeyboardInterrupt|longbert\.errors\.Stopped)\b")
"""What Beam makes an error of its own when a signal comes while it runs a step."""

_LOST_WORKER = re.compile(
    r"Channel closed prematurely|SDK harness \S+ disconnected|lost contact with the service"
)
"""What Beam's portable runner and Dataflow say of a worker that they can no longer reach."""


class Failures(Protocol):
    """Keeps the first error that a process reports."""

    def report(self, error: LongbertError) -> None:
        """Keep an error for the process that waits."""

    def first(self) -> LongbertError | None:
        """The first error that any process reported."""

    def working_on(self, unit: Unit) -> contextlib.AbstractContextManager[None]:
        """Let the process that waits know, during the block, what this one is doing."""


class NoFailures(Failures):
    """For runners on other machines, which report the error's text themselves."""

    @override
    def report(self, error: LongbertError) -> None:
        pass

    @override
    def first(self) -> LongbertError | None:
        return None

    @override
    def working_on(self, unit: Unit) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@dataclass(frozen=True, slots=True)
class RunFolder(Failures):
    """What processes on this machine leave for the one that waits for them.

    Attributes:
        folder: local, used by this run only.
    """

    folder: str

    @override
    def report(self, error: LongbertError) -> None:
        with contextlib.suppress(FileExistsError), open(self._error, "x", encoding="utf-8") as file:
            json.dump([type(error).__name__, str(error)], file)

    @override
    def first(self) -> LongbertError | None:
        try:
            with open(self._error, encoding="utf-8") as file:
                name, message = json.load(file)
        except FileNotFoundError:
            return None
        error: LongbertError = getattr(errors, name)(message)
        return error

    @override
    @contextmanager
    def working_on(self, unit: Unit) -> Iterator[None]:
        path = f"{self.folder}/{os.getpid()}-{threading.get_ident()}.unit"
        documents = [one.name for one in unit.part.documents]
        named = ", ".join(map(shown, documents[:_NAMED]))
        more = f" and {len(documents) - _NAMED:,} more" if len(documents) > _NAMED else ""
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"unit {unit.part.name} ({named}{more})")
        yield
        os.unlink(path)

    def work_of(self, pid: int) -> list[str]:
        """The units that a process was at when it ended, for people."""
        return [Path(path).read_text(encoding="utf-8") for path in self._paths(f"{pid}-", ".unit")]

    def workers(self) -> list[int]:
        """Numbers of the worker processes that have not said that they are done.

        Each has a file that it removes in the end; one that ends too early leaves it.
        """
        return [
            int(os.path.basename(path).partition(".")[0]) for path in self._paths("", ".worker")
        ]

    def take_number(self) -> int:
        """A number that no other process of the run has taken, from 0 on."""
        for number in itertools.count():
            with contextlib.suppress(FileExistsError), open(f"{self.folder}/{number}.number", "x"):
                return number
        raise AssertionError("there is always a next number")

    def worker_is_done(self) -> None:
        """Have this process no longer be one of the workers."""
        os.unlink(f"{self.folder}/{os.getpid()}.worker")

    def _paths(self, start: str, end: str) -> list[str]:
        names = sorted(os.listdir(self.folder))
        found = (name for name in names if name.startswith(start) and name.endswith(end))
        return [f"{self.folder}/{name}" for name in found]

    @property
    def _error(self) -> str:
        return f"{self.folder}/error.json"


@contextmanager
def own_errors(failures: Failures | None = None) -> Iterator[None]:
    """Raise what a step left, or Beam quotes, in place of Beam's own error."""
    try:
        yield
    except Exception as error:
        raise _own_error(failures or NoFailures(), error) from error


def quoted_error(text: str) -> LongbertError | None:
    """Our error that a runner's message quotes, if any."""
    quoted = re.search(r"longbert\.errors\.(\w+): (.+)", text)
    if quoted is None or not hasattr(errors, quoted[1]):
        return None
    kind: type[LongbertError] = getattr(errors, quoted[1])
    return kind(quoted[2].partition(" [while running ")[0])


def _own_error(failures: Failures, error: Exception) -> BaseException:
    """The error that our step left or Beam quotes, or else one with Beam's message."""
    own = failures.first() or quoted_error(f"{_name(error)}: {error}")
    if own is not None:
        return own
    if _STOPPED.search(f"{_name(error)}: {error}"):
        return Stopped()
    # Dataflow ends with the line "None" if it has no message.
    lines = [line for line in str(error).splitlines() if line.strip() not in ("", "None")]
    last = (lines or [type(error).__name__])[-1][:500].rstrip(".")
    lost = _LOST_WORKER.search(str(error))
    if lost is not None:
        return WorkerError(
            f"a worker ended before its work was done ({lost[0]}): it was killed, by hand or since "
            "memory ran out, or its machine went away. What is done is kept: run again to go on"
        )
    return LongbertError(
        f"the Beam pipeline failed: {last}. Completed units are kept: run again to continue"
    )


def _name(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
