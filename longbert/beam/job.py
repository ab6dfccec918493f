"""What the steps of a graph get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from apache_beam.utils.shared import Shared

from longbert.beam.failures import Failures, NoFailures
from longbert.encoders.loaded_models import Models
from longbert.engine.context import RunContext, load_run_models
from longbert.engine.finish import RunInfo
from longbert.errors import LongbertError


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
