"""The Beam graph: the steps of a session, wired.

What crosses a shuffle is small: file names, refs (ids and digests), names of parts. Texts,
tokens, hidden states and vectors stay inside one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton

from longbert.core.units import Plan, Unit
from longbert.engine.run import RunInfo, finish_run
from longbert.engine.session import PlanSummary, Session
from longbert.errors import LongbertError
from longbert.records import DocumentRef, InputFile


@dataclass(frozen=True)
class Step:
    """A function of a session, which workers import by its name.

    An error of our own is left where the driver finds it, since Beam passes on text only.

    Attributes:
        session: the run; the function's first argument.
        function: at the top level of a module: of a nested one the code itself would be put into
            the graph, with the paths of the machine that starts the job.
    """

    session: Session
    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        """Do it, on the element and the side inputs."""
        try:
            return self.function(self.session, *args)
        except LongbertError as error:
            self.session.meter.report(error)
            raise


class MakeUnit(beam.DoFn):  # type: ignore[misc]
    """Makes parts; the models are loaded once in a process.

    Args:
        session: the run.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def setup(self) -> None:
        """Load the models before the first unit comes."""
        Step(self._session, _load_models)()

    def process(self, unit: Unit, run_fingerprint: str) -> Iterator[bool]:
        """Yield whether there was anything to do."""
        yield Step(self._session, Session.make)(unit, run_fingerprint)


class RunDocuments(beam.PTransform):  # type: ignore[misc]
    """A whole run: ``pipeline | RunDocuments(session, info)``.

    Args:
        session: the run.
        info: what is told of it in ``run.json``.
    """

    def __init__(self, session: Session, info: RunInfo) -> None:
        super().__init__()
        self._session = session
        self._circumstances = info

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Wire the steps; the last one yields a single None."""

        def step(function: Callable[..., Any]) -> Step:
            return Step(self._session, function)

        start = pipeline | "Start" >> beam.Create([None])
        run_fingerprint = start | "Prepare" >> beam.Map(step(_prepare))
        refs = (
            start
            | "List files" >> beam.FlatMap(step(_list_files))
            | "Spread files" >> beam.Reshuffle()
            | "Scan files" >> beam.FlatMap(step(Session.scan_file))
        )
        planned = start | "Plan" >> beam.Map(
            step(_plan), AsIter(refs), AsSingleton(run_fingerprint)
        )
        # The plan itself, as large as all refs, goes no further than to the step that it feeds.
        summary = planned | "Summarize" >> beam.Map(step(_summarize))
        n_resumed = (
            planned
            | "Units" >> beam.FlatMap(_units)
            | "Spread units" >> beam.Reshuffle()
            | "Make units" >> beam.ParDo(MakeUnit(self._session), AsSingleton(run_fingerprint))
            | "Resumed" >> beam.Filter(_was_resumed)
            | "Count resumed" >> beam.combiners.Count.Globally()
        )
        return start | "Finish" >> beam.Map(
            step(_finish), self._circumstances, AsSingleton(summary), AsSingleton(n_resumed)
        )


def _load_models(session: Session) -> None:
    _ = session.models


def _prepare(session: Session, _: None) -> str:
    return session.prepare()


def _list_files(session: Session, _: None) -> tuple[InputFile, ...]:
    return session.list_files().files


def _plan(session: Session, _: None, refs: Iterable[DocumentRef], run_fingerprint: str) -> Plan:
    return session.plan(refs, run_fingerprint)


def _summarize(session: Session, plan: Plan) -> PlanSummary:
    return session.summarize(plan, n_resumed=0)


def _units(plan: Plan) -> tuple[Unit, ...]:
    return plan.units


def _was_resumed(was_made: bool) -> bool:
    return not was_made


def _finish(session: Session, _: None, info: RunInfo, summary: PlanSummary, n_resumed: int) -> None:
    finish_run(session, replace(summary, n_units_resumed=n_resumed), info)
