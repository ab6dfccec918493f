"""The part of the graph that makes a plan of documents: nothing in it sees all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton

from longbert.beam.job import Job
from longbert.core.plan_counts import PlanCounts, total
from longbert.core.planning import (
    Block,
    BlockPlace,
    Dropped,
    Found,
    Gone,
    Held,
    NewDocuments,
    Settled,
    Size,
    begins_stretch,
    found_in,
    gather_block,
    held_by,
    pack_stretch,
    settle,
)
from longbert.core.units import Unit, numbered
from longbert.engine.plan import part_named
from longbert.engine.planner import EarlierPart, HeldPart, KeptPart, keep_part
from longbert.engine.prepare import Prepared


class Settle(beam.DoFn):  # type: ignore[misc]
    """All that goes by one name to what becomes of it."""

    def __init__(self, job: Job) -> None:
        self._keep_missing = job.context.config.keep_missing

    def process(
        self, element: tuple[bytes, Iterable[Found | Held]]
    ) -> Iterator[Settled | Dropped | Gone]:
        """Yield what becomes of each, new documents aside."""
        rows = [*element[1]]
        return settle(
            [row for row in rows if isinstance(row, Found)],
            [row for row in rows if isinstance(row, Held)],
            keep_missing=self._keep_missing,
        )


class KeepParts(beam.DoFn):  # type: ignore[misc]
    """A part and its documents that do not stay to what is left of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, element: tuple[str, Mapping[str, Iterable[Any]]]) -> Iterator[KeptPart]:
        """Yield what is left."""
        _, joined = element
        with self._job.reporting():
            for part in joined["part"]:
                yield keep_part(
                    part, joined["dropped"], lambda name: part_named(self._job.context, name)
                )


class PackStretch(beam.DoFn):  # type: ignore[misc]
    """The blocks of a stretch to its units, counted from 0."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(
        self, element: tuple[int, Iterable[NewDocuments]], prepared: Prepared
    ) -> Iterator[tuple[int, Unit]]:
        """Yield the units in order."""
        stretch, blocks = element
        refs = (ref for block in sorted(blocks, key=_place) for ref in block.refs)
        units = pack_stretch(
            refs,
            unit_bytes=self._job.context.config.unit_bytes,
            fingerprint=prepared.fingerprint,
        )
        return ((stretch, unit) for unit in units)


class CutStretches(beam.DoFn):  # type: ignore[misc]
    """None and the sizes of all blocks to the places where stretches begin."""

    def __init__(self, job: Job) -> None:
        self._unit_bytes = job.context.config.unit_bytes

    def process(self, _: None, sizes: Iterable[Size]) -> Iterator[list[BlockPlace]]:
        """Yield the one list."""
        ordered = sorted(sizes)
        begins = begins_stretch(ordered, unit_bytes=self._unit_bytes)
        yield [size.place for size, does in zip(ordered, begins, strict=True) if does]


class PlannedUnits(NamedTuple):
    """A plan as a graph has it.

    Attributes:
        units: that make the parts that are not there yet.
        kept: names of the parts that stay as they are.
        counts: the one :class:`longbert.core.plan_counts.PlanCounts` of the plan.
    """

    units: beam.PCollection
    kept: beam.PCollection
    counts: beam.PCollection


class _Plan(beam.PTransform):  # type: ignore[misc]
    """Steps of planning; see :func:`longbert.engine.planner.plan_pieces`.

    Args:
        start: a single None.
        job: what the steps get.
        prepared: what earlier steps learnt of the models.
    """

    def __init__(self, start: beam.PCollection, job: Job, prepared: AsSingleton) -> None:
        super().__init__()
        self._start = start
        self._job = job
        self._prepared = prepared

    def _settle(self, rows: beam.PCollection) -> beam.PCollection:
        """What becomes of documents, from rows of all, by name."""
        return rows | "Group names" >> beam.GroupByKey() | "Settle" >> beam.ParDo(Settle(self._job))

    def _pack(
        self, blocks: beam.PCollection, settled: beam.PCollection, last: AsSingleton | int
    ) -> tuple[beam.PCollection, tuple[beam.PCollection, ...]]:
        """Units of the documents to encode, each with its place among all parts; and counts.

        Args:
            blocks: of all documents.
            settled: what becomes of them.
            last: the place of the last part that is there; -1 if none is.
        """
        gathered = (
            {
                "block": blocks | "Blocks" >> beam.Map(_by_place),
                "settled": settled | "Settled" >> beam.FlatMap(_settled),
            }
            | "Join blocks" >> beam.CoGroupByKey()
            | "Gather blocks" >> beam.FlatMap(_gather)
        )
        to_encode = gathered | "With new ones" >> beam.Filter(_has_new)
        sizes = to_encode | "Sizes" >> beam.Map(_size)
        starts = self._start | "Cut stretches" >> beam.ParDo(CutStretches(self._job), AsIter(sizes))
        packed = (
            to_encode
            | "Find stretch" >> beam.Map(_in_stretch, AsSingleton(starts))
            | "Group stretches" >> beam.GroupByKey()
            | "Pack stretches" >> beam.ParDo(PackStretch(self._job), self._prepared)
        )
        sizes_of_stretches = packed | "Count stretches" >> beam.combiners.Count.PerKey()
        firsts = self._start | "Number stretches" >> beam.Map(
            _firsts, AsIter(sizes_of_stretches), last
        )
        units = packed | "Number units" >> beam.Map(_numbered, AsSingleton(firsts))
        counts = (
            gathered | "Count blocks" >> beam.Map(_count_block),
            units | "Count units" >> beam.Map(_count_unit),
        )
        return units, counts


class PlanUnits(_Plan):
    """Blocks of the inputs and parts of the output that is there to :class:`PlannedUnits`."""

    def expand(self, given: tuple[beam.PCollection, beam.PCollection]) -> PlannedUnits:
        """Wire the steps."""
        blocks, parts = given
        rows = (
            blocks | "Show documents" >> beam.FlatMap(_found),
            parts | "Show rows" >> beam.FlatMap(_held),
        )
        settled = self._settle(rows | "All names" >> beam.Flatten())
        kept = (
            {
                "part": parts | "Held parts" >> beam.Map(_by_part),
                "dropped": settled | "Dropped" >> beam.FlatMap(_dropped),
            }
            | "Join parts" >> beam.CoGroupByKey()
            | "Keep parts" >> beam.ParDo(KeepParts(self._job))
        )
        last = parts | "Ordinals" >> beam.Map(_ordinal) | "Last" >> beam.CombineGlobally(_last)
        new, counts_of_new = self._pack(blocks, settled, AsSingleton(last))
        counts = (
            *counts_of_new,
            kept | "Count parts" >> beam.Map(_count_part),
            settled | "Count missing" >> beam.FlatMap(_missing),
        )
        copies = kept | "Copies" >> beam.FlatMap(_unit_of)
        return PlannedUnits(
            units=(new, copies) | "Units" >> beam.Flatten(),
            kept=kept | "Kept" >> beam.FlatMap(_kept_name),
            counts=counts
            | "All counts" >> beam.Flatten()
            | "Add up" >> beam.CombineGlobally(total),
        )


class PlanFirst(_Plan):
    """Blocks of the inputs to the units of a first run over them, and to what these come to."""

    def expand(self, blocks: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        """Wire the steps."""
        settled = self._settle(blocks | "Show documents" >> beam.FlatMap(_found))
        units, counts = self._pack(blocks, settled, -1)
        flat = counts | "All counts" >> beam.Flatten()
        return units, flat | "Add up" >> beam.CombineGlobally(total)


def _found(block: Block) -> Iterator[tuple[bytes, Any]]:
    return found_in(block)


def _held(part: EarlierPart) -> Iterator[tuple[bytes, Any]]:
    return held_by(part.part, part.again)


def _by_part(part: EarlierPart) -> tuple[str, HeldPart]:
    return part.part.name, part.held


def _by_place(block: Block) -> tuple[BlockPlace, Block]:
    return block.place, block


def _ordinal(part: EarlierPart) -> int:
    return part.part.ordinal


def _last(ordinals: Iterable[int]) -> int:
    return max(ordinals, default=-1)


def _dropped(row: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(row, Dropped):
        yield row.part, row


def _settled(row: Any) -> Iterator[tuple[BlockPlace, Any]]:
    if isinstance(row, Settled):
        yield row.block, row


def _missing(row: Any) -> Iterator[PlanCounts]:
    if isinstance(row, Gone):
        yield PlanCounts(missing=1, first_missing=(row,))


def _gather(element: tuple[BlockPlace, Mapping[str, Iterable[Any]]]) -> Iterator[NewDocuments]:
    _, joined = element
    for block in joined["block"]:
        yield gather_block(block, joined["settled"])


def _has_new(block: NewDocuments) -> bool:
    return bool(block.refs)


def _size(block: NewDocuments) -> Size:
    return block.size


def _place(block: NewDocuments) -> BlockPlace:
    return block.place


def _in_stretch(block: NewDocuments, starts: list[BlockPlace]) -> tuple[int, NewDocuments]:
    return bisect_right(starts, block.place), block


def _firsts(_: None, sizes: Iterable[tuple[int, int]], last: int) -> list[int]:
    """The ordinal of the first unit of each stretch, which are numbered from 1."""
    return [*accumulate((n_units for _, n_units in sorted(sizes)), initial=last + 1)]


def _numbered(element: tuple[int, Unit], firsts: list[int]) -> Unit:
    stretch, unit = element
    return numbered(unit, firsts[stretch - 1])


def _unit_of(part: KeptPart) -> Iterator[Unit]:
    if part.unit is not None:
        yield part.unit


def _kept_name(part: KeptPart) -> Iterator[str]:
    if part.unit is None and part.name is not None:
        yield part.name


def _count_block(block: NewDocuments) -> PlanCounts:
    return PlanCounts.of_block(block)


def _count_part(part: KeptPart) -> PlanCounts:
    return part.counts


def _count_unit(unit: Unit) -> PlanCounts:
    return PlanCounts.of_unit(unit)
