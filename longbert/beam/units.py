"""Units that were planned on this machine, made by workers on it."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam

from longbert.beam.job import Job
from longbert.beam.making import make_units
from longbert.core.units import Unit
from longbert.engine.prepare import Prepared


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A local file of units, of which any process can read each.

    Attributes:
        starts: where each begins.
    """

    path: str
    starts: Sequence[int]

    @classmethod
    def write(cls, path: str, units: Iterable[Unit]) -> UnitFile:
        """Write units to a file; raises OSError if the disk is full."""
        starts = []
        with open(path, "wb") as file:
            for unit in units:
                starts.append(file.tell())
                pickle.dump(unit, file, protocol=pickle.HIGHEST_PROTOCOL)
        return cls(path, starts)


class ReadUnit(beam.DoFn):  # type: ignore[misc]
    """Where a unit begins in a file to the unit."""

    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, start: int) -> Iterator[Unit]:
        """Yield the one unit."""
        with open(self._path, "rb") as file:
            file.seek(start)
            yield pickle.load(file)


class DoUnits(beam.PTransform):  # type: ignore[misc]
    """The units of a plan made elsewhere: ``pipeline | DoUnits(job, units, prepared)``.

    Args:
        job: what the step gets.
        units: to make.
        prepared: what they were planned with.
        least_bytes: of a document that workers share; None: they share none.
    """

    def __init__(
        self, job: Job, units: UnitFile, prepared: Prepared, least_bytes: int | None = None
    ) -> None:
        super().__init__()
        self._job = job
        self._units = units
        self._prepared = prepared
        self._least_bytes = least_bytes

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Read the units and make them."""
        units = (
            pipeline
            | "Units" >> beam.Create(self._units.starts, reshuffle=False)
            | "Spread units" >> beam.Reshuffle()
            | "Read unit" >> beam.ParDo(ReadUnit(self._units.path))
        )
        return make_units(units, self._job, self._prepared, self._least_bytes)
