"""The history of runs, which tells of times and settings and determines nothing."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from longbert.errors import OutputError
from longbert.index.report import IndexReport
from longbert.store.folder import OutputFolder
from longbert.store.layout import RUNS
from longbert.store.record import Record, from_json, to_json


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
        units_resumed: units that an interrupted run had done.
        documents_resumed: documents to encode that an interrupted run had done.
        encoded: sums over the receipts of the parts that the run encoded: rows of each table, and
            what their documents add up to.
        indexed: whether the index of vectors was built or added to.
        written: records of the output that were not as they are now, the manifest among them.
        reindexed: why vectors that were in the index were indexed again; empty if they were not.
        fingerprint: digest of the row fingerprint.
        models: see :func:`longbert.engine.remembered.models_key`.
        measured: times, and what was met while working; see :mod:`longbert.engine.meter`.
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
    documents_resumed: int = 0
    encoded: dict[str, int] = msgspec.field(default_factory=dict)
    indexed: bool
    written: tuple[str, ...] = ()
    reindexed: str = ""
    fingerprint: str = ""
    models: str | None = None
    measured: dict[str, float]

    def done_again(self, again: RunEntry) -> RunEntry:
        """This entry, where the last step of the run was done again and wrote other things."""
        return msgspec.structs.replace(
            self,
            indexed=self.indexed or again.indexed,
            written=tuple(dict.fromkeys((*self.written, *again.written))),
            reindexed=self.reindexed or again.reindexed,
        )


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


def record_run(output: OutputFolder, entry: RunEntry, report: IndexReport) -> None:
    """Add a run to the history.

    A runner may do the last step of a run again, or twice at once: then there is one entry all the
    same, known by when the run began.

    Args:
        output: the folder.
        entry: of the run.
        report: of building its index.

    Raises:
        OutputError: it cannot be written.
    """
    while True:
        try:
            before = output.read(RUNS)
        except OutputError:
            write_history(output, History(runs=(entry,), index=report))
            return
        history = read_history(output)
        runs = history.runs
        if runs and (runs[-1].began, runs[-1].runner) == (entry.began, entry.runner):
            runs, entry = runs[:-1], runs[-1].done_again(entry)
        content = History(runs=(*runs, entry), index=report.after(history.index))
        if output.write_if(RUNS, to_json(content), expected=before):
            return


def write_history(output: OutputFolder, history: History) -> None:
    """Replace the history."""
    output.write_record(RUNS, history)
