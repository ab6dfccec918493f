"""The Beam graph: the steps of a session, wired.

What crosses a shuffle is small: file names, stubs (ids and digests), names of parts. Texts,
tokens, hidden states and vectors stay inside one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton

from longbert.core.units import Plan, Unit
from longbert.engine.run import Circumstances, finish_run
from longbert.engine.session import Session
from longbert.errors import LongbertError
from longbert.records import InputFile, Stub

T = TypeVar("T")


class MakeUnit(beam.DoFn):  # type: ignore[misc]
    """Makes parts; the models are loaded once in a process.

    Args:
        session: the run.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def setup(self) -> None:
        """Load the models before the first unit comes."""
        _reported(self._session, lambda: self._session.models)()

    def process(self, unit: Unit, run_fingerprint: str) -> Iterator[bool]:
        """Yield whether there was anything to do."""
        yield _reported(self._session, self._session.make)(unit, run_fingerprint)


class RunDocuments(beam.PTransform):  # type: ignore[misc]
    """A whole run: ``pipeline | RunDocuments(session, circumstances)``.

    Args:
        session: the run.
        circumstances: what is told of it in ``run.json``.
    """

    def __init__(self, session: Session, circumstances: Circumstances) -> None:
        super().__init__()
        self._session = session
        self._circumstances = circumstances

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Wire the steps; the last one yields a single None."""
        session, circumstances = self._session, self._circumstances

        def prepare(_: None) -> str:
            return session.prepare()

        def list_files(_: None) -> tuple[InputFile, ...]:
            return session.list_files().files

        def scan(file: InputFile) -> Iterable[Stub]:
            return session.scan_file(file)

        def plan(_: None, stubs: Iterable[Stub], run_fingerprint: str) -> Plan:
            return session.plan(stubs, run_fingerprint)

        def finish(_: None, done_plan: Plan, n_resumed: int) -> None:
            summary = session.summarize(done_plan, n_resumed)
            finish_run(session, summary, circumstances)

        def step(function: Callable[..., T]) -> Callable[..., T]:
            return _reported(session, function)

        start = pipeline | "Start" >> beam.Create([None])
        run_fingerprint = start | "Prepare" >> beam.Map(step(prepare))
        stubs = (
            start
            | "List files" >> beam.FlatMap(step(list_files))
            | "Spread files" >> beam.Reshuffle()
            | "Scan files" >> beam.FlatMap(step(scan))
        )
        planned = start | "Plan" >> beam.Map(
            step(plan), AsIter(stubs), AsSingleton(run_fingerprint)
        )
        n_resumed = (
            planned
            | "Units" >> beam.FlatMap(lambda plan: plan.units)
            | "Spread units" >> beam.Reshuffle()
            | "Make units" >> beam.ParDo(MakeUnit(session), AsSingleton(run_fingerprint))
            | "Resumed" >> beam.Filter(lambda was_made: not was_made)
            | "Count resumed" >> beam.combiners.Count.Globally()
        )
        return start | "Finish" >> beam.Map(
            step(finish),
            AsSingleton(planned),
            AsSingleton(n_resumed),
        )


def _reported(session: Session, function: Callable[..., T]) -> Callable[..., T]:
    """Leave an error of our own where the driver finds it, since Beam passes on text only."""

    @wraps(function)
    def call(*args: Any) -> T:
        try:
            return function(*args)
        except LongbertError as error:
            session.meter.report(error)
            raise

    return call
