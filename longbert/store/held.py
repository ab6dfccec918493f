"""Files that a reader holds, whatever a run does to the folder meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os

from longbert.errors import OutputError
from longbert.store.folder import OutputFolder


class HeldFile:
    """A file of an output as it was when it was first held.

    On this machine it is mapped into memory at once, which costs the same for files of any size,
    and which replacing or removing the file does no harm. Elsewhere it is read when it is wanted.

    Args:
        output: the folder that it is in.
        name: relative to that.

    Raises:
        OutputError: it is on this machine, and missing or unreadable.
    """

    def __init__(self, output: OutputFolder, name: str) -> None:
        self.path = output.join(name)
        self._output = output
        self._name = name
        self._mapped: memoryview | None = None
        if output.filesystem.local_path(self.path) is not None:
            try:
                self._mapped = output.open_mapped(name)
            except OSError as error:
                # pyarrow gives the system's words without its number.
                if os.strerror(errno.ENOMEM) in str(error):
                    raise OutputError(_too_many_maps(self.path)) from error
                raise OutputError(
                    f"{self.path} is missing or unreadable ({error.strerror or error}): run "
                    "longbert again with the same inputs to recreate it"
                ) from error

    def read(self) -> memoryview:
        """Its content.

        Raises:
            OutputError: it is on another machine, and cannot be read any more.
        """
        if self._mapped is not None:
            return self._mapped
        try:
            return self._output.open_mapped(self._name)
        except OSError as error:
            raise OutputError(
                f"{self.path} is missing or unreadable ({error.strerror or error}): if a run has "
                "replaced it since the output was opened, turn to the new output with "
                "index.reload(); otherwise run longbert again to recreate it"
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
                f"{sha256[:12]}...: remove it and run longbert again to recreate it"
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
