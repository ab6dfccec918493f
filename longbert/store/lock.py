"""One writer at a time: the lock of an output folder.

The lock is a file that names its holder. It is created only if it is not there, and a lock whose
process is gone is replaced only if it has not changed since it was read, so of several runs one
gets it; see :meth:`longbert.store.filesystem.FileSystem.write_if` for what each place can promise.
Readers never look at it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from longbert.errors import LockError, OutputError
from longbert.store.folder import OutputFolder
from longbert.store.layout import LOCK
from longbert.store.processes import host_name, process_space, process_start
from longbert.store.record import Record, from_json, to_json


class Holder(Record, frozen=True, kw_only=True):
    """Who holds a lock.

    Attributes:
        host: name of the machine.
        space: see :func:`longbert.store.processes.process_space`.
        pid: number of the process.
        process_start: see :func:`longbert.store.processes.process_start`.
        began: when it took the lock, ISO 8601, UTC; for people.
        token: differs between any two that take a lock.
    """

    host: str
    space: str
    pid: int
    process_start: str | None
    began: str
    token: str

    @classmethod
    def this_process(cls) -> Holder:
        """A holder of a new lock."""
        return cls(
            host=host_name(),
            space=process_space(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            began=datetime.now(UTC).isoformat(timespec="seconds"),
            token=secrets.token_hex(16),
        )

    @property
    def is_here(self) -> bool:
        """Whether this process can tell if the holder is still running."""
        return self.host == host_name() and self.space == process_space()

    @property
    def is_gone(self) -> bool:
        """Whether the holder ran on this machine and has ended."""
        return self.is_here and process_start(self.pid) != self.process_start

    @property
    def told(self) -> str:
        """Process, host and start, for messages."""
        return f"process {self.pid} on {self.host}, since {self.began}"


class Lock:
    """A lock that may be held.

    Args:
        output: the folder that is locked.
    """

    def __init__(self, output: OutputFolder) -> None:
        self._output = output
        self._held: bytes | None = None
        self._made_folder = False
        self._problem: OutputError | None = None

    def acquire(self) -> None:
        """Take the lock, or note why nothing can be written to the folder.

        Raises:
            LockError: another run holds it, or its file is damaged.
        """
        found = self._output.read(LOCK)
        if found is not None:
            self._refuse_unless_gone(found)
        self._made_folder = not self._output.filesystem.is_folder(self._output.path)
        mine = to_json(Holder.this_process())
        try:
            is_mine = self._output.write_if(LOCK, mine, expected=found)
        except OutputError as error:
            # A run that finds nothing to do needs no lock.
            self._problem = error
            return
        if is_mine:
            self._held = mine
            # Where two writers may both succeed, only the last one finds its own lock.
            self.check()
            return
        now = self._output.read(LOCK)
        if now is not None:
            self._refuse_unless_gone(now)
        raise LockError(
            f"another run is taking output {self._output.path!r} at this moment: run again when "
            "it has ended"
        )

    def holder(self) -> Holder | None:
        """Who holds the lock, running or not; None if nobody does.

        Raises:
            LockError: its file is damaged.
        """
        found = self._output.read(LOCK)
        return None if found is None else self._parse(found)

    def check_is_free(self) -> None:
        """Make sure that a run could take the lock now.

        Raises:
            LockError: another run holds it, or its file is damaged.
        """
        found = self._output.read(LOCK)
        if found is not None:
            self._refuse_unless_gone(found)

    def check(self) -> None:
        """Make sure that the lock is still held, before something that cannot be undone.

        Raises:
            LockError: someone else holds it, or removed it.
            OutputError: the folder cannot be written.
        """
        if self._problem is not None:
            raise self._problem
        found = self._output.read(LOCK)
        if found == self._held:
            return
        holder = "nobody" if found is None else self._parse(found).told
        raise LockError(
            f"output {self._output.path!r} was locked by this run, and now by {holder}: it was "
            f"taken over or {LOCK} was removed. Nothing of it was changed since; run again when "
            "no other run is writing it"
        )

    def release(self) -> None:
        """Give the lock back, if it is held."""
        with suppress(OutputError, OSError):
            if self._held is not None and self._output.read(LOCK) == self._held:
                self._output.filesystem.remove(self._output.join(LOCK))
        self._held = None
        if self._made_folder:
            # A run that is refused before it wrote anything leaves nothing.
            self._output.filesystem.remove_folder(self._output.path)

    def _refuse_unless_gone(self, found: bytes) -> None:
        holder = self._parse(found)
        if holder.is_gone:
            return
        remedy = (
            "wait until it has ended, or name another --output"
            if holder.is_here
            else unsure(self._output)
        )
        raise LockError(
            f"another run is writing output {self._output.path!r}: {holder.told}: {remedy}"
        )

    def _parse(self, found: bytes) -> Holder:
        path = self._output.join(LOCK)
        try:
            return from_json(found, Holder, path=path)
        except OutputError:
            raise LockError(
                f"{path} is damaged, so that it does not name the run that is writing the output: "
                "if there is none, remove it"
            ) from None


@contextmanager
def locked(output: OutputFolder) -> Iterator[Lock]:
    """Hold the lock of an output folder.

    A folder that cannot be written gives a lock whose ``check`` says so.

    Raises:
        LockError: another run holds it.
    """
    lock = Lock(output)
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def running(output: OutputFolder) -> Holder | None:
    """Who is writing an output, as far as this machine can tell; None: nobody.

    Raises:
        LockError: the lock's file is damaged.
    """
    holder = Lock(output).holder()
    return None if holder is None or holder.is_gone else holder


def check_is_not_begun(output: OutputFolder) -> None:
    """Tell of a run that has yet to write the manifest of an output.

    Raises:
        LockError: it is running, as far as this machine can tell, or its lock is damaged.
    """
    holder = running(output)
    if holder is None:
        return
    remedy = "it can be verified when that has ended" if holder.is_here else unsure(output)
    raise LockError(
        f"a run is writing output {output.path!r}, which has no manifest yet: {holder.told}: "
        f"{remedy}"
    )


def unsure(output: OutputFolder) -> str:
    """What to do about a lock whose process is on another machine, for messages."""
    return (
        "this machine cannot tell whether it is still running. Wait until it has ended, or, if you "
        f"know that it has, remove {output.join(LOCK)}"
    )
