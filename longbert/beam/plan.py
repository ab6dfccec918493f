"""The part of the graph that plans a run, from the inputs and what the output holds of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from longbert.beam.job import Job
from longbert.beam.planning import PlannedUnits, PlanUnits
from longbert.core.plan_counts import PlanCounts
from longbert.core.planning import Block
from longbert.core.units import Unit
from longbert.engine.plan import (
    earlier_names,
    earlier_parts,
    list_groups,
    may_be_first,
    scan_group,
)
from longbert.engine.planner import EarlierPart
from longbert.engine.prepare import Prepared
from longbert.records import InputFile


class ListFiles(beam.DoFn):  # type: ignore[misc]
    """None to groups of the files of the inputs."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None) -> Iterator[tuple[InputFile, ...]]:
        """Yield the groups in order."""
        with self._job.reporting():
            yield from list_groups(self._job.context)


class ScanFiles(beam.DoFn):  # type: ignore[misc]
    """A group of files to blocks of their documents."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, files: Sequence[InputFile]) -> Iterator[Block]:
        """Yield the blocks, in order."""
        with self._job.reporting():
            yield from scan_group(self._job.context, files)


class ListParts(beam.DoFn):  # type: ignore[misc]
    """None to names of the parts of the output that is there, some at a time."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None, prepared: Prepared) -> Iterator[tuple[str, ...]]:
        """Yield the names in order."""
        with self._job.reporting():
            yield from earlier_names(self._job.context, prepared)


class ReadParts(beam.DoFn):  # type: ignore[misc]
    """Names of parts to those of the parts that are complete."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, names: Sequence[str]) -> Iterator[EarlierPart]:
        """Yield the parts, in order."""
        with self._job.reporting():
            yield from earlier_parts(self._job.context, names)


class MayBeFirst(beam.DoFn):  # type: ignore[misc]
    """None to whether the output may have lost parts of what a first run makes."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None, counts: PlanCounts, n_named: int, n_complete: int) -> Iterator[bool]:
        """Yield the one answer."""
        with self._job.reporting():
            yield may_be_first(self._job.context, counts, n_lost=n_named - n_complete)


def plan(start: beam.PCollection, job: Job, prepared: AsSingleton) -> PlannedUnits:
    """Wire the steps that read the inputs and plan; see :func:`longbert.engine.plan.plan`.

    An output that has lost something may be planned twice, as there: against the parts that are
    left, and as if there were none. Else nothing goes into the second plan.

    Args:
        start: a single None.
        job: what the steps get.
        prepared: what earlier steps learnt of the models.
    """
    blocks = (
        start
        | "List files" >> beam.ParDo(ListFiles(job))
        | "Spread files" >> beam.Reshuffle()
        | "Scan files" >> beam.ParDo(ScanFiles(job))
    )
    named = start | "List parts" >> beam.ParDo(ListParts(job), prepared)
    parts = named | "Spread parts" >> beam.Reshuffle() | "Read parts" >> beam.ParDo(ReadParts(job))
    names = named | "Names" >> beam.FlatMap(_each)
    against = (blocks, parts) | "Plan" >> PlanUnits(start, job, prepared)
    may_be = AsSingleton(
        start
        | "May be first"
        >> beam.ParDo(
            MayBeFirst(job),
            AsSingleton(against.counts),
            AsSingleton(names | "Count names" >> beam.combiners.Count.Globally()),
            AsSingleton(parts | "Count parts" >> beam.combiners.Count.Globally()),
        )
    )
    first = (
        blocks | "Blocks again" >> beam.Filter(_if, may_be),
        parts | "No parts" >> beam.Filter(_if, False),
    ) | "Plan as first" >> PlanUnits(start, job, prepared)
    others = (
        (
            first.units | "Would be" >> beam.Map(_name, True),
            names | "Names again" >> beam.Filter(_if, may_be) | "Are" >> beam.Map(_with, False),
        )
        | "Both" >> beam.Flatten()
        | "Compare names" >> beam.CombinePerKey(any)
        | "Others" >> beam.Filter(_is_other)
        | "Count others" >> beam.combiners.Count.Globally()
    )
    is_first = AsSingleton(start | "Is first" >> beam.Map(_is_first, may_be, AsSingleton(others)))
    return PlannedUnits(
        units=(
            against.units | "Units against parts" >> beam.Filter(_unless, is_first),
            first.units | "Units of a first run" >> beam.Filter(_if, is_first),
        )
        | "Units" >> beam.Flatten(),
        kept=against.kept | "Kept parts" >> beam.Filter(_unless, is_first),
        counts=start
        | "Counts"
        >> beam.Map(_chosen, AsSingleton(against.counts), AsSingleton(first.counts), is_first),
    )


def _each(names: Iterable[str]) -> Iterable[str]:
    return names


def _if(_: object, condition: bool) -> bool:
    return condition


def _unless(_: object, condition: bool) -> bool:
    return not condition


def _name(unit: Unit, value: bool) -> tuple[str, bool]:
    return unit.part.name, value


def _with(name: str, value: bool) -> tuple[str, bool]:
    return name, value


def _is_other(name: tuple[str, bool]) -> bool:
    """Whether a first run would not make the part."""
    return not name[1]


def _is_first(_: None, may_be: bool, n_others: int) -> bool:
    return may_be and not n_others


def _chosen(_: None, against: PlanCounts, first: PlanCounts, is_first: bool) -> PlanCounts:
    return first if is_first else against
