"""``longbert bench``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from longbert.cli.command import Command
from longbert.cli.options import (
    PATH,
    field_options,
    format_option,
    given,
    model_options,
    reading_options,
)
from longbert.cli.streams import say, standard_output
from longbert.config import run_config
from longbert.errors import ConfigError

if TYPE_CHECKING:
    from longbert.bench.report import Report

_MADE = "made words"
_LEAST_SECONDS = 1.0
"""Of a forward pass over all documents, below which the ratios say more of start-up than of it."""


@click.command(
    cls=Command,
    epilog="""
\b
Examples:
  longbert bench
  longbert bench --input docs/ --documents 200
  longbert bench --input docs/ --ner none --classify none --format json > speed.json
""",
)
@click.option(
    "--input",
    "input_",
    type=PATH,
    metavar="PATH",
    multiple=True,
    help="Documents to measure with, as for longbert run; repeatable.  [default: made words]",
)
@click.option(
    "--documents",
    type=click.IntRange(min=1),
    metavar="N",
    default=64,
    show_default=True,
    help="How many documents at most, the first of the inputs.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    default=3,
    show_default=True,
    help="How often everything is measured, in turn.",
)
@field_options
@reading_options
@format_option(("table", "json"), "Medians and ratios to look at, or every measurement as JSON.")
@model_options
def bench(
    input_: tuple[str, ...], documents: int, rounds: int, format_: str, **options: Any
) -> None:
    """Measure how fast longbert is here, and how near to the limit of the machine.

    Whole commands with their start-up, runs with loaded models by stage, the encoder alone, and
    the bare matrix products that it consists of. The documents are copied to a temporary folder
    as JSON lines. Nothing else should run meanwhile.
    """
    config = run_config({"input": input_ or (_MADE,), **given(options)})
    if not config.models.has_models:
        raise ConfigError("bench measures models, and embed is none: name a model, or leave it out")

    from longbert.bench.documents import made, sample
    from longbert.bench.measure import measure

    texts = sample(config, n_documents=documents) if input_ else made(n_documents=documents)
    report = measure(config, texts, rounds=rounds, notify=say)
    if report.seconds["forward pass"] < _LEAST_SECONDS:
        say(
            "there is too little text for the ratios to mean anything: the encoder was done in "
            f"{report.seconds['forward pass']:.2f} s; name some hundred long documents with --input"
        )
    with standard_output(for_programs=format_ == "json") as stream:
        if format_ == "json":
            from longbert.store.record import to_builtins

            json.dump(to_builtins(report), stream, indent=1)
            print(file=stream)
        else:
            _write_tables(report, stream)


def _write_tables(report: Report, stream: IO[str]) -> None:
    from rich.console import Console

    from longbert.cli.scores import new_table

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for line in _account(report):
        console.print(line, soft_wrap=True)
    for title, unit, values, shown in (
        ("whole runs", "seconds", report.seconds, "{:.2f}"),
        ("stage of a run", "seconds", report.stages, "{:.2f}"),
        ("ratio", "median", report.ratios, "{:.3f}"),
        ("rate", "a second", report.rates, "{:,.0f}"),
        ("peak memory", "MB", report.peak_mb, "{:,.0f}"),
    ):
        table = new_table(title, unit)
        for name, value in values.items():
            table.add_row(name, shown.format(value))
        console.print(table)


def _account(report: Report) -> Iterator[str]:
    corpus, settings = report.corpus, report.settings
    yield (
        f"{report.machine['processor']}, {settings['device']}, {settings['precision']}; "
        f"medians of {settings['rounds']} rounds"
    )
    yield (
        f"{corpus['documents']:,} documents, {corpus['unique_tokens']:,} tokens, "
        f"{corpus['processed_tokens']:,} positions in {corpus['windows']:,} windows, "
        f"{corpus['padding_share']:.2%} padding"
    )
