"""BERT-family encoders over documents longer than 512 tokens.

The public API is what this module names. Importing it is cheap: torch, Beam and FAISS are
loaded by the functions that need them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longbert.config import DEFAULT_OUTPUT, ModelConfig, RunConfig, run_config
from longbert.errors import (
    ConfigError,
    DocumentError,
    FingerprintError,
    InputError,
    LongbertError,
    ModelError,
    OutputError,
)

if TYPE_CHECKING:
    from longbert.engine.encoder import Encoder
    from longbert.engine.finish import RunResult
    from longbert.index.search import Index

__all__ = [
    "DEFAULT_OUTPUT",
    "ConfigError",
    "DocumentError",
    "FingerprintError",
    "InputError",
    "LongbertError",
    "ModelConfig",
    "ModelError",
    "OutputError",
    "RunConfig",
    "filesystem_for",
    "load",
    "open",
    "run",
    "run_job",
]


def run(
    *inputs: str | Path,
    output: str | Path = "longbert-output",
    runner: str = "DirectRunner",
    workers: int | None = None,
    beam_options: Sequence[str] = (),
    **settings: Any,
) -> dict[str, Any]:
    """Encode documents into an output folder: ``longbert run`` from Python.

    Args:
        inputs: files, folders or globs.
        output: the folder for tables, index and manifest.
        runner: ``"DirectRunner"`` is this machine through Beam, ``"none"`` is this process
            without Beam, any other name is a runner of Beam's.
        workers: processes on this machine; None stays in this one.
        beam_options: options of Beam, ``"--name=value"``.
        settings: the other options of ``longbert run``, ``-`` written ``_``.

    Returns:
        The manifest.

    Raises:
        LongbertError: nothing that was written before is lost.
    """
    config = run_config(
        {"input": [str(path) for path in inputs], "output": str(output), **settings}
    )
    with tempfile.TemporaryDirectory(prefix="longbert-") as meter_folder:
        outcome = run_job(
            config,
            runner=runner,
            workers=workers,
            beam_options=beam_options,
            meter_folder=meter_folder,
        )
    if outcome is None:
        return {}
    from longbert.store.manifest import to_builtins

    return to_builtins(outcome.manifest)


def run_job(
    config: RunConfig,
    *,
    runner: str,
    workers: int | None,
    beam_options: Sequence[str],
    meter_folder: str,
) -> RunResult | None:
    """Run a configuration and count the work in a local folder, for who shows progress.

    Returns:
        None where Beam only wrote a job, as for a template.
    """
    from longbert.engine.context import RunContext
    from longbert.engine.finish import RunInfo
    from longbert.engine.meter import FileMeter
    from longbert.engine.run import run_in_process

    if workers is not None and (type(workers) is not int or workers < 1):
        raise ConfigError(f"workers must be a whole number of at least 1, got {workers!r}")
    if not isinstance(runner, str):
        raise ConfigError(f"runner must be a string such as DirectRunner, got {runner!r}")
    meter = FileMeter(meter_folder)
    info = RunInfo(runner, workers)
    if runner == "none":
        if workers is not None or beam_options:
            raise ConfigError(
                "workers and Beam options need Beam, but the runner is none: use DirectRunner"
            )
        context = RunContext(config, filesystem_for(config.output, *config.inputs), meter)
        return run_in_process(context, info)
    from longbert.beam.filesystem import BeamFileSystem
    from longbert.beam.runners import local_threads, run_on_beam

    context = RunContext(config, BeamFileSystem(), meter, local_threads(workers))
    return run_on_beam(context, info, run_folder=meter_folder, beam_options=beam_options)


def load(**settings: Any) -> Encoder:
    """Load models for use from Python, without Beam.

    Args:
        settings: ``embed``, ``classify``, ``ner``, ``window``, ... as for ``longbert run``.

    Returns:
        An encoder; call it with a text.
    """
    from longbert.engine.encoder import Encoder

    return Encoder(run_config({"input": ["-"], **settings}).models)


def open(folder: str | Path = "longbert-output", *, query_prompt: str | None = None) -> Index:
    """Open a finished output for search.

    Args:
        folder: the output.
        query_prompt: what the model reads before a query; None: what the run recorded, empty:
            nothing.

    Returns:
        An index; ``index.search("a question", k=10)`` ranks the documents.
    """
    from longbert.engine.encoder import open_index

    filesystem = filesystem_for(str(folder))
    return open_index(filesystem, str(folder), query_prompt=query_prompt)


def filesystem_for(*paths: str) -> Any:
    """What opens these paths; Beam is loaded only for those with a scheme."""
    if any("://" in path for path in paths):
        from longbert.beam.filesystem import BeamFileSystem

        return BeamFileSystem()
    from longbert.store.filesystem import LocalFileSystem

    return LocalFileSystem()
