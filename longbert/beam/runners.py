"""Which runner a name means, and running the graph on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from longbert.beam.filesystem import BeamFileSystem
from longbert.beam.meter import CounterMeter
from longbert.beam.pipeline import RunDocuments
from longbert.engine.meter import NullMeter
from longbert.engine.run import Circumstances, Outcome, read_outcome
from longbert.engine.session import Session
from longbert.errors import ConfigError, LongbertError

LOCAL = "DirectRunner"

_REFUSED = {
    "DaskRunner": "it loses data silently (it drops the output of finish_bundle, routes tags "
    "wrongly and runs only the last sink) and reports success",
}


def run_on_beam(
    session: Session, circumstances: Circumstances, *, beam_options: Sequence[str] = ()
) -> Outcome | None:
    """Run the pipeline and wait for it.

    ``DirectRunner`` means Beam's FnApiRunner: the name alone would make Beam look for a runner
    to download, and fall back to another one than offline. With workers it starts processes,
    without it stays in this one.

    Args:
        session: the run.
        circumstances: its runner is the one to take.
        beam_options: as on a command line, ``--name=value``.

    Returns:
        None where the runner does not run the pipeline itself, as when a template is written.

    Raises:
        ConfigError: the runner is unknown or refused, or an option is unknown.
        LongbertError: a step failed.
    """
    name = circumstances.runner
    if name in _REFUSED:
        raise ConfigError(f"runner {name} is refused: {_REFUSED[name]}. Try {LOCAL}")
    is_local = name == LOCAL
    if is_local:
        # Models, settings and output are checked here first, where an error is plain to see.
        rehearsal = replace(session, meter=NullMeter())
        rehearsal.prepare()
        rehearsal.list_files()
    else:
        session = replace(session, filesystem=BeamFileSystem(), meter=CounterMeter())
    options = _options(name, circumstances.workers, beam_options)
    pipeline = beam.Pipeline(runner=FnApiRunner() if is_local else None, options=options)
    pipeline | RunDocuments(session, circumstances)
    try:
        result = pipeline.run()
        if _only_writes_template(options):
            return None
        result.wait_until_finish()
    except Exception as error:
        raise _own_error(session, error) from error
    return read_outcome(session)


def local_threads(workers: int | None) -> int | None:
    """Threads of each process, so that all together use the processor once."""
    if workers is None:
        return None
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _options(name: str, workers: int | None, beam_options: Sequence[str]) -> PipelineOptions:
    if name == LOCAL:
        mode = "in_memory" if workers is None else "multi_processing"
        flags = [
            f"--direct_num_workers={workers or 1}",
            f"--direct_running_mode={mode}",
            # Worker processes share our stderr, which is for progress.
            "--default_sdk_harness_log_level=ERROR",
        ]
    else:
        flags = [f"--runner={name}"]
    options = PipelineOptions([*flags, *beam_options])
    unknown = _unknown(options)
    if unknown:
        raise ConfigError(
            f"Beam does not know the option {', '.join(unknown)}: "
            "see the Beam options behind -- in the guide"
        )
    options.view_as(SetupOptions).save_main_session = False
    return options


def _unknown(options: PipelineOptions) -> list[str]:
    known = options.get_all_options()
    return sorted(set(options.get_all_options(retain_unknown_options=True)) - set(known))


def _only_writes_template(options: PipelineOptions) -> bool:
    return bool(options.get_all_options().get("template_location"))


def _own_error(session: Session, error: Exception) -> Exception:
    """The error that a step of ours left, or one that tells what Beam said."""
    own = session.meter.reported()
    if own is not None:
        return own
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return LongbertError(
        f"the Beam pipeline failed: {last[:500]}. Units that were done are kept: run again to go on"
    )
