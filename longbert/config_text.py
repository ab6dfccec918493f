"""A run's settings as text: the TOML file that may hold them, and the command that has them."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from longbert.config import NONE, SETTING_TYPES, Execution, ModelConfig, RunConfig, run_config
from longbert.errors import ConfigError, shown
from longbert.settings import check_known, check_setting
from longbert.tasks import TASKS

_PATHS = {"input", "output", *TASKS}


def read_toml(text: str, *, name: str) -> dict[str, Any]:
    """Parse a configuration file: the options of ``longbert run``, ``-`` written ``_``.

    A ``~`` at the beginning of a path is the home folder, as it is in a shell.

    Args:
        text: the file's content.
        name: the file's path, for messages.

    Raises:
        ConfigError: not TOML, a key that is no option, or a value that the option does not take.
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{name} is not valid TOML: {error}. Mend that line; texts need quotes"
        ) from None
    try:
        check_known(settings, SETTING_TYPES.keys())
        return {
            key: _at_home(key, check_setting(key, value, SETTING_TYPES[key]))
            for key, value in settings.items()
        }
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def write_toml(config: RunConfig, execution: Execution) -> str:
    """Write a configuration so that :func:`read_toml` gives it back.

    Settings that are left to the model or the machine are named in a comment.

    Raises:
        ConfigError: a path is not valid Unicode, which TOML cannot say.
    """
    settings = flat_settings(config) | dict(_flat(execution))
    lines = [
        f"{key} = {_toml_value(key, value)}\n"
        for key, value in settings.items()
        if value is not None
    ]
    unset = [key for key, value in settings.items() if value is None]
    if unset:
        lines.append(f"# Left to the models and the machine: {', '.join(unset)}\n")
    return "".join(lines)


def flat_settings(config: RunConfig) -> dict[str, Any]:
    """All settings of a run, as :func:`run_config` takes them."""
    return {**dict(_flat(config)), **dict(_flat(config.models))}


def command_of(config: RunConfig) -> tuple[str, ...]:
    """The ``longbert run`` that has these settings; those with their defaults are left out."""
    plain = flat_settings(run_config({"input": config.inputs}))
    settings = flat_settings(config)
    # Naming a model for one task switches off the default ones of the others.
    names_models = any(settings[task] != plain[task] for task in TASKS)
    arguments = ["longbert", "run"]
    for key, value in settings.items():
        is_named = key == "input" or (names_models and key in TASKS)
        if value == plain[key] and not is_named:
            continue
        option = f"--{key.replace('_', '-')}"
        if value is True:
            arguments.append(option)
        elif isinstance(value, tuple):
            arguments += [word for one in value or (NONE,) for word in (option, one)]
        else:
            arguments += [option, str(value)]
    return tuple(arguments)


def _toml_value(key: str, value: Any) -> str:
    if key in _PATHS:
        value = _literal(value) if isinstance(value, str) else tuple(map(_literal, value))
    # TOML takes what JSON escapes, and wants DEL escaped as well.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{key} is not valid Unicode, so it cannot be written as TOML: {shown(value)}"
        ) from None
    return text


def _literal(path: str) -> str:
    """A path that means the same in a file, where ``~`` is the home folder."""
    return f"./{path}" if path.startswith("~") else path


def _at_home(key: str, value: Any) -> Any:
    if key not in _PATHS:
        return value
    if isinstance(value, tuple):
        return tuple(map(os.path.expanduser, value))
    return os.path.expanduser(value)


def _flat(part: RunConfig | ModelConfig | Execution) -> Iterator[tuple[str, Any]]:
    for one in fields(part):
        if one.name != "models":
            yield "input" if one.name == "inputs" else one.name, getattr(part, one.name)
