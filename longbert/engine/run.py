"""A run from inputs to manifest in this process, without Beam."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from longbert.engine.session import PlanSummary, Session
from longbert.errors import OutputError


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is told of a run, though it decides on nothing.

    Attributes:
        runner: its name.
        workers: processes; None where the runner decides.
        began: seconds since the epoch.
    """

    runner: str
    workers: int | None = None
    began: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    Attributes:
        manifest: of the output as it is now.
        entry: this run's entry in ``run.json``.
    """

    manifest: Mapping[str, Any]
    entry: Mapping[str, Any]

    @property
    def found_all_done(self) -> bool:
        """Whether there was nothing to do."""
        return bool(self.entry["units"] == 0 and self.entry["removed"] == 0)


def run_in_process(session: Session, info: RunInfo) -> Outcome:
    """Do all steps of a run one after the other.

    Raises:
        LongbertError: see the steps of :class:`longbert.engine.session.Session`.
    """
    # Before the models are loaded, and before anything is written.
    listing = session.list_files()
    run_fingerprint = session.prepare()
    refs = [ref for file in listing.files for ref in session.scan_file(file)]
    plan = session.plan(refs, run_fingerprint)
    n_resumed = sum(not session.make(unit, run_fingerprint) for unit in plan.units)
    finish_run(session, session.summarize(plan, n_resumed), info)
    return read_outcome(session)


def finish_run(session: Session, summary: PlanSummary, info: RunInfo) -> None:
    """Write index and manifest, then add the run to ``run.json``.

    ``run.json`` holds what does not decide on the output.
    """
    session.finish(summary)
    earlier = _earlier_runs(session)
    totals = session.meter.totals()
    entry = {
        "began": datetime.fromtimestamp(info.began, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - info.began, 3),
        "runner": info.runner,
        "workers": info.workers,
        "device": session.models.device,
        "inputs": list(session.config.inputs),
        "documents": summary.n_documents,
        "unchanged": summary.n_unchanged,
        "removed": summary.n_removed,
        "units": summary.n_units,
        "units_copied": summary.n_units_copied,
        "units_resumed": summary.n_units_resumed,
        "measured": {name: round(totals[name], 3) for name in sorted(totals)},
    }
    session.output.write_json("run.json", {"runs": [*earlier, entry]})


def _earlier_runs(session: Session) -> list[Any]:
    """The history so far; a damaged one is begun anew, since nothing depends on it."""
    try:
        history = session.output.read_json("run.json")
    except OutputError:
        return []
    runs = history.get("runs") if isinstance(history, dict) else None
    return runs if isinstance(runs, list) else []


def read_outcome(session: Session) -> Outcome:
    """What the last run left in the output folder."""
    manifest = session.output.manifest()
    history = session.output.read_json("run.json")
    assert manifest is not None
    return Outcome(manifest, history["runs"][-1])
