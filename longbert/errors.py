"""Errors that longbert raises, and the exit status that each one means."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_CHARS = 80
"""Of a name in a message."""


class LongbertError(Exception):
    """Base of all errors raised on purpose; the message names a remedy.

    Its message never holds text of a document, since messages reach logs.
    """

    exit_status = 1


class ConfigError(LongbertError, ValueError):
    """A setting is out of range, unknown, or does not fit another one."""

    exit_status = 2


class InputError(LongbertError):
    """An input cannot be listed, or there is nothing to read in it."""

    exit_status = 2


class ModelError(LongbertError):
    """A model folder is missing, incomplete, unsafe to load, or of the wrong kind."""

    exit_status = 2


class OutputError(LongbertError):
    """The output folder cannot be written, or is damaged."""


class DamagedError(OutputError):
    """A record of the output is not what longbert writes."""


class UnfinishedError(OutputError):
    """An output has no manifest: its first run has not finished, or the file was removed."""


class DeviceMemoryError(LongbertError):
    """A device has too little memory for a batch of the size that the run has."""


class TooManyErrorsError(LongbertError):
    """More documents failed than the run allows."""


class WorkerError(LongbertError):
    """A worker process ended before its work was done."""


class FingerprintError(LongbertError):
    """An output or index belongs to another configuration."""

    exit_status = 4


class QueryWarning(UserWarning):
    """A query was answered, but its results may mean little."""


class LockError(LongbertError):
    """Another run is writing the output."""

    exit_status = 5


class Stopped(KeyboardInterrupt):
    """A signal has asked the process to stop."""


class DocumentError(LongbertError):
    """One document cannot be done; it becomes a row of the table ``errors``.

    Args:
        stage: ``"plan"``, ``"read"``, ``"tokenize"`` or ``"encode"``.
        error: a short stable name of the kind, such as ``"duplicate_id"``.
        message: what was found and what to do, without text of the document.
    """

    def __init__(self, stage: str, error: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.error = error
        self.message = message

    def __reduce__(self) -> tuple[type[DocumentError], tuple[str, str, str]]:
        return type(self), (self.stage, self.error, self.message)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to ``name``, or nothing.

    Capitals do not count.
    """
    by_small_letters = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), by_small_letters, n=1, cutoff=0.5)
    return f"; did you mean {shown(by_small_letters[close[0]])}?" if close else ""


def shown(value: object) -> str:
    """Return ``repr(value)``, shortened in the middle if it is too long for a message."""
    text = repr(value)
    if len(text) <= _MOST_CHARS:
        return text
    n_first = _MOST_CHARS * 2 // 3
    return f"{text[:n_first]}…{text[n_first + 1 - _MOST_CHARS :]}"
