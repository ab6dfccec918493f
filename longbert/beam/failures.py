"""Carry our errors from a worker to the process that waits for it.

Beam itself passes on only the text of a traceback.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from longbert import errors
from longbert.errors import LongbertError


class Failures(Protocol):
    """Keeps the first error that a process reports."""

    def report(self, error: LongbertError) -> None:
        """Keep an error for the process that waits."""

    def first(self) -> LongbertError | None:
        """The first error that any process reported."""


class NoFailures(Failures):
    """For runners on other machines, which report the error's text themselves."""

    @override
    def report(self, error: LongbertError) -> None:
        pass

    @override
    def first(self) -> LongbertError | None:
        return None


@dataclass(frozen=True, slots=True)
class FailureFile(Failures):
    """Keeps the first error of processes on this machine.

    Attributes:
        folder: local, used by this run only.
    """

    folder: str

    @override
    def report(self, error: LongbertError) -> None:
        with contextlib.suppress(FileExistsError), open(self._path, "x", encoding="utf-8") as file:
            json.dump([type(error).__name__, str(error)], file)

    @override
    def first(self) -> LongbertError | None:
        try:
            with open(self._path, encoding="utf-8") as file:
                name, message = json.load(file)
        except FileNotFoundError:
            return None
        error: LongbertError = getattr(errors, name)(message)
        return error

    @property
    def _path(self) -> str:
        return f"{self.folder}/error.json"


def quoted_error(text: str) -> LongbertError | None:
    """Our error that a runner's message quotes, if any."""
    quoted = re.search(r"longbert\.errors\.(\w+): (.+)", text)
    if quoted is None or not hasattr(errors, quoted[1]):
        return None
    kind: type[LongbertError] = getattr(errors, quoted[1])
    return kind(quoted[2].partition(" [while running ")[0])
