"""Which process wrote something, whether it is still there, and how it ends at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

_helpers: list[Callable[[], Iterable[int]]] = []


def host_name() -> str:
    """Of this machine."""
    return socket.gethostname()


def process_space() -> str:
    """What process numbers of this host refer to, other than the time since it was started.

    Containers have numbers of their own, so a number says nothing in another container.
    """
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def process_start(pid: int) -> str | None:
    """When a process of this machine was started, to tell it from others of its number.

    On Linux this counts from the start of the machine, which has an id of its own: a clock that
    is set changes nothing.

    Returns:
        None if there is no such process, or it has ended and nobody has asked for its status.
    """
    if not Path("/proc/self/stat").exists():
        return start_from_ps(pid)
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    fields = content.rpartition(b")")[2].split()
    state, ticks = fields[0], fields[19]
    return None if state in (b"Z", b"X") else f"{boot} {ticks.decode()}"


def start_from_ps(pid: int) -> str | None:
    """As :func:`process_start`, where there is no ``/proc``."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return found.stdout.strip() or None


@contextmanager
def with_helpers(pids: Callable[[], Iterable[int]]) -> Iterator[None]:
    """Have :func:`end_at_once` end other processes as well during the block.

    Args:
        pids: gives their numbers.
    """
    _helpers.append(pids)
    try:
        yield
    finally:
        _helpers.remove(pids)


def end_at_once(status: int) -> NoReturn:
    """End this process and its helpers without any more ado.

    Args:
        status: exit status.
    """
    for pids in _helpers:
        kill_all(pids())
    os._exit(status)


def kill_all(pids: Iterable[int]) -> None:
    """End processes, those that have ended already aside."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
