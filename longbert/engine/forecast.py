"""What a run would do, worked out without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from longbert.core.units import Plan, Unit
from longbert.engine.context import RunContext
from longbert.engine.finish import kept_index
from longbert.engine.plan import check_failing, check_missing, is_done, needs_consent
from longbert.engine.run import RunModels, plan_run, refuse_file
from longbert.errors import LongbertError
from longbert.store.lock import Lock
from longbert.store.manifest import Record

_NAMED = 10


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
    refusal = _refusal(context, planned)
    n_errors = _n_errors(context, planned)
    left = [unit for unit in planned.units if not is_done(context, unit)]
    encode = [unit for unit in left if not unit.copy_from]
    copy = [unit for unit in left if unit.copy_from and not unit.keeps_rows]
    index = kept_index(context, context.output.manifest(), planned.parts, prepared)
    return Forecast(
        documents=planned.n_documents,
        unchanged=planned.n_unchanged,
        resumed=_n_documents(planned.units) - _n_documents(left),
        encode=_work(encode, n_bytes=sum(unit.n_bytes for unit in encode)),
        copy=_work(copy, n_bytes=sum(_bytes_to_copy(context, unit) for unit in copy)),
        reindexed_parts=sum(unit.keeps_rows for unit in left),
        dropped=planned.n_removed,
        missing=len(planned.missing),
        missing_ids=planned.missing[:_NAMED],
        keeps_missing=planned.keeps_missing,
        asks=needs_consent(context, planned),
        builds_index=prepared.index is not None and index is None,
        errors=n_errors,
        refused="" if refusal is None else str(refusal),
        status=(3 if n_errors else 0) if refusal is None else refusal.exit_status,
    )


def _refusal(context: RunContext, planned: Plan) -> LongbertError | None:
    """With what the run would end although it could be planned."""
    try:
        Lock(context.output).check_is_free()
        check_missing(context, planned)
        check_failing(context, planned)
    except LongbertError as error:
        return error
    return None


def _n_errors(context: RunContext, planned: Plan) -> int:
    """Errors in the parts that are there, and documents that planning has shown to fail."""
    failing = {
        unit.part.name: sum(one.failed for one in unit.part.documents) for unit in planned.units
    }
    n_errors = 0
    for name in planned.parts:
        receipt = context.output.receipt(name)
        n_errors += failing.get(name, 0) if receipt is None else receipt.counts["errors"]
    return n_errors


def _work(units: Sequence[Unit], *, n_bytes: int) -> Work:
    return Work(documents=_n_documents(units), units=len(units), n_bytes=n_bytes)


def _n_documents(units: Sequence[Unit]) -> int:
    return sum(len(unit.part.documents) for unit in units)


def _bytes_to_copy(context: RunContext, unit: Unit) -> int:
    """Bytes of the parts that a unit takes its rows from."""
    receipts = map(context.output.receipt, unit.copy_from)
    found = (receipt.files.values() for receipt in receipts if receipt is not None)
    return sum(entry.n_bytes for files in found for entry in files)
