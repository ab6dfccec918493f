"""What the units of a run come to, by receipts, so that what is done twice counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from longbert.core.units import Unit
from longbert.engine.context import RunContext
from longbert.engine.gather import receipts
from longbert.engine.plan import receipt_of


@dataclass(frozen=True, slots=True)
class DoneUnits:
    """What units came to; those of several add up.

    Attributes:
        n_resumed: units that an earlier run had done.
        n_documents_resumed: documents to encode whose rows an earlier run had made.
        encoded: sums over the receipts of parts that this run encoded, by name.
    """

    n_resumed: int = 0
    n_documents_resumed: int = 0
    encoded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """A unit as a run finds it.

    Attributes:
        left: makes what its part lacks; where that has its rows, it keeps them.
        is_done: whether the part lacks nothing.
        done: what an earlier run had done.
    """

    left: Unit
    is_done: bool
    done: DoneUnits


def find_unit(context: RunContext, unit: Unit) -> FoundUnit:
    """See what an interrupted run has left of a unit, before any is made.

    Later it could not be told from what this run has made already. What is done counts for
    progress.

    Args:
        context: the run.
        unit: as planned.
    """
    receipt = receipt_of(context, unit)
    if receipt is None:
        return FoundUnit(unit, is_done=False, done=DoneUnits())
    context.meter.add(
        {
            "bytes": unit.n_bytes,
            "documents": len(unit.refs),
            "errors": receipt.counts["errors"] if unit.refs else 0,
            "resumed_bytes": unit.n_bytes,
        }
    )
    is_done = context.is_indexed(receipt)
    left = Unit(unit.part, copy_from=(unit.part.name,))
    return FoundUnit(left, is_done, DoneUnits(int(is_done), len(unit.refs)))


def encoded_parts(context: RunContext, parts: Iterable[str]) -> DoneUnits:
    """What parts came to that this run has encoded.

    Raises:
        OutputError: one has no receipt.
    """
    encoded: Counter[str] = Counter()
    for receipt in receipts(context, parts):
        encoded.update(receipt.counts)
    return DoneUnits(encoded=dict(encoded))


def total_done(done: Iterable[DoneUnits]) -> DoneUnits:
    """The sum of some, in any order."""
    n_resumed = n_documents = 0
    encoded: Counter[str] = Counter()
    for one in done:
        n_resumed += one.n_resumed
        n_documents += one.n_documents_resumed
        encoded.update(one.encoded)
    return DoneUnits(n_resumed, n_documents, dict(encoded))
