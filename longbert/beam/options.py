"""Options of Beam as the user gives them: each one reaches Beam, or is refused."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

from longbert.errors import ConfigError, shown

_REFUSED = {
    "runner": "name the runner before --",
    "streaming": "a run reads what is there, then ends",
    "save_main_session": "workers import longbert and need nothing of the process that starts them",
}

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
        raise ConfigError(
            f"Beam does not know the option {', '.join(unknown)}: see the Beam options after -- "
            "in the guide"
        )
    if only_writes_job(options) and short_name(runner) != "dataflow":
        raise ConfigError(
            "the Beam options --dry_run and --template_location are DataflowRunner's, but the "
            f"runner is {runner}: leave them out"
        )
    _check_dry_run(options)
    _check_accelerator(options)
    if short_name(runner) == "dataflow":
        _check_image(options)
    options.view_as(SetupOptions).save_main_session = False
    return options


def only_writes_job(options: PipelineOptions) -> bool:
    """Whether Beam only writes or checks the job, instead of starting it."""
    values = options.get_all_options()
    return bool(values.get("template_location") or values.get("dry_run"))


def short_name(runner: str) -> str:
    """A runner's name as Beam compares it: any case, with or without module and ``Runner``."""
    return runner.rpartition(".")[2].lower().removesuffix("runner")


def _check_accelerator(options: PipelineOptions) -> None:
    """Dataflow takes an accelerator for all workers, or for those of some steps, but not both."""
    values = options.get_all_options()
    by_hint = any("accelerator=" in one for one in values["resource_hints"] or ())
    by_service = {
        one
        for one in values["dataflow_service_options"] or ()
        if one.startswith("worker_accelerator=")
    }
    if by_hint and by_service:
        raise ConfigError(
            "the Beam options name an accelerator twice: keep --dataflow_service_options="
            "worker_accelerator=..., and leave it out of --resource_hints"
        )
    if len(by_service) > 1:
        raise ConfigError(
            "the Beam options name an accelerator twice, with two --dataflow_service_options="
            "worker_accelerator=...: keep one; those of a configuration file and of the command "
            "line add up"
        )


def _check_dry_run(options: PipelineOptions) -> None:
    """Beam would take any value for yes, False among them."""
    value = options.get_all_options()["dry_run"]
    if value is not False and value.lower() != "true":
        raise ConfigError(
            f"the Beam option --dry_run takes no value but True, got {shown(value)}: leave the "
            "option out to run the job"
        )


def _check_image(options: PipelineOptions) -> None:
    """Dataflow would start workers from Beam's image, which has no longbert, again and again."""
    values = options.get_all_options()
    if not any(values[name] for name in _BRING_LONGBERT):
        raise ConfigError(
            "Dataflow's workers would not have longbert: name an image that holds it with the Beam "
            "option --sdk_container_image (docs/dataflow.md tells how to make it), or have it "
            "installed with --setup_file, --requirements_file or --extra_packages"
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
