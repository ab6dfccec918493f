"""The part of the graph that makes parts of units: each by one worker, or a large one by several.

A document of more than a worker's share is divided, its segments are encoded like units of their
own, and whoever joins them makes the part. Segments cross a shuffle by their numbers; what is made
of them lies in the output until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from longbert.beam.job import Job
from longbert.core.units import Unit
from longbert.encoders.loaded_models import Models
from longbert.engine.prepare import Prepared, check_machine
from longbert.engine.run import RunModels
from longbert.engine.segments import (
    DoneSegment,
    Segment,
    divide,
    encode_segment,
    join,
    may_be_shared,
)
from longbert.engine.unit import process_unit

_SEGMENTS = "segments"


class _Step(beam.DoFn):  # type: ignore[misc]
    """A step that may need models."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self) -> None:
        """Nothing is loaded before there is work that needs it."""
        self._models = RunModels(self._job.context, self._job.models)

    def models_for(self, prepared: Prepared) -> Callable[[], Models]:
        """Gives the models, if this machine would write what is planned.

        Raises:
            FingerprintError: it would not.
        """
        check_machine(prepared.lexical, self._job.context.lexical)
        return partial(self._models.checked, prepared)


class ProcessUnit(_Step):
    """A unit to the name of its part, and whether documents were encoded for it.

    One that workers share makes no part yet; it goes with each segment to another output.
    """

    def process(self, unit: Unit, prepared: Prepared, least_bytes: int | None) -> Iterator[Any]:
        """Make the unit's part, or divide its document.

        Args:
            unit: as planned.
            prepared: what it was planned with.
            least_bytes: of a document that is shared; None: none is.
        """
        context = self._job.context
        with self._job.reporting(), self._job.failures.working_on(unit):
            models = self.models_for(prepared)
            segments: list[Segment] = []
            if may_be_shared(context, unit, least_bytes=least_bytes):
                segments = divide(context, unit, models())
            for segment in segments:
                yield TaggedOutput(_SEGMENTS, (unit, segment))
            if not segments:
                process_unit(context, unit, models)
                yield unit.part.name, bool(unit.refs)


class EncodeSegment(_Step):
    """A segment and its unit to the name of the part, and both."""

    def process(
        self, element: tuple[Unit, Segment], prepared: Prepared
    ) -> Iterator[tuple[str, tuple[Unit, DoneSegment]]]:
        """Leave what heads make of its windows."""
        unit, segment = element
        with self._job.reporting(), self._job.failures.working_on(unit):
            models = self.models_for(prepared)
            yield unit.part.name, (unit, encode_segment(self._job.context, unit, segment, models))


class JoinSegments(_Step):
    """The name of a part and all segments of its document to what comes of the unit."""

    def process(
        self, element: tuple[str, Iterable[tuple[Unit, DoneSegment]]], prepared: Prepared
    ) -> Iterator[tuple[str, bool]]:
        """Make the one part."""
        name, found = element
        units, done = zip(*found, strict=True)
        with self._job.reporting(), self._job.failures.working_on(units[0]):
            join(self._job.context, units[0], done, self.models_for(prepared))
            yield name, True


def make_units(
    units: beam.PCollection, job: Job, prepared: Any, least_bytes: Any = None
) -> beam.PCollection:
    """Units to the names of their parts, each with whether documents were encoded for it.

    Args:
        units: spread over the workers.
        job: what the steps get.
        prepared: what the units were planned with, or a side input of it.
        least_bytes: of a document that workers share, or a side input of it; None: they share none.
    """
    process = beam.ParDo(ProcessUnit(job), prepared, least_bytes)
    if least_bytes is None:
        return units | "Process units" >> process
    made, segments = units | "Process units" >> process.with_outputs(_SEGMENTS, main="made")
    joined = (
        segments
        | "Spread segments" >> beam.Reshuffle()
        | "Encode segments" >> beam.ParDo(EncodeSegment(job), prepared)
        | "Group segments" >> beam.GroupByKey()
        | "Join segments" >> beam.ParDo(JoinSegments(job), prepared)
    )
    return (made, joined) | "All made" >> beam.Flatten()
