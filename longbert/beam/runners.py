"""Choose a runner by name, and run on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState, create_runner

from longbert.beam.failures import RunFolder, own_errors
from longbert.beam.filesystem import BeamFileSystem
from longbert.beam.job import Job
from longbert.beam.job_servers import check_job_server, fetch_error
from longbert.beam.local import LocalUnits
from longbert.beam.meter import CounterMeter
from longbert.beam.options import check_needed, only_writes_job, pipeline_options, short_name
from longbert.beam.pipeline import RunDocuments
from longbert.config import Execution, RunConfig
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo, RunResult, read_result
from longbert.engine.run import refuse_file, run_in_process
from longbert.errors import ConfigError, LongbertError
from longbert.store.lock import locked

LOCAL = "DirectRunner"

_REFUSED = {
    "dask": "it loses data silently (it drops the output of finish_bundle, routes tags "
    "wrongly and runs only the last sink) and reports success",
}


def run_on_beam(
    context: RunContext,
    info: RunInfo,
    *,
    run_folder: str,
    beam_options: Sequence[str] = (),
) -> RunResult | None:
    """Run on a runner of Beam's, and wait for it.

    ``DirectRunner`` means Beam's FnApiRunner: given the name alone, Beam would try to download
    another runner, so online and offline runs would differ. There this process plans and
    finishes, and Beam makes the units: with workers in processes of its own, otherwise in this one.
    On any other runner all steps are part of the graph.

    Args:
        context: the run.
        info: names the runner.
        run_folder: local, used by this run only, for what processes on this machine leave.
        beam_options: as on the command line, ``--name=value``.

    Returns:
        None if the runner does not run the pipeline itself, as when writing a template.

    Raises:
        ConfigError: the runner is unknown or refused, or an option is unknown.
        LongbertError: a step failed.
    """
    if _is_local(info.runner):
        units = local_units(info, run_folder=run_folder, beam_options=beam_options)
        return run_in_process(context, info, units)
    options = _remote_options(context.config, info, beam_options)
    # Inputs and output may be looked at before the pipeline is there to do so.
    FileSystems.set_options(options)
    return _run_remotely(context, info, options)


def check_runner(config: RunConfig, execution: Execution) -> None:
    """Check all that :func:`run_on_beam` checks before it starts anything.

    Raises:
        ConfigError: the runner is unknown or refused, or an option is unknown.
    """
    options = check_options(config, execution)
    if not _is_local(execution.runner):
        _pipeline(RunInfo(execution.runner, execution.workers), options)


def check_options(config: RunConfig, execution: Execution) -> PipelineOptions:
    """Check a runner's name and its options, which asks no service.

    What the runner itself wants, as a project or a job server, is not checked: Dataflow's looks at
    buckets for it, and may make one.

    Raises:
        ConfigError: the runner is unknown or refused, or an option is unknown.
    """
    info = RunInfo(execution.runner, execution.workers)
    if _is_local(info.runner):
        return pipeline_options(info.runner, True, info.workers, execution.beam_options)
    return _remote_options(config, info, execution.beam_options)


def _is_local(runner: str) -> bool:
    """Whether a runner is this machine.

    Raises:
        ConfigError: it is refused.
    """
    reason = _REFUSED.get(short_name(runner))
    if reason is not None:
        raise ConfigError(f"runner {runner} is refused: {reason}. Try {LOCAL}")
    return short_name(runner) == short_name(LOCAL)


def _remote_options(
    config: RunConfig, info: RunInfo, beam_options: Sequence[str]
) -> PipelineOptions:
    options = pipeline_options(info.runner, False, info.workers, beam_options)
    if info.workers is not None:
        raise ConfigError(
            f"workers are processes of {LOCAL}, but the runner is {info.runner}: give its own "
            "option after --, such as --num_workers=4"
        )
    if config.max_errors != RunConfig.max_errors:
        raise ConfigError(
            f"max_errors is counted on this machine, but the runner is {info.runner}: leave it "
            f"out, or use {LOCAL}"
        )
    for setting, folder in _folders(options.get_all_options()):
        # Beam would wait for it for minutes.
        if "://" not in folder and not os.path.isdir(folder):
            raise ConfigError(
                f"{setting} needs the folder {folder!r}, which does not exist: create it, or name "
                "another"
            )
    with _as_config_error(info.runner):
        create_runner(info.runner)
    check_needed(info.runner, options)
    return options


def _pipeline(info: RunInfo, options: PipelineOptions) -> beam.Pipeline:
    check_job_server(info.runner, options)
    with _as_config_error(info.runner):
        return beam.Pipeline(options=options)


@contextmanager
def _as_config_error(runner: str) -> Iterator[None]:
    """What Beam says of a runner, as our error."""
    try:
        yield
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        reason = _squeezed(error).replace("apache_beam[", "longbert[")
        raise ConfigError(f"runner {runner}: {reason}") from error


def _folders(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Folders that Beam writes to, with the options that name them."""
    for setting in ("temp_location", "staging_location"):
        if options.get(setting):
            yield setting, options[setting]
    template = options.get("template_location")
    if template:
        yield "template_location", os.path.dirname(template) or "."


def _run_remotely(context: RunContext, info: RunInfo, options: PipelineOptions) -> RunResult | None:
    """Hand in the graph of a whole run, and wait for it."""
    context = replace(context, filesystem=BeamFileSystem(), meter=CounterMeter())
    refuse_file(context)
    pipeline = _pipeline(info, options)
    pipeline | RunDocuments(Job(context, info))
    if only_writes_job(options):
        with own_errors():
            pipeline.run()
        return None
    # The lock is held for as long as this process waits; a job that goes on without it is told
    # from another by the manifest alone.
    with locked(context.output), own_errors():
        state = _started(pipeline, info, options).wait_until_finish()
    if state != PipelineState.DONE:
        raise LongbertError(f"the Beam pipeline ended as {state}: run again to continue")
    return read_result(context)


def _started(pipeline: beam.Pipeline, info: RunInfo, options: PipelineOptions) -> PipelineResult:
    try:
        return pipeline.run()
    except RuntimeError as error:
        raise fetch_error(info.runner, options, error) or error from error


def local_units(info: RunInfo, *, run_folder: str, beam_options: Sequence[str] = ()) -> LocalUnits:
    """What makes units with ``DirectRunner``; see :func:`run_on_beam`.

    Raises:
        ConfigError: an option is unknown.
    """
    options = pipeline_options(info.runner, True, info.workers, beam_options)
    return LocalUnits(options, info, RunFolder(run_folder), n_workers=info.workers)


def _squeezed(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
