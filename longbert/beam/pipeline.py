"""The Beam graph: the steps of a run, wired.

What crosses a shuffle is small: file names, document references (ids and digests), names of
parts. Texts, tokens, hidden states and vectors stay inside one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton
from apache_beam.utils.shared import Shared

from longbert.beam.failures import Failures, NoFailures
from longbert.core.units import Plan, Unit
from longbert.encoders.loaded_models import Models
from longbert.engine.context import RunContext, load_run_models
from longbert.engine.finish import RunInfo, finish
from longbert.engine.plan import (
    PlanSummary,
    check_missing,
    list_files,
    plan,
    scan_file,
    summarize,
)
from longbert.engine.prepare import Prepared, check_machine, prepare
from longbert.engine.run import RunModels
from longbert.engine.unit import process_unit
from longbert.errors import LongbertError
from longbert.records import DocumentRef, InputFile


@dataclass(frozen=True)
class Job:
    """What the steps of a graph get.

    Attributes:
        context: the run.
        info: metadata of the run.
        failures: where our errors are left for the process that waits.
        shared: keeps one copy of the models in each process.
    """

    context: RunContext
    info: RunInfo
    failures: Failures = field(default_factory=NoFailures)
    shared: Shared = field(default_factory=Shared)

    def models(self) -> Models:
        """The models, loaded once per process however many threads it has.

        Raises:
            ModelError, ConfigError: models or settings do not fit.
        """
        models: Models = self.shared.acquire(lambda: load_run_models(self.context))
        return models

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Leave our error where the waiting process finds it."""
        try:
            yield
        except LongbertError as error:
            self.failures.report(error)
            raise


class Prepare(beam.DoFn):  # type: ignore[misc]
    """None to :class:`Prepared`: claims the output folder."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None) -> Iterator[Prepared]:
        """Yield what later steps need to know about the models."""
        with self._job.reporting():
            yield prepare(self._job.context, self._job.models())


class ListFiles(beam.DoFn):  # type: ignore[misc]
    """None to the files of the inputs."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None) -> Iterator[InputFile]:
        """Yield the files in order."""
        with self._job.reporting():
            yield from list_files(self._job.context).files


class ScanFile(beam.DoFn):  # type: ignore[misc]
    """A file to references of its documents."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, file: InputFile) -> Iterator[DocumentRef]:
        """Yield the documents, in order."""
        with self._job.reporting():
            yield from scan_file(self._job.context, file)


class PlanUnits(beam.DoFn):  # type: ignore[misc]
    """None and all document references to the plan."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None, refs: Iterable[DocumentRef], prepared: Prepared) -> Iterator[Plan]:
        """Yield the one plan."""
        with self._job.reporting():
            planned = plan(self._job.context, refs, prepared)
            check_missing(self._job.context, planned)
            yield planned


class Summarize(beam.DoFn):  # type: ignore[misc]
    """A plan to what the last step needs of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, planned: Plan) -> Iterator[PlanSummary]:
        """Yield the one summary."""
        with self._job.reporting():
            yield summarize(self._job.context, planned)


class ProcessUnit(beam.DoFn):  # type: ignore[misc]
    """A unit to whether there was anything to do."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self) -> None:
        """Nothing is loaded before there is a unit that needs it."""
        self._models = RunModels(self._job.context, self._job.models)

    def process(self, unit: Unit, prepared: Prepared) -> Iterator[bool]:
        """Make the unit's part, if this machine would write the planned rows."""
        with self._job.reporting(), self._job.failures.working_on(unit):
            check_machine(prepared.lexical, self._job.context.lexical)
            yield process_unit(self._job.context, unit, lambda: self._models.checked(prepared))


class Finish(beam.DoFn):  # type: ignore[misc]
    """None and what is left of the plan to the finished output."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(
        self, _: None, summary: PlanSummary, n_resumed: int, prepared: Prepared
    ) -> Iterator[None]:
        """Write index, manifest and history."""
        with self._job.reporting():
            done = replace(summary, n_units_resumed=n_resumed)
            finish(self._job.context, done, prepared, self._job.info)
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
        refs = (
            start
            | "List files" >> beam.ParDo(ListFiles(job))
            | "Spread files" >> beam.Reshuffle()
            | "Scan files" >> beam.ParDo(ScanFile(job))
        )
        planned = start | "Plan" >> beam.ParDo(PlanUnits(job), AsIter(refs), prepared)
        # The plan is as large as all references, so it goes only to the step it feeds.
        summary = planned | "Summarize" >> beam.ParDo(Summarize(job))
        n_resumed = (
            planned
            | "Units" >> beam.FlatMap(_units)
            | "Spread units" >> beam.Reshuffle()
            | "Process units" >> beam.ParDo(ProcessUnit(job), prepared)
            | "Resumed" >> beam.Filter(_was_resumed)
            | "Count resumed" >> beam.combiners.Count.Globally()
        )
        return start | "Finish" >> beam.ParDo(
            Finish(job), AsSingleton(summary), AsSingleton(n_resumed), prepared
        )


class DoUnits(beam.PTransform):  # type: ignore[misc]
    """The units of a plan made elsewhere: ``pipeline | DoUnits(job, units, prepared)``.

    Args:
        job: what the step gets.
        units: to make.
        prepared: what they were planned with.
    """

    def __init__(self, job: Job, units: Sequence[Unit], prepared: Prepared) -> None:
        super().__init__()
        self._job = job
        self._units = units
        self._prepared = prepared

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Spread the units and make them."""
        return (
            pipeline
            | "Units" >> beam.Create(self._units, reshuffle=False)
            | "Spread units" >> beam.Reshuffle()
            | "Process units" >> beam.ParDo(ProcessUnit(self._job), self._prepared)
        )


def _units(planned: Plan) -> tuple[Unit, ...]:
    return planned.units


def _was_resumed(was_made: bool) -> bool:
    return not was_made
