"""Choose a runner by name, and run the graph on it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from longbert.beam import worker
from longbert.beam.failures import FailureFile, NoFailures, quoted_error
from longbert.beam.filesystem import BeamFileSystem
from longbert.beam.meter import CounterMeter
from longbert.beam.options import only_writes_job, pipeline_options, short_name
from longbert.beam.pipeline import Job, RunDocuments
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo, RunResult, read_result
from longbert.engine.meter import NullMeter
from longbert.engine.plan import list_files
from longbert.engine.prepare import prepare
from longbert.errors import ConfigError, LongbertError

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
    """Run the pipeline and wait for it.

    ``DirectRunner`` means Beam's FnApiRunner: given the name alone, Beam would try to download
    another runner, so online and offline runs would differ. With workers it starts processes,
    otherwise it runs in this one.

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
    name = info.runner
    reason = _REFUSED.get(short_name(name))
    if reason is not None:
        raise ConfigError(f"runner {name} is refused: {reason}. Try {LOCAL}")
    is_local = short_name(name) == short_name(LOCAL)
    if not is_local and info.workers is not None:
        raise ConfigError(
            f"workers are processes of {LOCAL}, but the runner is {name}: give its own option "
            "after --, such as --num_workers=4"
        )
    options = pipeline_options(name, is_local, info.workers, beam_options)
    # Inputs and output may be looked at before the pipeline is there to do so.
    FileSystems.set_options(options)
    if is_local:
        job = Job(context, info, FailureFile(run_folder))
        # Inputs, models, settings and output are checked here first, where errors are easy to
        # see.
        list_files(replace(context, meter=NullMeter()))
        prepare(context, job.models())
    else:
        context = replace(context, filesystem=BeamFileSystem(), meter=CounterMeter())
        job = Job(context, info, NoFailures())
    try:
        runner = _local_runner(info.workers) if is_local else None
        pipeline = beam.Pipeline(runner=runner, options=options)
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        raise ConfigError(f"runner {name}: {_squeezed(error)}") from error
    pipeline | RunDocuments(job)
    try:
        result = pipeline.run()
        if not is_local and only_writes_job(options):
            return None
        state = result.wait_until_finish()
    except Exception as error:
        raise _own_error(job, error) from error
    if state != PipelineState.DONE:
        raise LongbertError(f"the Beam pipeline ended as {state}: run again to continue")
    return read_result(context)


def local_threads(workers: int | None) -> int | None:
    """Threads per process, so that all of them together use each core once."""
    if workers is None:
        return None
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) // workers)
    return max(1, (os.cpu_count() or 1) // workers)


def _local_runner(workers: int | None) -> FnApiRunner:
    """In this process without workers, otherwise in processes that leave Ctrl-C to this one."""
    if workers is None:
        return FnApiRunner()
    python = shlex.quote(sys.executable)
    command = f"trap '' INT; exec {python} -m {worker.__name__}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


def _own_error(job: Job, error: Exception) -> Exception:
    """The error that our step left or Beam quotes, or else one with Beam's message."""
    own = job.failures.first() or quoted_error(f"{_name(error)}: {error}")
    if own is not None:
        return own
    # Dataflow ends with the line "None" if it has no message.
    lines = [line for line in str(error).splitlines() if line.strip() not in ("", "None")]
    last = (lines or [type(error).__name__])[-1]
    return LongbertError(
        f"the Beam pipeline failed: {last[:500]}. Completed units are kept: run again to continue"
    )


def _name(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _squeezed(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
