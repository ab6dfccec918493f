"""The history of runs, which tells of times and settings and determines nothing."""

from __future__ import annotations

import contextlib
from typing import Any

from longbert.errors import OutputError
from longbert.index.report import IndexReport
from longbert.store.folder import OutputFolder
from longbert.store.layout import RUNS
from longbert.store.record import Record, from_json


class RunEntry(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """An entry in the history of runs.

    Attributes:
        began: ISO 8601, UTC.
        settings: of the run, as :func:`longbert.config.run_config` takes them.
        documents: in the inputs, errors included.
        removed: documents of the earlier output that are gone or have changed.
        missing: those of them that are gone from the inputs.
        kept: documents that are gone from the inputs and whose rows were kept.
        units_reindexed: parts that kept their rows and got new words for search.
        indexed: whether the index of vectors was built or added to.
        written: records of the output that were not as they are now, the manifest among them.
        reindexed: why vectors that were in the index were indexed again; empty if they were not.
        fingerprint: digest of the row fingerprint.
        models: see :func:`longbert.engine.remembered.models_key`.
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
    missing: int = 0
    kept: int = 0
    units: int
    units_copied: int
    units_reindexed: int
    units_resumed: int
    indexed: bool
    written: tuple[str, ...] = ()
    reindexed: str = ""
    fingerprint: str = ""
    models: str | None = None
    measured: dict[str, float]


class History(Record, frozen=True, kw_only=True):
    """What does not determine an output.

    Attributes:
        runs: into it, oldest first.
        index: what building its index took, when that was last built from the beginning.
    """

    runs: tuple[RunEntry, ...] = ()
    index: IndexReport = IndexReport()


def read_history(output: OutputFolder) -> History:
    """The history so far; a damaged one starts over, since nothing depends on it."""
    with contextlib.suppress(OutputError):
        return recorded_history(output) or History()
    return History()


def recorded_history(output: OutputFolder) -> History | None:
    """The history so far, or None if there is none.

    Raises:
        OutputError: it is damaged.
    """
    data = output.read(RUNS)
    return None if data is None else from_json(data, History, path=output.join(RUNS))


def write_history(output: OutputFolder, history: History) -> None:
    """Replace the history."""
    output.write_record(RUNS, history)
