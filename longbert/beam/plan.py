"""The part of the graph that plans a run, from the inputs and what the output holds of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton, TaggedOutput

from longbert.beam.job import Job
from longbert.beam.planning import PlanFirst, PlannedUnits, PlanUnits
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

_LOST = "lost"


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
    """Names of parts to those of the parts that are complete; how many are not, on the side."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, names: Sequence[str]) -> Iterator[EarlierPart | TaggedOutput]:
        """Yield the parts, in order."""
        n_lost = len(names)
        with self._job.reporting():
            for part in earlier_parts(self._job.context, names):
                n_lost -= 1
                yield part
            if n_lost:
                yield TaggedOutput(_LOST, n_lost)


class MayBeFirst(beam.DoFn):  # type: ignore[misc]
    """None to whether the output may have lost parts of what a first run makes."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None, counts: PlanCounts, n_lost: int) -> Iterator[bool]:
        """Yield the one answer."""
        with self._job.reporting():
            yield may_be_first(self._job.context, counts, n_lost=n_lost)


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
    parts, lost = (
        named
        | "Spread parts" >> beam.Reshuffle()
        | "Read parts" >> beam.ParDo(ReadParts(job)).with_outputs(_LOST, main="parts")
    )
    against = (blocks, parts) | "Plan" >> PlanUnits(start, job, prepared)
    n_lost = lost | "Count lost" >> beam.CombineGlobally(sum)
    may_be = AsSingleton(
        start
        | "May be first"
        >> beam.ParDo(MayBeFirst(job), AsSingleton(against.counts), AsSingleton(n_lost))
    )
    units_of_first, counts_of_first = (
        blocks
        | "Blocks again" >> beam.Filter(_if, may_be)
        | "Plan first" >> PlanFirst(start, job, prepared)
    )
    others = (
        {
            "first": units_of_first | "Parts of first" >> beam.Map(_by_name),
            "named": named | "Parts named" >> beam.FlatMap(_each_if, may_be),
        }
        | "Compare parts" >> beam.CoGroupByKey()
        | "Other parts" >> beam.Filter(_is_other)
    )
    is_first = AsSingleton(start | "Is first" >> beam.Map(_is_first, may_be, AsIter(others)))
    units = (
        against.units | "Units against parts" >> beam.Filter(_unless, is_first),
        units_of_first | "Units of first" >> beam.Filter(_if, is_first),
    )
    both_counts = AsSingleton(against.counts), AsSingleton(counts_of_first)
    return PlannedUnits(
        units=units | "Units" >> beam.Flatten(),
        kept=against.kept | "Kept" >> beam.Filter(_unless, is_first),
        counts=start | "Counts" >> beam.Map(_chosen, *both_counts, is_first),
    )


def _if(_: object, condition: bool) -> bool:
    return condition


def _unless(_: object, condition: bool) -> bool:
    return not condition


def _by_name(unit: Unit) -> tuple[str, None]:
    return unit.part.name, None


def _each_if(names: Iterable[str], condition: bool) -> Iterator[tuple[str, None]]:
    if condition:
        yield from ((name, None) for name in names)


def _is_other(element: tuple[str, Mapping[str, Iterable[None]]]) -> bool:
    """Whether a first run would not make the part."""
    _, joined = element
    return not [*joined["first"]]


def _is_first(_: None, may_be: bool, others: Iterable[object]) -> bool:
    return may_be and next(iter(others), None) is None


def _chosen(_: None, against: PlanCounts, first: PlanCounts, is_first: bool) -> PlanCounts:
    return first if is_first else against
