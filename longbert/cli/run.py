"""``longbert run``."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import longbert
from longbert.config import (
    CLASSIFY_POOLINGS,
    DEFAULT_OUTPUT,
    DEVICES,
    ENTITY_DECODINGS,
    ENTITY_STITCHINGS,
    ENTITY_STRATEGIES,
    METRICS,
    PRECISIONS,
    read_toml,
    run_config,
)

_EXAMPLES = """
\b
Examples:
  longbert run --input docs/
  longbert run --input 'cases/**/*.txt' --input more.jsonl.gz --output out
  longbert run --input docs/ --ner ./my-ner-model --classify ./my-classifier
  longbert run --input docs/ --workers 4
  longbert run --config run.toml
  longbert run --input gs://bucket/docs --output gs://bucket/out \\
      --runner DataflowRunner -- --project=my-project --region=europe-west1

\b
Exit status: 0 done; 1 failed; 2 wrong usage; 3 done, but some documents are in
errors; 4 the output belongs to other settings.
"""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how documents are split for which models."""
    for option in reversed(
        [
            click.option(
                "--embed",
                metavar="MODEL",
                help="Embedding model: a folder, a packaged name, a hub id with optional "
                "@revision, or none.  [default: minilm]",
            ),
            click.option(
                "--classify",
                metavar="MODEL",
                multiple=True,
                help="Document classifier: a checkpoint, a head of longbert train, or none; "
                "repeatable.  [default: sentiment-en, if no model is named]",
            ),
            click.option(
                "--ner",
                metavar="MODEL",
                multiple=True,
                help="Entity model: a checkpoint, a head of longbert train, or none; repeatable.  "
                "[default: entities-en, if no model is named]",
            ),
            click.option(
                "--window",
                type=int,
                metavar="TOKENS",
                help="Positions of a window, special tokens included.  [default: what the model "
                "declares]",
            ),
            click.option(
                "--overlap",
                type=int,
                metavar="TOKENS",
                help="Content tokens shared by neighbouring windows.  [default: a quarter]",
            ),
            click.option(
                "--passage",
                type=int,
                metavar="TOKENS",
                help="Content tokens of a passage.  [default: 64]",
            ),
            click.option(
                "--document-prompt",
                metavar="TEXT",
                help="What the embedding model reads before each window of a document; an empty "
                "one switches it off.  [default: what the model declares]",
            ),
            click.option(
                "--device", type=click.Choice(DEVICES), help="Where to compute.  [default: auto]"
            ),
            click.option(
                "--precision",
                type=click.Choice(PRECISIONS),
                help="Number type to compute in; auto takes bfloat16 where the processor is fast "
                "at it.  [default: auto]",
            ),
            click.option("--trust-pickle", is_flag=True, help="Load pickled weights."),
            click.option("--trust-remote-code", is_flag=True, help="Run code of the model's."),
        ]
    ):
        command = option(command)
    return command


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were on the command line; 0 is a value, an absent flag is none."""
    return {
        name.rstrip("_"): value
        for name, value in options.items()
        if value is not None and value is not False and value != ()
    }


@click.command(epilog=_EXAMPLES)
@click.option(
    "--input",
    "input_",
    metavar="PATH",
    multiple=True,
    help="File, folder (recursive) or glob: .txt .md .rst .html .jsonl .jsonl.gz .parquet; "
    "repeatable.",
)
@click.option("--output", metavar="DIR", help=f"Output folder.  [default: {DEFAULT_OUTPUT}]")
@click.option(
    "--runner",
    metavar="NAME",
    help="DirectRunner (Beam's FnApiRunner on this machine), none (no Beam), or another runner "
    "of Beam's.  [default: DirectRunner]",
)
@click.option("--workers", type=int, metavar="N", help="Processes on this machine.")
@model_options
@click.option("--batch-tokens", type=int, metavar="N", help="Positions of a batch.")
@click.option(
    "--entity-strategy",
    type=click.Choice(ENTITY_STRATEGIES),
    help="How the tokens of a word agree on a label.  [default: first]",
)
@click.option(
    "--entity-stitching",
    type=click.Choice(ENTITY_STITCHINGS),
    help="Scores of a token in an overlap: of the window that gives it most context, the mean, or "
    "a mean that falls toward a window's edges.  [default: owner]",
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
    "--window-scores", is_flag=True, help="Write the classes of each window, too (window_scores)."
)
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="How vectors are compared.  [default: what the model declares, else cosine]",
)
@click.option(
    "--query-prompt",
    metavar="TEXT",
    help="What the embedding model reads before a query; recorded for longbert query.  "
    "[default: what the model declares]",
)
@click.option("--id-field", metavar="NAME", help="Field of the id in rows.  [default: id]")
@click.option("--text-field", metavar="NAME", help="Field of the text in rows.  [default: text]")
@click.option(
    "--unit-bytes",
    type=int,
    metavar="N",
    help="Input bytes of a unit of work.  [default: 1000000]",
)
@click.option(
    "--accept-drift",
    is_flag=True,
    help="Go on with an output whose rows were made by other library versions or on another "
    "processor.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with these options, - written _; the command line wins.",
)
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    config_file: Path | None,
    runner: str | None,
    workers: int | None,
    beam_options: tuple[str, ...],
    **options: Any,
) -> None:
    """Encode long documents into tables and an index.

    Splits every document into overlapping windows, encodes each text once for all heads that
    share a backbone, and writes Parquet tables and a FAISS index. Running it again goes on where
    it was stopped, and encodes only what is new or has changed.
    """
    for option in beam_options:
        if not option.startswith("-"):
            raise click.UsageError(f"unexpected argument {option!r}: name inputs with --input")
    settings = _merge(config_file, options)
    runner = runner or settings.pop("runner", "DirectRunner")
    workers = workers if workers is not None else settings.pop("workers", None)
    settings.pop("runner", None)
    settings.pop("workers", None)
    if not settings.get("input"):
        raise click.UsageError("--input is missing: name the files or folders to read")
    if not ctx.find_root().params.get("debug"):
        silence()
    config = run_config(settings)
    n_errors = _run(config, runner, workers, beam_options)
    if n_errors:
        ctx.exit(3)


def _run(
    config: longbert.RunConfig, runner: str, workers: int | None, beam_options: tuple[str, ...]
) -> int:
    from rich.console import Console

    from longbert.cli.progress import ProgressDisplay, summary_lines
    from longbert.engine.meter import FileMeterReader

    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="longbert-") as meter_folder:
        reader = FileMeterReader(meter_folder)
        with ProgressDisplay(reader, console):
            outcome = longbert.run_job(
                config,
                runner=runner,
                workers=workers,
                beam_options=beam_options,
                meter_folder=meter_folder,
            )
        totals = reader.totals()
    if outcome is None:
        click.echo("longbert: the job was written, not run", err=True)
        return 0
    for line in summary_lines(outcome, totals, config.output):
        click.echo(f"longbert: {line}", err=True)
    return int(outcome.manifest.counts.get("errors", 0))


def _merge(config_file: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """Options from the file, then those of the command line over them."""
    settings: dict[str, Any] = {}
    if config_file is not None:
        try:
            text = config_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise longbert.ConfigError(f"{config_file} cannot be read: {error}") from None
        settings = read_toml(text, name=str(config_file))
    return settings | given(options)


def silence() -> None:
    """Keep what libraries say among themselves out of our messages.

    Beam's threads die with a traceback each when a run is stopped or fails; the error that is
    raised to us says the same once.
    """
    import threading
    import warnings

    threading.excepthook = lambda _: None

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.CRITICAL)
