"""The settings of the run that made an output, as its history has them."""

from __future__ import annotations

from longbert.config import RunConfig, run_config
from longbert.config_text import command_of
from longbert.engine.history import read_history
from longbert.errors import ConfigError, OutputError
from longbert.store.folder import OutputFolder
from longbert.store.layout import RUNS


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


def recorded_command(output: OutputFolder) -> tuple[str, ...]:
    """The command that repeats the last run into an output, as far as the history tells."""
    try:
        return command_of(recorded_config(output))
    except OutputError:
        return ("longbert", "run", "...")
