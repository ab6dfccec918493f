"""What a process of the command has in place of models, and what is made wrong there on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

from fakes.encoder import fake_models

from faults import breaks
from faults.steps import Fault

MEMORY = "MEMORY"
"""The word at which a document runs out of memory."""


def install(context: ModuleType, fault: Fault) -> None:
    """Let the engine's models be fake ones, which need no torch.

    Args:
        context: the module :mod:`longbert.engine.context`, before others import from it.
        fault: of this process.
    """
    watch = partial(_run_out, fault) if fault.kind == "memory" else None
    context.load_run_models = lambda run: fake_models(run.config.models, watch=watch)
    if fault.broken:
        breaks.BREAKS[fault.broken]()


def _run_out(fault: Fault, windows: Sequence[Any]) -> None:
    from fakes.encoder import word_id

    if any(word_id(MEMORY) in window.ids for window in windows):
        raise MemoryError
