"""Planning: list the files, find their documents, and work out what is left to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from longbert.core.units import Part, Plan, plan_units
from longbert.engine.context import RunContext
from longbert.engine.prepare import Prepared
from longbert.readers.documents import scan
from longbert.readers.inputs import Listing, list_inputs
from longbert.readers.settings import ReadSettings
from longbert.records import DocumentRef, InputFile
from longbert.store.manifest import Receipt
from longbert.store.parquet import read_table

# Errors caused by the machine rather than the document.
_PASSING_ERRORS = {
    ("read", "unreadable"),
    ("read", "too_large"),
    ("encode", "MemoryError"),
    ("encode", "OutOfMemoryError"),
}


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What the last step needs to know about the plan."""

    parts: tuple[str, ...]
    n_documents: int
    n_unchanged: int
    n_removed: int
    n_units: int
    n_units_copied: int
    n_units_reindexed: int
    n_units_resumed: int = 0


def list_files(context: RunContext) -> Listing:
    """The files that the inputs name, except those of the output folder.

    Raises:
        InputError: an input is missing, or holds no documents.
    """
    config = context.config
    listing = list_inputs(context.filesystem, config.inputs, output=config.output)
    context.meter.add({f"skipped {what}": n for what, n in listing.skipped.items()})
    return listing


def scan_file(context: RunContext, file: InputFile) -> Iterator[DocumentRef]:
    """The documents of a file, without their texts."""
    return scan(context.filesystem, file, ReadSettings.of_run(context.config))


def plan(context: RunContext, refs: Iterable[DocumentRef], prepared: Prepared) -> Plan:
    """Plan units, given what the output already holds."""
    earlier = list(_earlier_parts(context, prepared))
    planned = plan_units(
        refs,
        unit_bytes=context.config.unit_bytes,
        fingerprint=prepared.fingerprint,
        earlier=[_with_retries(context, receipt) for receipt in earlier],
        outdated={receipt.part for receipt in earlier if not context.is_indexed(receipt)},
    )
    n_bytes = sum(unit.n_bytes for unit in planned.units)
    n_new = planned.n_documents - planned.n_unchanged
    context.meter.add({"planned_documents": n_new, "planned_bytes": n_bytes})
    return planned


def summarize(planned: Plan) -> PlanSummary:
    """A plan without its units, of which there may be many."""
    return PlanSummary(
        parts=planned.parts,
        n_documents=planned.n_documents,
        n_unchanged=planned.n_unchanged,
        n_removed=planned.n_removed,
        n_units=len(planned.units),
        n_units_copied=sum(bool(unit.copy_from) and not unit.keeps_rows for unit in planned.units),
        n_units_reindexed=sum(unit.keeps_rows for unit in planned.units),
    )


def _earlier_parts(context: RunContext, prepared: Prepared) -> Iterator[Receipt]:
    """Receipts of the parts whose tables are complete; one that has lost a table is made again."""
    for name in _earlier_names(context, prepared):
        receipt = context.output.whole_receipt(name, context.tables)
        if receipt is not None:
            yield receipt


def _with_retries(context: RunContext, receipt: Receipt) -> Part:
    """A part without the documents to retry.

    A bad document stays bad until it changes, but a disk may recover, and the next run may
    have more memory.
    """
    part = receipt.planned
    retried = _passing_errors(context, part.name) if receipt.counts["errors"] else set()
    documents = tuple(
        replace(one, identity="") if (one.source, one.document_id) in retried else one
        for one in part.documents
    )
    return replace(part, documents=documents)


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


def _passing_errors(context: RunContext, part: str) -> set[tuple[str, str | None]]:
    rows = read_table(context.output, "errors", part).to_pylist()
    return {
        (row["source"], row["document_id"])
        for row in rows
        if (row["stage"], row["error"]) in _PASSING_ERRORS
    }
