"""``longbert run``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from longbert import launch
from longbert.cli.command import Command
from longbert.cli.forecast import forecast_lines
from longbert.cli.options import (
    PATH,
    default_of,
    field_options,
    given,
    model_options,
    output_option,
    query_prompt_option,
    reading_options,
    vector_options,
)
from longbert.cli.streams import say, standard_output
from longbert.config import (
    CLASSIFY_POOLINGS,
    ENTITY_DECODINGS,
    ENTITY_STITCHINGS,
    ENTITY_STRATEGIES,
    LANGUAGES,
    METRICS,
    Execution,
    ModelConfig,
    RunConfig,
    job_config,
)
from longbert.config_text import read_toml, write_toml
from longbert.errors import ConfigError
from longbert.tasks import TASKS

_EXAMPLES = """
\b
Examples:
  longbert run --input docs/
  longbert run --input 'cases/**/*.txt' --input more.jsonl.gz --output out
  longbert run --input docs/ --ner ./my-ner-model --classify ./my-classifier
  longbert run --input docs/ --embed none
  longbert run --input docs/ --workers 4
  longbert run --input docs/ --window 128 --print-config > run.toml
  longbert run --config run.toml
  longbert run --input docs/ --dry-run
  longbert run --input docs/ --prune
  longbert run --input gs://bucket/docs --output gs://bucket/out \\
      --runner DataflowRunner -- --project=my-project --region=europe-west4 \\
      --temp_location=gs://bucket/tmp --sdk_container_image=REPOSITORY/longbert-cpu:0.1.0

\b
Exit status: 0 done; 1 failed; 2 wrong usage; 3 done, but some documents are in
errors; 4 the output belongs to other settings; 5 another run is writing it;
130 and 143 stopped by Ctrl-C and SIGTERM.
"""


class _Run(Command):
    """The command, which says where an option belongs that it does not know."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.NoSuchOption(
                error.option_name,
                f"No such option {error.option_name!r}; options of Beam go behind --.",
                error.possibilities,
                ctx,
            ) from None


SECTIONS = {
    "Input and output": (
        "input_",
        "output",
        "id_field",
        "text_field",
        *("encoding", "max_record_bytes", "max_text_bytes", "max_metadata_bytes"),
        "unit_bytes",
    ),
    "Running again": ("prune", "keep_missing", "retry_errors", "accept_drift"),
    "Models": (*TASKS, "query_prompt", "document_prompt", "trust_pickle", "trust_remote_code"),
    "Windows and passages": ("window", "overlap", "passage"),
    "Results": (
        *("entity_strategy", "entity_stitching", "entity_decoding"),
        *("classify_pooling", "window_scores"),
        "language",
    ),
    "Index of vectors": ("metric", "type", "memory", "recall"),
    "Stopping and looking ahead": ("max_errors", "dry_run", "print_config"),
    "Computing": ("device", "precision", "batch_tokens", "runner", "workers"),
}


@click.command(cls=_Run, epilog=_EXAMPLES, sections=SECTIONS)
@click.option(
    "--input",
    "input_",
    type=PATH,
    metavar="PATH",
    multiple=True,
    help="File, folder (recursive) or glob: .txt .md .rst .html .jsonl .jsonl.gz .parquet; "
    "repeatable.  [required, here or in --config]",
)
@output_option
@click.option(
    "--runner",
    metavar="NAME",
    help="DirectRunner (Beam's FnApiRunner on this machine), none (no Beam), or another runner "
    f"of Beam's.  {default_of(Execution, 'runner')}",
)
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Processes on this machine, at most one for each core.  [default: this process alone]",
)
@model_options
@click.option(
    "--batch-tokens",
    type=int,
    metavar="N",
    help="Positions of a batch, padding included.  [default: 2048 on a CPU, 65536 elsewhere]",
)
@click.option(
    "--entity-strategy",
    type=click.Choice(ENTITY_STRATEGIES),
    help="How the tokens of a word agree on a label.  "
    f"{default_of(ModelConfig, 'entity_strategy')}",
)
@click.option(
    "--entity-stitching",
    type=click.Choice(ENTITY_STITCHINGS),
    help="What a token in an overlap scores: as in the window that gives it most context, the "
    "mean over its windows, or a mean that falls toward a window's edges.  "
    f"{default_of(ModelConfig, 'entity_stitching')}",
)
@click.option(
    "--entity-decoding",
    type=click.Choice(ENTITY_DECODINGS),
    help="Each word's best label, or the document's best sequence that the tagging scheme allows."
    "  [default: as the head learned it, else greedy]",
)
@click.option(
    "--classify-pooling",
    type=click.Choice(CLASSIFY_POOLINGS),
    help="How the logits of windows become those of the document; head+tail reads one window of "
    "its first and last tokens.  [default: as the head learned it, else mean]",
)
@click.option(
    "--window-scores",
    is_flag=True,
    help="Write the classes of each window as well (window_scores).  [default: off]",
)
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="How vectors are compared.  [default: what the model declares, else cosine]",
)
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    metavar="CODE",
    help="Language in which words are stemmed for search, as en; auto detects each document's, "
    f"none leaves words as they are.  {default_of(RunConfig, 'language')}",
)
@query_prompt_option("what the model declares")
@vector_options
@field_options
@reading_options
@click.option(
    "--unit-bytes",
    type=int,
    metavar="N",
    help=f"Input bytes of a unit of work.  {default_of(RunConfig, 'unit_bytes')}",
)
@click.option(
    "--accept-drift",
    is_flag=True,
    help="Go on with an output whose rows were made by other library versions or on another "
    "processor.  [default: refused]",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Drop the rows of documents that are gone from the inputs, however many they are.  "
    "[default: up to a tenth of them]",
)
@click.option(
    "--keep-missing",
    is_flag=True,
    help="Keep the rows of documents that are gone from the inputs.  [default: dropped]",
)
@click.option(
    "--retry-errors",
    is_flag=True,
    help="Try again all documents that failed.  [default: those that the machine failed]",
)
@click.option(
    "--max-errors",
    metavar="N|P%",
    help="Stop when more documents fail in this run, or a larger share of those to do; errors of "
    "earlier runs do not count.  What is done is kept.  "
    f"{default_of(RunConfig, 'max_errors')}",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print as JSON what would be encoded, copied and dropped, change nothing, and exit as the "
    "run would, as far as that is known.",
)
@click.option(
    "--config",
    "config_file",
    type=PATH,
    metavar="FILE",
    help="TOML file with these options, - written _; the command line wins, its options of Beam "
    "come after those of the file.  [default: none]",
)
@click.option(
    "--print-config",
    is_flag=True,
    help="Print the settings as a file for --config, refuse what the run would refuse of them, and "
    "run nothing.",
)
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    config_file: str | None,
    print_config: bool,
    dry_run: bool,
    beam_options: tuple[str, ...],
    **options: Any,
) -> None:
    """Encode long documents into tables and an index.

    Splits every document into overlapping windows, encodes each text once for all heads that
    share a backbone, and writes Parquet tables and indexes of vectors and words. Run again, it
    goes on where it was stopped, and encodes only what is new or has changed. With --embed none and
    no head it loads no model, and documents are found by their words.
    """
    own = {**options, "beam_options": _with_values(beam_options)}
    settings = _with_own(_from_file(config_file), given(own))
    if not settings.get("input"):
        raise click.UsageError("--input is missing: name the files or folders to read")
    config, execution = job_config(settings)
    if print_config:
        launch.check_job(config, execution)
        with standard_output(for_programs=True) as stream:
            stream.write(write_toml(config, execution))
        return
    if dry_run:
        ctx.exit(_forecast(config, execution))
    elif _run(config, execution):
        ctx.exit(3)


def _with_values(arguments: Sequence[str]) -> tuple[str, ...]:
    """Beam's options as ``--name=value``, which may be given as ``--name value``.

    Raises:
        click.UsageError: an argument belongs to no option.
    """
    joined: list[str] = []
    for argument in arguments:
        if argument.startswith("-"):
            joined.append(argument)
        elif joined and "=" not in joined[-1]:
            joined[-1] += f"={argument}"
        else:
            raise click.UsageError(f"unexpected argument {argument!r}: name inputs with --input")
    return tuple(joined)


def _with_own(file: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Settings of a file and of the command line, which wins.

    Options of Beam come one after another, so that Beam takes the last of those that it takes once,
    and all of those that may be repeated.
    """
    beam_options = (*file.get("beam_options", ()), *own.get("beam_options", ()))
    return file | own | ({"beam_options": beam_options} if beam_options else {})


def _not_run(beam_options: Sequence[str]) -> str:
    """What has become of a job that Beam has not run."""
    names = {option.partition("=")[0] for option in beam_options}
    if "--dry_run" in names:
        return "the options were checked and the job was put together; nothing was written or run"
    return "the job was written, not run"


def _run(config: RunConfig, execution: Execution) -> int:
    """Run, show progress and a summary, and return how many documents are in errors."""
    from rich.console import Console

    from longbert.cli.progress import ProgressDisplay, stopped_line, summary_lines
    from longbert.engine.meter import FileMeterReader

    with tempfile.TemporaryDirectory(prefix="longbert-") as meter_folder:
        reader = FileMeterReader(meter_folder)
        try:
            with ProgressDisplay(reader, Console(stderr=True)):
                result = launch.run_job(config, execution, meter_folder=meter_folder, notify=say)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(stopped_line(reader.totals())) from stop
        totals = reader.totals()
    if result is None:
        say(_not_run(execution.beam_options))
        return 0
    for line in summary_lines(result, totals, config.output):
        say(line)
    return int(result.manifest.counts.get("errors", 0))


def _forecast(config: RunConfig, execution: Execution) -> int:
    """Print what a run would do, as data and in sentences; returns its exit status."""
    forecast = launch.forecast(config, execution)
    with standard_output(for_programs=True) as stream:
        json.dump(forecast, stream, indent=1)
        stream.write("\n")
    for line in forecast_lines(forecast, config.output):
        say(line)
    status: int = forecast["status"]
    return status


def _from_file(config_file: str | None) -> dict[str, Any]:
    if config_file is None:
        return {}
    try:
        text = Path(config_file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"--config {config_file} cannot be read ({error.strerror or error}): name a TOML file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"--config {config_file} is not UTF-8 (byte {error.start + 1}): save it as UTF-8"
        ) from None
    return read_toml(text, name=config_file)
