"""Planning: list the files, find their documents, and work out what is left to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from longbert.config import RunConfig
from longbert.core.plan_counts import PlanCounts
from longbert.core.planning import (
    Block,
    blocks,
    file_groups,
)
from longbert.core.units import Part, Unit, place_of
from longbert.engine.context import RunContext
from longbert.engine.planner import EarlierPart, Planned, plan_pieces
from longbert.engine.prepare import Prepared
from longbert.engine.spool import Spool
from longbert.errors import InputError, OutputError, TooManyErrorsError, shown
from longbert.index.memory import check_least
from longbert.readers.document_files import UnusedEncodings
from longbert.readers.documents import scan
from longbert.readers.inputs import InputFiles
from longbert.readers.settings import ReadSettings
from longbert.records import InputFile
from longbert.store.folder import OutputFolder
from longbert.store.layout import MANIFEST
from longbert.store.parquet import read_table
from longbert.store.receipts import Receipt
from longbert.store.shards import read_shard

# Errors caused by the machine rather than the document.
_PASSING_ERRORS = {
    ("read", "unreadable"),
    ("read", "too_large"),
    ("encode", "MemoryError"),
    ("encode", "OutOfMemoryError"),
}


_MISSING_SHARE = 0.1
"""Of the earlier documents; where more are gone from the inputs, this is hardly meant."""

_MISSING_NAMED = 3

_NAMES_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What the last step needs to know about the plan.

    Attributes:
        counts: what it comes to.
        keeps_missing: whether documents that are gone from the inputs keep their rows.
        manifest_sha256: digest of the manifest that was planned upon; None without one.
    """

    counts: PlanCounts
    keeps_missing: bool
    manifest_sha256: str | None = None


def list_groups(context: RunContext) -> Iterator[tuple[InputFile, ...]]:
    """The files that the inputs name, except those of the output folder, in groups to be scanned.

    Raises:
        InputError: an input is missing, or holds no documents.
    """
    config = context.config
    files = InputFiles(context.filesystem, config.inputs, output=config.output)
    unused = UnusedEncodings(ReadSettings.of_run(config))
    yield from file_groups(unused.passing(files))
    context.meter.add({f"skipped {what}": n for what, n in files.skipped.items()})
    context.meter.add({f"unused encoding {glob}": 1 for glob in unused.globs})


def scan_group(context: RunContext, files: Sequence[InputFile]) -> Iterator[Block]:
    """The documents of a group of files, without their texts."""
    settings = ReadSettings.of_run(context.config)
    refs = (ref for file in files for ref in scan(context.filesystem, file, settings))
    return blocks(files[0].order, refs)


def plan(context: RunContext, groups: Spool[tuple[InputFile, ...]], prepared: Prepared) -> Planned:
    """Read the inputs and plan units, given what the output already holds.

    Where the output has lost something, it may still be what a first run over these inputs makes.
    Then it is planned as that, so that it becomes what it was: against the parts that are left, the
    documents of a lost part would go into a new one behind them.

    Args:
        context: the run.
        groups: of files of the inputs.
        prepared: the run's fingerprints.
    """
    n_lost = 0

    def earlier() -> Iterator[EarlierPart]:
        nonlocal n_lost
        for names in earlier_names(context, prepared):
            parts = [*earlier_parts(context, names)]
            n_lost += len(names) - len(parts)
            yield from parts

    def planned_upon(parts: Iterable[EarlierPart]) -> Planned:
        return plan_pieces(
            (block for files in groups for block in scan_group(context, files)),
            parts,
            lambda name: part_named(context, name),
            unit_bytes=context.config.unit_bytes,
            fingerprint=prepared.fingerprint,
            keep_missing=context.config.keep_missing,
        )

    planned = planned_upon(earlier())
    if not may_be_first(context, planned.counts, n_lost=n_lost):
        return planned
    first = planned_upon(())
    names = {*first.parts}
    is_first = all(names.issuperset(some) for some in earlier_names(context, prepared))
    return first if is_first else planned


def may_be_first(context: RunContext, counts: PlanCounts, *, n_lost: int) -> bool:
    """Whether an output that has lost something may be what a first run over these inputs makes.

    It is, if a first run over these inputs would make all parts that the output names.

    Args:
        context: the run.
        counts: of the plan against the parts that are left.
        n_lost: parts that the output names and are not complete.
    """
    is_torn = n_lost > 0 or context.output.manifest() is None
    return is_torn and not counts.removed and counts.earlier > 0


def needs_consent(context: RunContext, counts: PlanCounts) -> bool:
    """Whether so many documents are gone from the inputs that someone must say it is meant."""
    is_meant = context.config.prune or context.config.keep_missing
    return not is_meant and counts.missing > _MISSING_SHARE * counts.earlier


def check_missing(context: RunContext, counts: PlanCounts) -> None:
    """Refuse to drop many documents unless that was asked for.

    Raises:
        InputError: more than a tenth of the documents are gone, and no setting says what to do.
    """
    if not needs_consent(context, counts):
        return
    named = ", ".join(shown(one.name) for one in counts.first_missing[:_MISSING_NAMED])
    n_more = counts.missing - _MISSING_NAMED
    more = f" and {n_more:,} more" if n_more > 0 else ""
    raise InputError(
        f"{counts.missing:,} of the {counts.earlier:,} documents in output "
        f"{context.config.output!r} are gone from the inputs ({named}{more}), which is more than a "
        "tenth, and nothing was changed. Check that input names all of them and that every disk "
        "is there; or add --prune to drop their rows, or --keep-missing to keep them"
    )


def check_memory(counts: PlanCounts, prepared: Prepared) -> None:
    """Refuse an index that cannot fit its memory, however few passages the documents have.

    Raises:
        ConfigError: it cannot.
    """
    if prepared.index is not None and prepared.width is not None:
        check_least(prepared.index, counts.documents - counts.failing, prepared.width)


def is_done(context: RunContext, unit: Unit) -> bool:
    """Whether an interrupted run completed the unit's part."""
    receipt = receipt_of(context, unit)
    return receipt is not None and context.is_indexed(receipt)


def receipt_of(context: RunContext, unit: Unit) -> Receipt | None:
    """The receipt of a unit's part, if the part's tables are complete already."""
    receipt = context.output.whole_receipt(unit.part.name, context.tables)
    is_same = receipt is not None and receipt.fingerprint == unit.part.fingerprint
    return receipt if is_same else None


def check_errors(context: RunContext) -> None:
    """Stop a run in which too many documents fail, as far as its meter can tell.

    Raises:
        TooManyErrorsError: more than ``max_errors``.
    """
    if context.config.max_errors == RunConfig.max_errors:
        return
    totals = context.meter.totals()
    n_documents = int(totals.get("planned_documents", 0))
    _refuse_errors(context, int(totals.get("errors", 0)), n_documents)


def check_failing(context: RunContext, counts: PlanCounts) -> None:
    """As :func:`check_errors`, for the documents that planning has shown to fail.

    Raises:
        TooManyErrorsError: more than ``max_errors``.
    """
    _refuse_errors(context, counts.failing, counts.documents - counts.unchanged)


def _refuse_errors(context: RunContext, n_errors: int, n_documents: int) -> None:
    if n_errors > context.config.error_limit(n_documents):
        raise TooManyErrorsError(
            f"{n_errors:,} of the {n_documents:,} documents to do are in errors, and max_errors is "
            f"{context.config.max_errors}. What is done is kept, each error with its reason in "
            f"{context.output.join('errors')}: mend the inputs or raise --max-errors, then run "
            "again to go on"
        )


def summarize(context: RunContext, counts: PlanCounts) -> PlanSummary:
    """A plan as the last step gets it; its documents count as planned."""
    n_new = counts.documents - counts.unchanged
    context.meter.add({"planned_documents": n_new, "planned_bytes": counts.n_bytes})
    return PlanSummary(
        counts=counts,
        keeps_missing=context.config.keep_missing,
        manifest_sha256=manifest_digest(context),
    )


def manifest_digest(context: RunContext) -> str | None:
    """SHA-256 of the manifest's file; None if there is none."""
    data = context.output.read(MANIFEST)
    return None if data is None else hashlib.sha256(data).hexdigest()


def earlier_names(context: RunContext, prepared: Prepared) -> Iterator[tuple[str, ...]]:
    """Names of the parts of the output that is there, in order, a thousand or fewer at a time."""
    output = context.output
    manifest = output.manifest()
    if manifest is not None:
        for shard in manifest.shards:
            yield tuple(part.name for part in read_shard(output, shard))
        return
    made_with = _made_without_manifest(output, prepared)
    made = iter(sorted(output.complete_parts(), key=place_of) if made_with else ())
    while names := tuple(islice(made, _NAMES_TOGETHER)):
        receipts = ((name, output.receipt(name)) for name in names)
        yield tuple(
            name
            for name, receipt in receipts
            if receipt is not None and receipt.fingerprint in made_with
        )


def _made_without_manifest(output: OutputFolder, prepared: Prepared) -> frozenset[str]:
    """Fingerprints of the parts that are planned upon where there is no manifest."""
    claim = output.claim()
    claimed = prepared.fingerprint if claim is None else claim.rows.digest
    if output.has_shards():
        # It was removed: what runs have published stays, as if it were still named.
        return frozenset({claimed, prepared.fingerprint})
    if claimed == prepared.fingerprint:
        # A first run that was stopped is planned the same way again and finds its parts by name.
        return frozenset()
    # It was stopped in another environment, whose rows the user accepts.
    return frozenset({claimed})


def earlier_parts(context: RunContext, names: Iterable[str]) -> Iterator[EarlierPart]:
    """The complete ones of some parts of the output; one that lost a table is made again.

    A bad document stays bad until it changes, but a disk may recover, and the next run may have
    more memory, so that documents whose error came from the machine are tried again.
    """
    for name in names:
        receipt = context.output.whole_receipt(name, context.tables)
        if receipt is not None:
            again = frozenset(_to_retry(context, receipt))
            yield EarlierPart(receipt.planned, again, not context.is_indexed(receipt))


def part_named(context: RunContext, name: str) -> Part:
    """A part of the output that was found to be complete.

    Raises:
        OutputError: it is no longer.
    """
    receipt = context.output.receipt(name)
    if receipt is None:
        raise OutputError(f"part {name} has lost its receipt: run again")
    return receipt.planned


def _to_retry(context: RunContext, receipt: Receipt) -> set[str]:
    """Identities of failed documents of a part that may succeed this time.

    What planning finds is found anew by every run.
    """
    if not receipt.counts["errors"]:
        return set()
    rows = read_table(context.output, "errors", receipt.part).to_pylist()
    failed = {
        (row["source"], row["document_id"])
        for row in rows
        if (context.config.retry_errors and row["stage"] != "plan")
        or (row["stage"], row["error"]) in _PASSING_ERRORS
    }
    return {one.identity for one in receipt.documents if (one.source, one.document_id) in failed}
