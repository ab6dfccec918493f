"""Planning on this machine: the steps of a plan, with rows grouped on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby, tee
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

from longbert.core.plan_counts import PlanCounts, first_of, total
from longbert.core.planning import (
    Block,
    Dropped,
    Found,
    Gone,
    Held,
    NewDocuments,
    Settled,
    begins_stretch,
    copy_of_part,
    found_in,
    gather_block,
    held_by,
    pack_stretch,
    settle,
)
from longbert.core.units import Part, Unit
from longbert.engine.spool import Spool
from longbert.store.sorting import ExternalSort

_ByName = tuple[bytes, bool, Found | Held]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class EarlierPart:
    """A part of the output that is there.

    Attributes:
        again: identities of its documents to encode although they are unchanged.
        is_outdated: whether it lacks what is derived from its rows.
    """

    part: Part
    again: frozenset[str] = frozenset()
    is_outdated: bool = False

    @property
    def held(self) -> HeldPart:
        """The part without its documents."""
        part = self.part
        return HeldPart(part.ordinal, part.name, len(part.documents), self.is_outdated)


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part of the output that is there, without its documents."""

    ordinal: int
    name: str
    n_documents: int
    is_outdated: bool


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What a plan leaves of a part of the output.

    Attributes:
        name: None if nothing is left.
        unit: makes it; None if it stays as it is.
    """

    name: str | None
    unit: Unit | None
    counts: PlanCounts


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, most of which is on disk.

    Attributes:
        parts: names of the parts of the output, in order.
        units: that make those not there yet, in the same order.
    """

    parts: Spool[str] = field(default_factory=Spool)
    units: Spool[Unit] = field(default_factory=Spool)
    counts: PlanCounts = field(default_factory=PlanCounts)


def with_units(parts: Iterable[str], units: Iterable[Unit]) -> Iterator[tuple[str, Unit | None]]:
    """Names of parts, each with the unit that makes it, if there is one.

    Args:
        parts: in order.
        units: in the same order.
    """
    left = iter(units)
    unit = next(left, None)
    for name in parts:
        if unit is not None and unit.part.name == name:
            yield name, unit
            unit = next(left, None)
        else:
            yield name, None


def plan_pieces(
    blocks: Iterable[Block],
    earlier: Iterable[EarlierPart],
    part_named: Callable[[str], Part],
    *,
    unit_bytes: int,
    fingerprint: str,
    keep_missing: bool = False,
) -> Planned:
    """Plan units, given what the output already holds.

    Against an earlier output only documents that it lacks are packed. A part that lost documents
    is made again from its own rows; a part that lost none stays as it is.

    Args:
        blocks: of the inputs, in order.
        earlier: parts of the output that is there, in order.
        part_named: gives one of these again.
        unit_bytes: a document larger than that is a unit alone.
        fingerprint: digest of the row fingerprint of the run; it enters the names of new parts.
        keep_missing: whether documents that the inputs no longer have keep their rows.
    """
    scanned: Spool[Block] = Spool()
    held: Spool[HeldPart] = Spool()
    with ExternalSort[Settled]() as of_blocks, ExternalSort[Dropped]() as of_parts:
        with ExternalSort[_ByName]() as by_name:
            for part in earlier:
                held.add(part.held)
                for key, row in held_by(part.part, part.again):
                    by_name.add((key, True, row))
            for block in blocks:
                scanned.add(block)
                for key, found in found_in(block):
                    by_name.add((key, False, found))
            counts = _settle_all(by_name, of_blocks, of_parts, keep_missing=keep_missing)
        plan = Planned()
        first = 0
        dropped = _Grouped(of_parts.rows(), key=itemgetter(0, 1))
        for one in held:
            kept = keep_part(one, dropped.of((one.ordinal, one.name)), part_named)
            counts = total((counts, kept.counts))
            if kept.name is not None:
                plan.parts.add(kept.name)
            if kept.unit is not None:
                plan.units.add(kept.unit)
            first = one.ordinal + 1
        settled = _Grouped(of_blocks.rows(), key=attrgetter("block"))
        gathered = (gather_block(block, settled.of(block.place)) for block in scanned)
        new = _pack_all(gathered, plan, first=first, unit_bytes=unit_bytes, fingerprint=fingerprint)
    scanned.close()
    held.close()
    return Planned(plan.parts, plan.units, total((counts, new)))


def _settle_all(
    by_name: ExternalSort[_ByName],
    of_blocks: ExternalSort[Settled],
    of_parts: ExternalSort[Dropped],
    *,
    keep_missing: bool,
) -> PlanCounts:
    """Decide about all names; the counts are those of documents that are gone."""
    n_missing = 0
    first_missing: tuple[Gone, ...] = ()
    for _, rows in groupby(by_name.rows(), key=itemgetter(0)):
        found: list[Found] = []
        held: list[Held] = []
        for _, _, row in rows:
            if isinstance(row, Found):
                found.append(row)
            else:
                held.append(row)
        if len(found) == 1 and not held:
            continue
        for one in settle(found, held, keep_missing=keep_missing):
            if isinstance(one, Settled):
                of_blocks.add(one)
            elif isinstance(one, Dropped):
                of_parts.add(one)
            else:
                n_missing += 1
                first_missing = first_of([*first_missing, one])
    return PlanCounts(missing=n_missing, first_missing=first_missing)


def keep_part(
    part: HeldPart, dropped: Iterable[Dropped], part_named: Callable[[str], Part]
) -> KeptPart:
    """What is left of a part of the output.

    Args:
        part: as it is.
        dropped: its documents whose rows do not stay.
        part_named: gives the part again.
    """
    positions = {one.position for one in dropped}
    counts = PlanCounts(earlier=part.n_documents, removed=len(positions))
    unit: Unit | None = None
    if positions:
        unit = copy_of_part(part_named(part.name), positions)
        if unit is None:
            return KeptPart(None, None, counts)
    elif part.is_outdated:
        unit = Unit(part_named(part.name), copy_from=(part.name,))
    if unit is None:
        return KeptPart(part.name, None, counts)
    return KeptPart(unit.part.name, unit, total((counts, PlanCounts.of_unit(unit))))


def _pack_all(
    gathered: Iterable[NewDocuments],
    plan: Planned,
    *,
    first: int,
    unit_bytes: int,
    fingerprint: str,
) -> PlanCounts:
    """Add units of new documents to a plan."""
    counts = PlanCounts()

    def new() -> Iterator[NewDocuments]:
        nonlocal counts
        for one in gathered:
            counts = total((counts, PlanCounts.of_block(one)))
            if one.refs:
                yield one

    blocks, sizes = tee(new())
    numbers = accumulate(begins_stretch((one.size for one in sizes), unit_bytes=unit_bytes))
    for _, stretch in groupby(zip(numbers, blocks, strict=False), key=itemgetter(0)):
        refs = (ref for _, one in stretch for ref in one.refs)
        for unit in pack_stretch(refs, unit_bytes=unit_bytes, fingerprint=fingerprint, first=first):
            first += 1
            plan.parts.add(unit.part.name)
            plan.units.add(unit)
            counts = total((counts, PlanCounts.of_unit(unit)))
    return counts


class _Grouped(Generic[Item]):
    """Rows in the order of a key, given out to those who come in the same order."""

    def __init__(self, rows: Iterator[Item], *, key: Callable[[Item], Any]) -> None:
        self._groups = groupby(rows, key=key)
        self._next = next(self._groups, None)

    def of(self, key: Any) -> list[Item]:
        """The rows of a key."""
        if self._next is None or self._next[0] != key:
            return []
        rows = [*self._next[1]]
        self._next = next(self._groups, None)
        return rows
