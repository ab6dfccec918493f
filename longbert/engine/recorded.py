"""The settings of the run that made an output, as its history has them."""

from __future__ import annotations

import shlex
from typing import Any

from longbert.config import RunConfig, run_config
from longbert.config_text import command_of
from longbert.engine.history import read_history
from longbert.errors import ConfigError, OutputError
from longbert.store.folder import OutputFolder
from longbert.store.layout import RUNS

_UNKNOWN = "..."
"""In place of inputs, which the history alone knows."""


def recorded_config(output: OutputFolder) -> RunConfig:
    """The settings of the last run into an output, which may have been moved since.

    Raises:
        OutputError: the history is missing or damaged.
    """
    runs = read_history(output).runs
    if not runs:
        raise OutputError(
            f"{output.join(RUNS)} is missing or damaged, so nothing tells with which settings the "
            "output was made: restore it, or run longbert again with the same settings"
        )
    try:
        return run_config({**runs[-1].settings, "output": output.path})
    except ConfigError as error:
        raise OutputError(
            f"{output.join(RUNS)} has settings that this version of longbert does not take "
            f"({error}): use the version that wrote it"
        ) from None


def recorded_command(output: OutputFolder) -> str:
    """The shell command that repeats the last run into an output, as far as its records tell."""
    try:
        return shlex.join(command_of(recorded_config(output)))
    except OutputError:
        known = run_config(
            {"input": _UNKNOWN, "output": output.path, **_published_settings(output)}
        )
        command = shlex.join(command_of(known))
        return f"{command}  # with the inputs and options of the run that made it"


def _published_settings(output: OutputFolder) -> dict[str, Any]:
    """Settings that the manifest knows; none if that cannot be read, either."""
    try:
        manifest = output.manifest()
    except OutputError:
        manifest = None
    if manifest is None:
        return {}
    rows, models, index = manifest.rows.settings, manifest.models, manifest.index_settings
    windows = {one.window for one in rows.passes}
    return {
        **{name: list(named) for name, named in models.heads.items()},
        "embed": models.embed_path or models.embed,
        "id_field": rows.id_field,
        "text_field": rows.text_field,
        "window": windows.pop() if len(windows) == 1 else None,
        "passage": rows.passage,
        "precision": rows.precision,
        "window_scores": rows.window_scores,
        "metric": None if index is None else index.metric,
        "language": manifest.lexical_settings.language,
    }
