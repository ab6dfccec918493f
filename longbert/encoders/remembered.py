"""What was found out about files and kernels, remembered from one command to the next.

Digests of weights and probes of kernels take part of a second each and come out the same every
time. Each answer is a small file of JSON in ``$XDG_CACHE_HOME/longbert`` (``~/.cache/longbert``),
named by all that the answer depends on, which it also holds. Any of them may be deleted at any
time; one that cannot be read counts as absent. ``LONGBERT_NO_CACHE=1`` neither reads nor writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

OFF = "LONGBERT_NO_CACHE"
SETTLED_NS = 2_000_000_000
"""A file changed later than this before may change again without its time showing it."""

Value = TypeVar("Value", bool, str)


def remembered(
    question: str, key: Mapping[str, Any] | None, find_out: Callable[[], Value]
) -> Value:
    """Look an answer up, or find it out and keep it.

    Args:
        question: what is asked.
        key: all that the answer depends on, as JSON; None asks without remembering.
        find_out: gives the answer; what it raises is raised.
    """
    if key is None or os.environ.get(OFF):
        return find_out()
    # As JSON has it, so that what is read back compares equal.
    asked = json.loads(json.dumps({"question": question, **key}, sort_keys=True))
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]
    file = cache_folder() / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_bytes())
        if kept["asked"] == asked:
            value: Value = kept["answer"]
            return value
    answer = find_out()
    with contextlib.suppress(OSError):
        _write(file, json.dumps({"asked": asked, "answer": answer}))
    return answer


def identities(files: Iterable[Path]) -> list[list[Any]] | None:
    """What changes when a file does: place, size, times and inode.

    The time of modification can be set back, as copying does; that of the last change of any kind
    (``ctime``) cannot, where the system keeps it.

    Returns:
        None where a file is not there, or was changed so lately that this may not show.
    """
    found: list[list[Any]] = []
    for file in files:
        try:
            about = file.stat()
        except OSError:
            return None
        times = (about.st_mtime_ns, about.st_ctime_ns)
        if time.time_ns() - max(times) < SETTLED_NS:
            return None
        found.append([str(file.resolve()), about.st_size, *times, about.st_ino])
    return found


def cache_folder() -> Path:
    """Where longbert keeps what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "longbert"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(name, file)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
