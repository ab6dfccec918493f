"""Files that a reader holds, whatever a run does to the folder meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from typing import Generic, TypeVar

from longbert.errors import OutputError
from longbert.store.folder import OutputFolder

T = TypeVar("T")


class Held(Generic[T]):
    """What was read from an output, or why it could not be: told to whoever wants it.

    So a file that is lost stops those who need it, and nobody else.

    Args:
        read: called once; raises OutputError.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._value: T | None = None
        self._error: OutputError | None = None
        try:
            self._value = read()
        except OutputError as error:
            # A copy: its traceback, and that of its cause, would keep alive whatever was open.
            self._error = type(error)(*error.args)

    @property
    def is_there(self) -> bool:
        """Whether it could be read."""
        return self._error is None

    def get(self) -> T:
        """What was read.

        Raises:
            OutputError: it could not be.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._value  # type: ignore[return-value]


class HeldFile:
    """A file of an output as it was when it was first held.

    On this machine it is mapped into memory at once, which costs the same for files of any size,
    and which replacing or removing the file does no harm. Elsewhere it is read when it is wanted.

    Args:
        output: the folder that it is in.
        name: relative to that.
    """

    def __init__(self, output: OutputFolder, name: str) -> None:
        self.path = output.join(name)
        self._output = output
        self._name = name
        is_local = output.filesystem.local_path(self.path) is not None
        self._mapped = Held(self._map) if is_local else None

    @property
    def is_there(self) -> bool:
        """Whether it can be read; of a file on another machine that is not known before."""
        return self._mapped is None or self._mapped.is_there

    def read(self) -> memoryview:
        """Its content.

        Raises:
            OutputError: it is missing or unreadable, or on another machine and not there any more.
        """
        if self._mapped is not None:
            return self._mapped.get()
        try:
            return self._output.open_mapped(self._name)
        except OSError as error:
            raise OutputError(
                f"{self.path} is missing or unreadable ({error.strerror or error}): if a run has "
                "replaced it since the output was opened, turn to the new output with "
                f"index.reload(); otherwise {self.remedy}"
            ) from error

    @property
    def remedy(self) -> str:
        """How it is made again, for messages."""
        return self._output.remedy(self._name)

    def _map(self) -> memoryview:
        try:
            return self._output.open_mapped(self._name)
        except OSError as error:
            # pyarrow gives the system's words without its number.
            if os.strerror(errno.ENOMEM) in str(error):
                raise OutputError(_too_many_maps(self.path)) from error
            raise OutputError(
                f"{self.path} is missing or unreadable ({error.strerror or error}): {self.remedy}"
            ) from error

    def read_checked(self, sha256: str) -> memoryview:
        """Its content, checked against a digest.

        Raises:
            OutputError: it is damaged, or not there any more.
        """
        data = self.read()
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise OutputError(
                f"{self.path} is damaged: its SHA-256 is {found[:12]}..., but the output says "
                f"{sha256[:12]}...: {self._output.remedy(self._name, is_damaged=True)}"
            )
        return data


def _too_many_maps(path: str) -> str:
    """The system counts the files that a process has mapped, whatever their size."""
    return (
        f"{path} cannot be mapped: the output has more files than this system lets a process map "
        "(vm.max_map_count, six for a part). Raise that, as in sysctl -w vm.max_map_count=1000000, "
        "or have fewer parts: run longbert again with --unit-bytes 16000000, which encodes "
        "nothing, then longbert compact"
    )
