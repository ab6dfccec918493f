"""Units on this machine, through Beam: in this process or in processes of their own."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from longbert.beam import worker
from longbert.beam.failures import RunFolder, own_errors
from longbert.beam.job import Job
from longbert.beam.units import DoUnits, UnitFile
from longbert.core.units import Unit
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo
from longbert.engine.prepare import Prepared
from longbert.engine.run import RunModels
from longbert.engine.segments import least_shared_bytes, may_be_shared
from longbert.engine.spool import Spool
from longbert.errors import WorkerError
from longbert.store.processes import kill_all, process_start, with_helpers

_POLL_SECONDS = 0.2
_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LocalUnits:
    """Makes units with Beam's FnApiRunner.

    Attributes:
        options: of Beam.
        info: about the run.
        folder: in which processes of the run leave word.
        n_workers: processes; None: this one.
    """

    options: PipelineOptions
    info: RunInfo
    folder: RunFolder
    n_workers: int | None

    def __call__(
        self, context: RunContext, units: Spool[Unit], prepared: Prepared, models: RunModels
    ) -> None:
        """Make the parts of units, which are handed over in a file.

        Raises:
            WorkerError: a worker process died.
            LongbertError: see the steps.
        """
        job = Job(as_planned(context, prepared), self.info, self.folder)
        file = UnitFile.write(f"{self.folder.folder}/units", units)
        least_bytes = least_shared_bytes(
            prepared,
            n_bytes=sum(unit.n_bytes for unit in units),
            n_workers=self.n_workers or 1,
        )
        if not any(may_be_shared(context, unit, least_bytes=least_bytes) for unit in units):
            least_bytes = None
        work = DoUnits(job, file, prepared, least_bytes)
        with own_errors(self.folder):
            if self.n_workers is None:
                # One copy of the models is enough for this process.
                kept = job.shared.acquire(models.get) if models.are_loaded else None
                self._run(work, FnApiRunner())
                del kept
            else:
                runner = FnApiRunner(_worker_environment(self.folder))
                self._supervise(lambda: self._run(work, runner))

    def _run(self, work: DoUnits, runner: FnApiRunner) -> None:
        pipeline = beam.Pipeline(runner=runner, options=self.options)
        pipeline | work
        pipeline.run().wait_until_finish()

    def _supervise(self, run: Callable[[], None]) -> None:
        """Run something that starts worker processes, and end them if it does not.

        Beam waits for a worker that has died without an end, so it waits in a thread of its own.
        """
        outcome: list[BaseException | None] = []

        def target() -> None:
            try:
                run()
            except BaseException as error:
                outcome.append(error)
            else:
                outcome.append(None)

        thread = threading.Thread(target=target, name="longbert-beam", daemon=True)
        with with_helpers(self.folder.workers):
            thread.start()
            try:
                while thread.is_alive():
                    thread.join(_POLL_SECONDS)
                    self._check_workers(thread)
            finally:
                self._end_workers()
        if outcome[0] is not None:
            raise outcome[0]

    def _check_workers(self, thread: threading.Thread) -> None:
        """Raise WorkerError for a worker that ended, unless it said that it was done."""
        gone = [pid for pid in self.folder.workers() if process_start(pid) is None]
        # Between the two looks it may have said so.
        died = [pid for pid in gone if pid in self.folder.workers()]
        if not died or not thread.is_alive() or self.folder.first() is not None:
            return
        work = "; ".join(work for pid in died for work in self.folder.work_of(pid))
        raise WorkerError(
            f"worker process {', '.join(map(str, died))} ended before its work was done, "
            f"{f'at {work}' if work else 'between two units'}: it was killed, by hand or by the "
            "system because memory ran out, or a library crashed. What is done is kept: run again "
            "to go on, with fewer --workers or a lower --batch-tokens if memory is short"
        )

    def _end_workers(self) -> None:
        """Leave no worker process behind."""
        deadline = time.monotonic() + _KILL_SECONDS
        while time.monotonic() < deadline:
            left = [pid for pid in self.folder.workers() if process_start(pid) is not None]
            if not left:
                return
            kill_all(left)
            time.sleep(_POLL_SECONDS / 10)


def as_planned(context: RunContext, prepared: Prepared) -> RunContext:
    """With batches of the size that was planned, where it matters and memory has decided on it."""
    batch_tokens = prepared.rows.settings.batch_tokens
    if batch_tokens is None:
        return context
    models = replace(context.config.models, batch_tokens=batch_tokens)
    return replace(context, config=replace(context.config, models=models))


def _worker_environment(folder: RunFolder) -> SubprocessSDKEnvironment:
    """How Beam starts a worker: it leaves Ctrl-C to this process, and ends when this one does.

    The shell announces the worker under the number that it keeps, so that even one that dies while
    Python starts is missed.
    """
    arguments = shlex.join([sys.executable, "-m", worker.__name__, folder.folder, str(os.getpid())])
    announce = f': > {shlex.quote(folder.folder)}/"$$.worker"'
    return SubprocessSDKEnvironment.from_command_string(
        f"trap '' INT; {announce}; exec {arguments}"
    )
