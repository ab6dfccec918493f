"""What a run would do, worked out without doing it."""

from __future__ import annotations

from longbert.core.plan_counts import PlanCounts
from longbert.core.units import Unit
from longbert.engine.context import RunContext
from longbert.engine.finish import kept_index
from longbert.engine.plan import check_failing, check_memory, check_missing, is_done, needs_consent
from longbert.engine.planner import Planned, with_units
from longbert.engine.prepare import Prepared
from longbert.engine.run import RunModels, plan_run, refuse_file
from longbert.errors import LongbertError
from longbert.store.lock import Lock
from longbert.store.record import Record


class Work(Record, frozen=True, kw_only=True):
    """Documents to encode, or whose rows are to be copied.

    Attributes:
        n_bytes: of inputs to encode, or of files to copy from.
    """

    documents: int
    units: int
    n_bytes: int


class Forecast(Record, frozen=True, kw_only=True):
    """What a run would do.

    Attributes:
        documents: in the inputs.
        unchanged: documents whose rows are there already.
        resumed: documents that an interrupted run has done.
        encode: documents to encode.
        copy: documents of parts that others leave.
        reindexed_parts: parts that keep their rows and get new words for search.
        dropped: documents of the output that are gone from the inputs or have changed.
        missing: documents of the output that are gone from the inputs.
        missing_ids: some of them.
        keeps_missing: whether they keep their rows.
        asks: whether the run would stop and ask for ``--prune`` or ``--keep-missing``.
        builds_index: whether the index would be built.
        errors: documents that would be in the table ``errors``, as far as that is known before
            any is encoded.
        refused: why the run would be refused or stopped; empty if nothing speaks against it.
        status: exit status that the run would have, as far as that is known.
    """

    documents: int
    unchanged: int
    resumed: int
    encode: Work
    copy: Work
    reindexed_parts: int
    dropped: int
    missing: int
    missing_ids: tuple[str, ...]
    keeps_missing: bool
    asks: bool
    builds_index: bool
    errors: int
    refused: str
    status: int


def forecast_run(context: RunContext) -> Forecast:
    """Plan a run and change nothing.

    Raises:
        LongbertError: the run would be refused before it has a plan.
    """
    refuse_file(context)
    planned, prepared, _ = plan_run(context, RunModels(context))
    counts = planned.counts
    index = kept_index(context, context.output.manifest(), planned.parts, prepared)
    builds_index = prepared.index is not None and index is None
    writes = bool(len(planned.units) or counts.removed or builds_index)
    refusal = _refusal(context, counts, prepared, writes=writes)
    n_errors = _n_errors(context, planned)
    n_planned = n_left = n_reindexed = 0
    encode, copy = _NO_WORK, _NO_WORK
    for unit in planned.units:
        n_planned += len(unit.part.documents)
        if is_done(context, unit):
            continue
        n_left += len(unit.part.documents)
        if not unit.copy_from:
            encode = _more(encode, unit, unit.n_bytes)
        elif unit.keeps_rows:
            n_reindexed += 1
        else:
            copy = _more(copy, unit, _bytes_to_copy(context, unit))
    return Forecast(
        documents=counts.documents,
        unchanged=counts.unchanged,
        resumed=n_planned - n_left,
        encode=encode,
        copy=copy,
        reindexed_parts=n_reindexed,
        dropped=counts.removed,
        missing=counts.missing,
        missing_ids=tuple(one.name for one in counts.first_missing),
        keeps_missing=context.config.keep_missing,
        asks=needs_consent(context, counts),
        builds_index=builds_index,
        errors=n_errors,
        refused="" if refusal is None else str(refusal),
        status=(3 if n_errors else 0) if refusal is None else refusal.exit_status,
    )


def _refusal(
    context: RunContext, counts: PlanCounts, prepared: Prepared, *, writes: bool
) -> LongbertError | None:
    """With what the run would end although it could be planned."""
    try:
        Lock(context.output).check_is_free()
        check_missing(context, counts)
        check_memory(counts, prepared)
        if writes:
            context.output.check_writable()
        check_failing(context, counts)
    except LongbertError as error:
        return error
    return None


def _n_errors(context: RunContext, planned: Planned) -> int:
    """Errors in the parts that are there, and documents that planning has shown to fail."""
    n_errors = 0
    for name, unit in with_units(planned.parts, planned.units):
        receipt = context.output.receipt(name)
        if receipt is not None:
            n_errors += receipt.counts["errors"]
        elif unit is not None:
            n_errors += sum(one.failed for one in unit.part.documents)
    return n_errors


_NO_WORK = Work(documents=0, units=0, n_bytes=0)


def _more(work: Work, unit: Unit, n_bytes: int) -> Work:
    return Work(
        documents=work.documents + len(unit.part.documents),
        units=work.units + 1,
        n_bytes=work.n_bytes + n_bytes,
    )


def _bytes_to_copy(context: RunContext, unit: Unit) -> int:
    """Bytes of the parts that a unit takes its rows from."""
    receipts = map(context.output.receipt, unit.copy_from)
    found = (receipt.files.values() for receipt in receipts if receipt is not None)
    return sum(entry.n_bytes for files in found for entry in files)
