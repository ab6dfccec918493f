"""Whole runs, checked and started where their runner wants them.

Nothing heavy is imported before it is needed: a run that finds nothing to do needs no Beam.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from longbert.config import DEFAULT_RUNNER, NO_BEAM, Execution, RunConfig
from longbert.files import filesystem_for

if TYPE_CHECKING:
    from longbert.core.units import Unit
    from longbert.engine.context import RunContext
    from longbert.engine.finish import RunResult
    from longbert.engine.prepare import Prepared
    from longbert.engine.run import RunModels
    from longbert.engine.spool import Spool


def run_job(
    config: RunConfig,
    execution: Execution,
    *,
    meter_folder: str,
    notify: Callable[[str], None],
) -> RunResult | None:
    """Run a configuration.

    Args:
        meter_folder: local, of this run alone; all processes on this machine count their work
            there, for whoever shows progress.
        notify: told in a sentence what is not done as it was asked for.

    Returns:
        None where Beam only wrote a job, as for a template.
    """
    from longbert.engine.context import RunContext
    from longbert.engine.finish import RunInfo
    from longbert.engine.meter import FileMeter
    from longbert.engine.run import run_in_process
    from longbert.readers.settings import ReadSettings

    # Wrong usage is told before anything starts.
    ReadSettings.of_run(config)
    execution = _with_workers_at_most(_n_cores(), execution, notify)
    meter = FileMeter(meter_folder)
    info = RunInfo(execution.runner, execution.workers)
    files = filesystem_for(*config.places)
    if execution.runner == NO_BEAM:
        return run_in_process(RunContext(config, files, meter), info)
    context = RunContext(config, files, meter, _local_threads(execution.workers))
    if _is_plain_local(execution):
        # There is nothing to check before, and a run that finds nothing to do needs no Beam.
        def do_units(
            context: RunContext, units: Spool[Unit], prepared: Prepared, models: RunModels
        ) -> None:
            from longbert.beam.runners import local_units

            local_units(info, run_folder=meter_folder)(context, units, prepared, models)

        return run_in_process(context, info, do_units)
    from longbert.beam.runners import run_on_beam

    return run_on_beam(context, info, run_folder=meter_folder, beam_options=execution.beam_options)


def forecast(config: RunConfig, execution: Execution) -> dict[str, Any]:
    """What a run would do, which changes nothing.

    Returns:
        A :class:`longbert.engine.forecast.Forecast` as plain values.

    Raises:
        LongbertError: the run would be refused before it has a plan.
    """
    if _has_options_of_beam(execution):
        from longbert.beam.runners import check_runner

        check_runner(config, execution)
    from longbert.engine.context import RunContext
    from longbert.engine.forecast import forecast_run
    from longbert.store.record import to_builtins

    files = filesystem_for(*config.places)
    return to_builtins(forecast_run(RunContext(config, files)))


def check_job(config: RunConfig, execution: Execution) -> None:
    """Check what can be checked of a run without reading a file or asking a service.

    Raises:
        ConfigError: the run would be refused.
    """
    from longbert.readers.settings import ReadSettings

    ReadSettings.of_run(config)
    if _has_options_of_beam(execution):
        from longbert.beam.runners import check_options

        check_options(config, execution)


def _has_options_of_beam(execution: Execution) -> bool:
    """Whether there is anything that only Beam can tell right from wrong."""
    return execution.runner != NO_BEAM and not _is_plain_local(execution)


def _is_plain_local(execution: Execution) -> bool:
    return execution.runner == DEFAULT_RUNNER and not execution.beam_options


def _with_workers_at_most(
    n_cores: int, execution: Execution, notify: Callable[[str], None]
) -> Execution:
    """More processes than cores would only wait for each other, each with models of its own."""
    if execution.workers is None or execution.workers <= n_cores:
        return execution
    notify(
        f"workers is {execution.workers:,}, but this machine has {n_cores} "
        f"{'core' if n_cores == 1 else 'cores'}: starting {n_cores}"
    )
    return replace(execution, workers=n_cores)


def _local_threads(workers: int | None) -> int | None:
    """Threads per process, so that all of them together use each core once."""
    return None if workers is None else max(1, _n_cores() // workers)


def _n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
