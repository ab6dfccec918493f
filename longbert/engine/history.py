"""The history of runs, which tells of times and settings and determines nothing."""

from __future__ import annotations

import contextlib
from typing import Any

from longbert.errors import OutputError
from longbert.store.folder import OutputFolder
from longbert.store.layout import RUNS
from longbert.store.manifest import Record, from_json


class RunEntry(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """An entry in the history of runs.

    Attributes:
        began: ISO 8601, UTC.
        settings: of the run, as :func:`longbert.config.run_config` takes them.
        documents: in the inputs, errors included.
        units_reindexed: parts that kept their rows and got new words for search.
        indexed: whether the index of vectors was built.
        measured: totals of the meter.
    """

    began: str
    seconds: float
    runner: str
    workers: int | None
    device: str
    settings: dict[str, Any]
    documents: int
    unchanged: int
    removed: int
    units: int
    units_copied: int
    units_reindexed: int
    units_resumed: int
    indexed: bool
    measured: dict[str, float]


class History(Record, frozen=True, kw_only=True):
    """The runs into an output, oldest first."""

    runs: tuple[RunEntry, ...]


def read_history(output: OutputFolder) -> tuple[RunEntry, ...]:
    """The runs so far; a damaged history starts over, since nothing depends on it."""
    with contextlib.suppress(OutputError):
        data = output.read(RUNS)
        if data is not None:
            return from_json(data, History, path=output.join(RUNS)).runs
    return ()
