"""Planning: list the files, find their documents, and work out what is left to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from longbert.config import RunConfig
from longbert.core.units import Plan, Unit, plan_units
from longbert.engine.context import RunContext
from longbert.engine.prepare import Prepared
from longbert.errors import InputError, TooManyErrorsError, shown
from longbert.readers.document_files import unused_encodings
from longbert.readers.documents import scan
from longbert.readers.inputs import Listing, list_inputs
from longbert.readers.settings import ReadSettings
from longbert.records import DocumentRef, InputFile
from longbert.store.layout import MANIFEST
from longbert.store.manifest import Receipt
from longbert.store.parquet import read_table

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


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What the last step needs to know about the plan.

    Attributes:
        n_missing, keeps_missing: earlier documents that the inputs no longer have, and whether
            their rows stay.
        manifest_sha256: digest of the manifest that was planned upon; None without one.
    """

    parts: tuple[str, ...]
    n_documents: int
    n_unchanged: int
    n_removed: int
    n_missing: int
    keeps_missing: bool
    n_units: int
    n_units_copied: int
    n_units_reindexed: int
    n_units_resumed: int = 0
    manifest_sha256: str | None = None


def list_files(context: RunContext) -> Listing:
    """The files that the inputs name, except those of the output folder.

    Raises:
        InputError: an input is missing, or holds no documents.
    """
    config = context.config
    listing = list_inputs(context.filesystem, config.inputs, output=config.output)
    context.meter.add({f"skipped {what}": n for what, n in listing.skipped.items()})
    unused = unused_encodings(listing.files, ReadSettings.of_run(config))
    context.meter.add({f"unused encoding {glob}": 1 for glob in unused})
    return listing


def scan_file(context: RunContext, file: InputFile) -> Iterator[DocumentRef]:
    """The documents of a file, without their texts."""
    return scan(context.filesystem, file, ReadSettings.of_run(context.config))


def plan(context: RunContext, refs: Iterable[DocumentRef], prepared: Prepared) -> Plan:
    """Plan units, given what the output already holds.

    A bad document stays bad until it changes, but a disk may recover, and the next run may have
    more memory, so that documents whose error came from the machine are tried again.
    """
    config = context.config
    earlier = list(earlier_parts(context, prepared))
    planned = plan_units(
        refs,
        unit_bytes=config.unit_bytes,
        fingerprint=prepared.fingerprint,
        earlier=[receipt.planned for receipt in earlier],
        again={one for receipt in earlier for one in _to_retry(context, receipt)},
        keep_missing=config.keep_missing,
        outdated={receipt.part for receipt in earlier if not context.is_indexed(receipt)},
    )
    n_bytes = sum(unit.n_bytes for unit in planned.units)
    n_new = planned.n_documents - planned.n_unchanged
    context.meter.add({"planned_documents": n_new, "planned_bytes": n_bytes})
    return planned


def needs_consent(context: RunContext, planned: Plan) -> bool:
    """Whether so many documents are gone from the inputs that someone must say it is meant."""
    is_meant = context.config.prune or planned.keeps_missing
    return not is_meant and len(planned.missing) > _MISSING_SHARE * planned.n_earlier


def check_missing(context: RunContext, planned: Plan) -> None:
    """Refuse to drop many documents unless that was asked for.

    Raises:
        InputError: more than a tenth of the documents are gone, and no setting says what to do.
    """
    if not needs_consent(context, planned):
        return
    n_missing = len(planned.missing)
    named = ", ".join(map(shown, planned.missing[:_MISSING_NAMED]))
    more = f" and {n_missing - _MISSING_NAMED:,} more" if n_missing > _MISSING_NAMED else ""
    raise InputError(
        f"{n_missing:,} of the {planned.n_earlier:,} documents in output "
        f"{context.config.output!r} are gone from the inputs ({named}{more}), which is more than a "
        "tenth, and nothing was changed. Check that input names all of them and that every disk "
        "is there; or add --prune to drop their rows, or --keep-missing to keep them"
    )


def is_done(context: RunContext, unit: Unit) -> bool:
    """Whether an interrupted run completed the unit's part."""
    receipt = _receipt_of(context, unit)
    return receipt is not None and context.is_indexed(receipt)


def is_resumed(context: RunContext, unit: Unit) -> bool:
    """As :func:`is_done`; counts the unit's documents as done by this run."""
    return is_done(context, unit) and finished_rows(context, unit) is not None


def finished_rows(context: RunContext, unit: Unit) -> Receipt | None:
    """The receipt of a unit's part, if the part's tables are complete already."""
    receipt = _receipt_of(context, unit)
    if receipt is not None:
        context.meter.add(
            {
                "bytes": unit.n_bytes,
                "documents": len(unit.refs),
                "errors": receipt.counts["errors"] if unit.refs else 0,
                "resumed_documents": len(unit.refs),
                "resumed_bytes": unit.n_bytes,
            }
        )
    return receipt


def _receipt_of(context: RunContext, unit: Unit) -> Receipt | None:
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


def check_failing(context: RunContext, planned: Plan) -> None:
    """As :func:`check_errors`, for the documents that planning has shown to fail.

    Raises:
        TooManyErrorsError: more than ``max_errors``.
    """
    encoded = [one for unit in planned.units if unit.refs for one in unit.part.documents]
    n_failing = sum(one.failed for one in encoded)
    _refuse_errors(context, n_failing, planned.n_documents - planned.n_unchanged)


def _refuse_errors(context: RunContext, n_errors: int, n_documents: int) -> None:
    if n_errors > context.config.error_limit(n_documents):
        raise TooManyErrorsError(
            f"{n_errors:,} of the {n_documents:,} documents to do are in errors, and max_errors is "
            f"{context.config.max_errors}. What is done is kept, each error with its reason in "
            f"{context.output.join('errors')}: mend the inputs or raise --max-errors, then run "
            "again to go on"
        )


def summarize(context: RunContext, planned: Plan) -> PlanSummary:
    """A plan without its units, of which there may be many."""
    return PlanSummary(
        parts=planned.parts,
        n_documents=planned.n_documents,
        n_unchanged=planned.n_unchanged,
        n_removed=planned.n_removed,
        n_missing=len(planned.missing),
        keeps_missing=planned.keeps_missing,
        n_units=len(planned.units),
        n_units_copied=sum(bool(unit.copy_from) and not unit.keeps_rows for unit in planned.units),
        n_units_reindexed=sum(unit.keeps_rows for unit in planned.units),
        manifest_sha256=manifest_digest(context),
    )


def manifest_digest(context: RunContext) -> str | None:
    """SHA-256 of the manifest's file; None if there is none."""
    data = context.output.read(MANIFEST)
    return None if data is None else hashlib.sha256(data).hexdigest()


def earlier_parts(context: RunContext, prepared: Prepared) -> Iterator[Receipt]:
    """Receipts of the complete parts of the output; one that lost a table is made again."""
    for name in _earlier_names(context, prepared):
        receipt = context.output.whole_receipt(name, context.tables)
        if receipt is not None:
            yield receipt


def _earlier_names(context: RunContext, prepared: Prepared) -> list[str]:
    manifest = context.output.manifest()
    if manifest is not None:
        return list(manifest.part_names)
    claim = context.output.claim()
    if claim is None or claim.rows == prepared.rows:
        # A first run that was stopped is planned the same way again and finds its parts by name.
        return []
    # It was stopped in another environment, whose rows the user accepts.
    made = ((name, context.output.receipt(name)) for name in context.output.complete_parts())
    return [
        name
        for name, receipt in made
        if receipt is not None and receipt.fingerprint == claim.rows.digest
    ]


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
