"""What a process of the command has in place of models, and what is made wrong there on purpose."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from fakes.encoder import fake_models, word_id

from faults import breaks
from faults.steps import Fault
from longbert.store.filesystem import LocalFileSystem

if TYPE_CHECKING:
    from longbert.core.units import Unit
    from longbert.engine.context import RunContext

MEMORY = "MEMORY"
"""The word at which a document runs out of memory."""

_BATCH_SECONDS = 0.02


def install_models(context: ModuleType, fault: Fault) -> None:
    """Let the engine's models be fake ones, which need no torch.

    Args:
        context: the module :mod:`longbert.engine.context`, before others import from it.
        fault: of this process.
    """
    watch = {"memory": _run_out, "slow": _take_time}.get(fault.kind)
    if fault.kind == "unreadable":
        _fail_to_read("disk.txt")
    context.load_run_models = lambda run: fake_models(run.config.models, watch=watch)
    if fault.broken:
        breaks.BREAKS[fault.broken].make()


def install_notes(unit: ModuleType, fault: Fault) -> None:
    """Note the units that are begun.

    Args:
        unit: the module :mod:`longbert.engine.unit`.
        fault: of this process.
    """

    def noting(make: Callable[..., None]) -> Callable[..., None]:
        def making(context: RunContext, unit: Unit, *others: Any) -> None:
            fault.begin(unit.part.name)
            make(context, unit, *others)

        return making

    process, encode_unit = unit.process_unit, unit.encode_unit

    def processing(*work: Any, encode: Callable[..., None] = encode_unit) -> bool:
        was_due: bool = process(*work, encode=noting(encode))
        return was_due

    unit.copy_unit = noting(unit.copy_unit)  # type: ignore[attr-defined]
    unit.process_unit = processing  # type: ignore[attr-defined]


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


def _take_time(windows: Sequence[Any]) -> None:
    time.sleep(_BATCH_SECONDS)


def _run_out(windows: Sequence[Any]) -> None:
    if any(word_id(MEMORY) in window.ids for window in windows):
        raise MemoryError
