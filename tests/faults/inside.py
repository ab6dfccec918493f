"""What a process of the command has in place of models, and what is made wrong there on purpose."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any, BinaryIO

from fakes.encoder import fake_models, word_id

from faults import breaks
from faults.steps import Fault
from longbert.store.filesystem import LocalFileSystem

MEMORY = "MEMORY"
"""The word at which a document runs out of memory."""


def install(context: ModuleType, fault: Fault) -> None:
    """Let the engine's models be fake ones, which need no torch.

    Args:
        context: the module :mod:`longbert.engine.context`, before others import from it.
        fault: of this process.
    """
    watch = _run_out if fault.kind == "memory" else None
    if fault.kind == "unreadable":
        _fail_to_read("disk.txt")
    context.load_run_models = lambda run: fake_models(run.config.models, watch=watch)
    if fault.broken:
        breaks.BREAKS[fault.broken].make()


def _fail_to_read(name: str) -> None:
    """Let a file be read once, for the plan, and never again."""
    read = LocalFileSystem.open
    n_read = 0

    def reading(self: LocalFileSystem, path: str) -> BinaryIO:
        nonlocal n_read
        if path.endswith(f"/{name}"):
            n_read += 1
            if n_read > 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return read(self, path)

    LocalFileSystem.open = reading  # type: ignore[method-assign]


def _run_out(windows: Sequence[Any]) -> None:
    if any(word_id(MEMORY) in window.ids for window in windows):
        raise MemoryError
