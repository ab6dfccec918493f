"""Options of Beam as the user gives them: each one reaches Beam, or is refused."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, SetupOptions

from longbert.config import SETTING_TYPES
from longbert.errors import ConfigError, nearest, shown

_REFUSED = {
    "runner": "name the runner before --",
    "streaming": "a run reads what is there, then ends",
    "save_main_session": "workers import longbert and need nothing of the process that starts them",
    "direct_num_workers": "name processes with --workers before --",
    "direct_running_mode": "name processes with --workers before --",
}

_NEEDED_ON_DATAFLOW = {
    "project": "the project that pays",
    "temp_location": "a folder in a bucket, gs://bucket/tmp",
}
"""Beam says so only when it starts the job, and makes a bucket of its own for what it lacks."""

_OWN = frozenset({*SETTING_TYPES, "config", "dry_run", "print_config"})
"""Options of `longbert run`."""

_ENVIRONMENTS = ("DOCKER", "EXTERNAL", "LOOPBACK", "PROCESS")

_BRING_LONGBERT = ("sdk_container_image", "setup_file", "requirements_file", "extra_packages")
"""What can give Dataflow's workers the package."""


def pipeline_options(
    runner: str, is_local: bool, workers: int | None, given: Sequence[str]
) -> PipelineOptions:
    """Options of a pipeline.

    Args:
        runner: by name.
        is_local: whether Beam's FnApiRunner runs it on this machine.
        workers: processes of that runner; None: this process.
        given: as on the command line, ``--name=value``.

    Raises:
        ConfigError: Beam does not know an option, or it is refused.
    """
    if is_local:
        flags = [
            f"--direct_num_workers={workers or 1}",
            # Any other mode would use Beam's processes instead of ours.
            "--direct_running_mode=in_memory",
        ]
    else:
        flags = [f"--runner={runner}"]
    for option in given:
        name = option.partition("=")[0].removeprefix("--")
        if name in _REFUSED:
            raise ConfigError(f"the Beam option --{name} is not allowed here: {_REFUSED[name]}")
    given = _spelled_out(given)
    options = PipelineOptions([*flags, *given])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            unknown = _unknown(options, given)
    except SystemExit:
        # Beam parses options like a command: it prints what is wrong, then exits.
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(f"Beam options: {reason}") from None
    if unknown:
        raise ConfigError(_of_unknown(unknown))
    if only_writes_job(options) and short_name(runner) != "dataflow":
        raise ConfigError(
            "the Beam options --dry_run and --template_location are DataflowRunner's, but the "
            f"runner is {runner}: leave them out"
        )
    values = options.get_all_options()
    _check_dry_run(values)
    _check_accelerator(values)
    options.view_as(SetupOptions).save_main_session = False
    return options


def check_needed(runner: str, options: PipelineOptions) -> None:
    """Check that a runner is told what it needs, which Beam would find missing late, or not at all.

    Args:
        runner: by name.
        options: of the pipeline.

    Raises:
        ConfigError: something is missing or misspelt.
    """
    if short_name(runner) == "dataflow":
        _check_dataflow(options)
    elif short_name(runner) == "portable":
        _check_portable(options)


def only_writes_job(options: PipelineOptions) -> bool:
    """Whether Beam only writes or checks the job, instead of starting it."""
    values = options.get_all_options()
    return bool(values.get("template_location") or values.get("dry_run"))


def short_name(runner: str) -> str:
    """A runner's name as Beam compares it: any case, with or without module and ``Runner``."""
    return runner.rpartition(".")[2].lower().removesuffix("runner")


def _check_accelerator(values: Mapping[str, Any]) -> None:
    """Dataflow takes an accelerator for all workers, or for those of some steps, but not both."""
    by_hint = any("accelerator" in one for one in values["resource_hints"] or ())
    for_all = (*(values["dataflow_service_options"] or ()), *(values["experiments"] or ()))
    by_service = {one for one in for_all if one.startswith("worker_accelerator=")}
    if by_hint and by_service:
        raise ConfigError(
            "the Beam options name an accelerator twice: keep --dataflow_service_options="
            "worker_accelerator=..., and leave it out of --resource_hints"
        )
    if len(by_service) > 1:
        raise ConfigError(
            "the Beam options name an accelerator twice: keep one --dataflow_service_options="
            "worker_accelerator=..., and none in --experiments; those of a configuration file and "
            "of the command line add up"
        )


def _check_dry_run(values: Mapping[str, Any]) -> None:
    """Beam would take any value for yes, False among them."""
    value = values["dry_run"]
    if value is not False and value.lower() != "true":
        raise ConfigError(
            f"the Beam option --dry_run takes no value but True, got {shown(value)}: leave the "
            "option out to run the job"
        )


def _check_dataflow(options: PipelineOptions) -> None:
    values = options.get_all_options()
    missing = [
        f"--{name} ({what})" for name, what in _NEEDED_ON_DATAFLOW.items() if not values[name]
    ]
    if missing:
        raise ConfigError(
            f"DataflowRunner needs the Beam option {' and '.join(missing)} after --: see "
            "docs/dataflow.md"
        )
    # Dataflow would start workers from Beam's image, which has no longbert, again and again.
    if not any(values[name] for name in _BRING_LONGBERT):
        raise ConfigError(
            "Dataflow's workers would not have longbert: name an image that holds it with the Beam "
            "option --sdk_container_image (docs/dataflow.md tells how to make it), or have it "
            "installed with --setup_file, --requirements_file or --extra_packages"
        )


def _check_portable(options: PipelineOptions) -> None:
    portable = options.view_as(PortableOptions)
    if not portable.job_endpoint:
        raise ConfigError(
            "PortableRunner needs the Beam option --job_endpoint=HOST:PORT, or embed for a job "
            "service of its own"
        )
    kind = portable.environment_type
    if kind and kind not in _ENVIRONMENTS and not kind.startswith("beam:env:"):
        raise ConfigError(
            f"the Beam option --environment_type must be one of {', '.join(_ENVIRONMENTS)}, got "
            f"{shown(kind)}{nearest(kind, _ENVIRONMENTS)}"
        )


def _spelled_out(given: Sequence[str]) -> list[str]:
    """``--dry_run`` with the value that Beam's parser asks for, like no other switch's."""
    following = (*given[1:], "--")[: len(given)]
    return [
        f"{option}=True" if option == "--dry_run" and after.startswith("-") else option
        for option, after in zip(given, following, strict=True)
    ]


def _unknown(options: PipelineOptions, given: Sequence[str]) -> list[str]:
    """What Beam's parser leaves, which Beam itself would drop."""
    parsers: list[argparse.ArgumentParser] = []
    options.get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    _, left = parser.parse_known_args(given)
    return [one.partition("=")[0] or one for one in left]


def _of_unknown(unknown: Sequence[str]) -> str:
    """What is to be said of what Beam does not know."""
    own = [one for one in unknown if one.removeprefix("--").replace("-", "_") in _OWN]
    if own:
        return f"options of longbert go before --: {', '.join(own)}"
    return (
        f"Beam does not know the option {', '.join(unknown)}: see the options of Beam in the "
        "guide. A value follows its option behind =, or as an argument of its own"
    )
