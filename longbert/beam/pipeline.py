"""The Beam graph: the steps of a run, wired.

What crosses a shuffle is small: files, references of documents (ids and digests), names of
parts. Texts, tokens, hidden states and vectors stay inside one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton

from longbert.beam.job import Job
from longbert.beam.making import make_units
from longbert.beam.planning import plan_units
from longbert.core.plan_counts import PlanCounts
from longbert.core.units import place_of
from longbert.engine.finish import finish
from longbert.engine.gather import gather_shard
from longbert.engine.plan import PlanSummary, check_memory, check_missing, summarize
from longbert.engine.prepare import Prepared, prepare
from longbert.engine.segments import least_shared_bytes
from longbert.store.receipts import ShardEntry
from longbert.store.shards import number_of, shard_of

WORKERS_OF_CLUSTER = 100
"""For what a share of the work is where workers come and go."""


class Prepare(beam.DoFn):  # type: ignore[misc]
    """None to :class:`Prepared`: claims the output folder."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None) -> Iterator[Prepared]:
        """Yield what later steps need to know about the models."""
        with self._job.reporting():
            yield prepare(self._job.context, self._job.models())


class Summarize(beam.DoFn):  # type: ignore[misc]
    """None and what a plan comes to, to what the last step needs of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None, counts: PlanCounts, prepared: Prepared) -> Iterator[PlanSummary]:
        """Yield the one summary, if the plan may be carried out."""
        with self._job.reporting():
            check_missing(self._job.context, counts)
            check_memory(counts, prepared)
            yield summarize(self._job.context, counts)


class GatherShard(beam.DoFn):  # type: ignore[misc]
    """The number of a shard and the names of its parts to what the manifest says of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[str]]) -> Iterator[ShardEntry]:
        """Yield the one entry."""
        number, parts = element
        with self._job.reporting():
            yield gather_shard(self._job.context, number, sorted(parts, key=place_of))


class Finish(beam.DoFn):  # type: ignore[misc]
    """None and what is left of the plan to the finished output."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(
        self,
        _: None,
        summary: PlanSummary,
        n_resumed: int,
        shards: Iterable[ShardEntry],
        prepared: Prepared,
    ) -> Iterator[None]:
        """Write index, manifest and history."""
        with self._job.reporting():
            done = replace(summary, n_units_resumed=n_resumed)
            ordered = sorted(shards, key=number_of)
            finish(self._job.context, done, ordered, prepared, self._job.info)
            yield None


class RunDocuments(beam.PTransform):  # type: ignore[misc]
    """A whole run: ``pipeline | RunDocuments(job)``.

    Args:
        job: what the steps get.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Wire the steps; the last one yields a single None."""
        job = self._job
        start = pipeline | "Start" >> beam.Create([None])
        prepared = AsSingleton(start | "Prepare" >> beam.ParDo(Prepare(job)))
        planned = plan_units(start, job, prepared)
        summary = AsSingleton(
            start | "Summarize" >> beam.ParDo(Summarize(job), AsSingleton(planned.counts), prepared)
        )
        # Nothing is made before the plan has been checked.
        least_bytes = AsSingleton(start | "Share" >> beam.Map(_least_bytes, summary, prepared))
        spread = planned.units | "Spread units" >> beam.Reshuffle()
        made = make_units(spread, job, prepared, least_bytes)
        n_resumed = (
            made
            | "Resumed" >> beam.Filter(_was_resumed)
            | "Count resumed" >> beam.combiners.Count.Globally()
        )
        shards = (
            (made | "Made" >> beam.Keys(), planned.kept)
            | "Parts" >> beam.Flatten()
            | "Number shards" >> beam.Map(_with_shard)
            | "Group parts" >> beam.GroupByKey()
            | "Gather receipts" >> beam.ParDo(GatherShard(job))
        )
        return start | "Finish" >> beam.ParDo(
            Finish(job), summary, AsSingleton(n_resumed), AsIter(shards), prepared
        )


def _least_bytes(_: None, summary: PlanSummary, prepared: Prepared) -> int | None:
    n_bytes = summary.counts.n_bytes
    return least_shared_bytes(prepared, n_bytes=n_bytes, n_workers=WORKERS_OF_CLUSTER)


def _was_resumed(made: tuple[str, bool]) -> bool:
    return not made[1]


def _with_shard(part: str) -> tuple[int, str]:
    return shard_of(part), part
