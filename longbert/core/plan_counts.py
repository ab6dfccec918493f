"""What a plan comes to, added up from its pieces."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, fields

from longbert.core.planning import Gone, NewDocuments
from longbert.core.units import Unit

NAMED = 10
"""Documents that are gone from the inputs and are told by name."""


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """What a plan comes to; the counts of its pieces add up to it.

    Attributes:
        documents: in the inputs, errors included.
        unchanged: those whose rows are there already.
        removed: documents of the earlier output that are gone or have changed.
        earlier: documents of the earlier output.
        missing: documents of the earlier output that the inputs no longer have; among those removed
            if their rows do not stay.
        first_missing: some of them, the first in the order of the output.
        units: parts to make; of them ``copied`` from the rows of others, and ``reindexed`` from
            their own.
        failing: documents to encode that are known to fail.
        n_bytes: to encode.
    """

    documents: int = 0
    unchanged: int = 0
    removed: int = 0
    earlier: int = 0
    missing: int = 0
    first_missing: tuple[Gone, ...] = ()
    units: int = 0
    copied: int = 0
    reindexed: int = 0
    failing: int = 0
    n_bytes: int = 0

    @classmethod
    def of_unit(cls, unit: Unit) -> PlanCounts:
        """A unit."""
        return cls(
            units=1,
            copied=int(bool(unit.copy_from) and not unit.keeps_rows),
            reindexed=int(unit.keeps_rows),
            failing=sum(one.failed for one in unit.part.documents) if unit.refs else 0,
            n_bytes=unit.n_bytes,
        )

    @classmethod
    def of_block(cls, new: NewDocuments) -> PlanCounts:
        """A block."""
        return cls(documents=new.n_documents, unchanged=new.n_documents - len(new.refs))


def total(counts: Iterable[PlanCounts]) -> PlanCounts:
    """The sum of some counts, in any order."""
    sums = dict.fromkeys(_SUMMED, 0)
    named: list[Gone] = []
    for one in counts:
        for name in _SUMMED:
            sums[name] += getattr(one, name)
        if one.first_missing:
            named = [*first_of([*named, *one.first_missing])]

    return PlanCounts(**sums, first_missing=tuple(named))


def first_of(gone: Iterable[Gone]) -> tuple[Gone, ...]:
    """Those that are told by name, in order."""
    return tuple(heapq.nsmallest(NAMED, gone))


_SUMMED = tuple(one.name for one in fields(PlanCounts) if one.name != "first_missing")
