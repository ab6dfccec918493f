"""After all units: build the index, write the manifest that publishes them, and record the run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from longbert.config import flat_settings
from longbert.engine.context import RunContext
from longbert.engine.history import History, RunEntry, read_history
from longbert.engine.meter import timed
from longbert.engine.plan import PlanSummary
from longbert.engine.prepare import Prepared
from longbert.errors import OutputError
from longbert.index.build import build_index, index_files
from longbert.store.layout import MANIFEST, RUNS
from longbert.store.manifest import (
    FORMAT,
    Environment,
    IndexEntry,
    Manifest,
    PartEntry,
    Receipt,
)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Metadata of a run that does not affect its output.

    Attributes:
        runner: its name.
        workers: processes; None where the runner decides.
        began: seconds since the epoch.
    """

    runner: str
    workers: int | None = None
    began: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did.

    Attributes:
        manifest: of the output as it is now.
        entry: this run's entry in the history.
    """

    manifest: Manifest
    entry: RunEntry

    @property
    def found_all_done(self) -> bool:
        """Whether there was nothing to do."""
        return self.entry.units == 0 and self.entry.removed == 0 and not self.entry.indexed


def finish(
    context: RunContext, summary: PlanSummary, prepared: Prepared, info: RunInfo
) -> RunResult:
    """Index the committed parts, write the manifest, and add the run to the history.

    Raises:
        OutputError: a part has no receipt, or a file cannot be written.
    """
    before = context.output.manifest()
    manifest = publish(context, summary.parts, prepared, before)
    totals = context.meter.totals()
    entry = RunEntry(
        began=datetime.fromtimestamp(info.began, UTC).isoformat(timespec="seconds"),
        seconds=round(time.time() - info.began, 3),
        runner=info.runner,
        workers=info.workers,
        device=prepared.device,
        settings=flat_settings(context.config),
        documents=summary.n_documents,
        unchanged=summary.n_unchanged,
        removed=summary.n_removed,
        units=summary.n_units,
        units_copied=summary.n_units_copied,
        units_reindexed=summary.n_units_reindexed,
        units_resumed=summary.n_units_resumed,
        indexed=manifest.index is not None and (before is None or before.index != manifest.index),
        measured={name: round(totals[name], 3) for name in sorted(totals)},
    )
    context.output.write_record(RUNS, History(runs=(*read_history(context.output), entry)))
    return RunResult(manifest, entry)


def publish(
    context: RunContext, parts: Sequence[str], prepared: Prepared, before: Manifest | None
) -> Manifest:
    """Publish parts: write the index and the manifest, then remove what it does not list.

    Args:
        context: the run.
        parts: names, in order.
        prepared: the run's fingerprints and models.
        before: the manifest so far.

    Raises:
        OutputError: a part has no receipt, or a file cannot be written or removed.
    """
    output = context.output
    receipts = []
    for name in parts:
        receipt = output.receipt(name)
        if receipt is None:
            raise OutputError(f"part {name} has no receipt: run again to create it")
        receipts.append(receipt)
    index: IndexEntry | None = None
    if prepared.index is not None:
        index = _kept_index(context, before, parts, prepared)
        if index is None:
            with timed(context.meter, "indexing"):
                index = build_index(output, parts, prepared.index)
    manifest = _manifest(context, receipts, index, prepared, before)
    if manifest != before:
        output.write_record(MANIFEST, manifest)
    output.remove_unnamed(manifest.parts, [] if index is None else index_files(output, index))
    return manifest


def read_result(context: RunContext) -> RunResult:
    """What the last run left in the output folder."""
    return RunResult(context.output.finished(), read_history(context.output)[-1])


def _kept_index(
    context: RunContext, before: Manifest | None, parts: Sequence[str], prepared: Prepared
) -> IndexEntry | None:
    """The existing index, if it is complete and belongs to these parts and settings."""
    if before is None or before.index is None:
        return None
    if list(before.part_names) != list(parts) or before.index_settings != prepared.index:
        return None
    try:
        description = context.output.index_description(before.index)
    except OutputError:
        return None
    is_whole = all(
        context.output.holds(one.file, n_bytes=one.n_bytes)
        for one in (description.documents, description.passages)
    )
    return before.index if is_whole else None


def _manifest(
    context: RunContext,
    receipts: Sequence[Receipt],
    index: IndexEntry | None,
    prepared: Prepared,
    before: Manifest | None,
) -> Manifest:
    counts: Counter[str] = Counter()
    for receipt in receipts:
        counts.update(receipt.counts)
    return Manifest(
        format=FORMAT,
        fingerprint=prepared.fingerprint,
        rows=prepared.rows,
        environments=_environments(context, receipts, prepared, before),
        readers=dict(prepared.readers),
        index_settings=prepared.index,
        lexical_settings=prepared.lexical,
        written_with={"pyarrow": pa.__version__, "unit_bytes": str(context.config.unit_bytes)},
        models=prepared.models,
        counts=dict(counts),
        parts=tuple(
            PartEntry(
                name=receipt.part,
                fingerprint=receipt.fingerprint,
                lexical=receipt.lexical,
                counts=receipt.counts,
                files=receipt.files,
            )
            for receipt in receipts
        ),
        index=index,
    ).sealed()


def _environments(
    context: RunContext,
    receipts: Sequence[Receipt],
    prepared: Prepared,
    before: Manifest | None,
) -> dict[str, Environment]:
    """Where the rows of every part were made."""
    known = {prepared.fingerprint: prepared.rows.environment}
    if before is not None:
        known = before.environments | known
    else:
        claim = context.output.claim()
        if claim is not None:
            known = {claim.rows.digest: claim.rows.environment} | known
    used = {prepared.fingerprint, *(receipt.fingerprint for receipt in receipts)}
    return {digest: known[digest] for digest in sorted(used)}
