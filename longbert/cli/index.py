"""``longbert index``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any

import click

from longbert.cli.command import Command
from longbert.cli.options import PATH, format_option, vector_options
from longbert.cli.streams import say, standard_output
from longbert.cli.wording import counted
from longbert.config import DEFAULT_OUTPUT
from longbert.files import output_folder

_EXAMPLES = """
\b
Examples:
  longbert index out --describe
  longbert index out --type ivf-sq8 --recall 0.98
  longbert index out --type auto --memory 500MB
"""

_BAR = 30

_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "type": lambda table: str(table["type"]),
    "vectors": lambda table: f"{table['vectors']:,}",
    "of rows that are gone": lambda table: f"{table['removed_vectors']:,}",
    "segments": lambda table: f"{len(table['segments']):,}",
    "on disk": lambda table: _size(table["disk_bytes"]),
    "read by searches": lambda table: _size(table["memory_bytes"]),
    "recall@10": lambda table: _recall(table),
    "effort": lambda table: f"{table['effort']:,}" if table["effort"] else "-",
    "query, p50 and p99": lambda table: _times(table),
    "built in": lambda table: _seconds(table),
}


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("folder", type=PATH, metavar="[DIR]", default=DEFAULT_OUTPUT)
@vector_options
@click.option(
    "--describe",
    is_flag=True,
    help="Build nothing; print what the index is, takes and finds.",
)
@format_option(("table", "json"), "The description as a table to look at, or as JSON.")
def index(
    folder: str,
    type: str | None,
    memory: str | None,
    recall: float | None,
    describe: bool,
    format_: str,
) -> None:
    """Build the index of vectors in the output folder DIR again, and describe it.

    It is built from the tables, so nothing is encoded. Options that are left out are those that
    the output was indexed with before. DIR is longbert-output if left out.
    """
    from longbert.engine.reindex import describe_index, rebuild_index

    if describe and (type, memory, recall) != (None, None, None):
        raise click.UsageError("--describe builds nothing: leave --type, --memory, --recall out")
    output = output_folder(folder)
    if not describe:
        rebuild_index(output, type=type, memory=memory, recall=recall)
    described = describe_index(output)
    passages = described["passages"]
    if type is not None and type not in ("auto", passages["type"]):
        vectors = counted(passages["vectors"], "passage")
        say(f"{vectors} are too few for {type}: all are looked at, as {passages['type']} does")
    with standard_output(for_programs=format_ == "json") as stream:
        if format_ == "json":
            stream.write(json.dumps(described, indent=1, ensure_ascii=False) + "\n")
        else:
            _write_table(described, stream)


def _write_table(described: dict[str, Any], stream: IO[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    table = Table()
    for column in ("", "passages", "documents"):
        table.add_column(column, justify="left" if not column else "right")
    for name, show in _ROWS.items():
        table.add_row(name, show(described["passages"]), show(described["documents"]))
    console.print(table)
    for name in ("passages", "documents"):
        trials = (described[name]["built"] or {}).get("trials", ())
        if trials:
            console.print(_chart(name, trials))


def _size(n_bytes: int) -> str:
    from longbert.index.memory import megabytes

    return megabytes(n_bytes)


def _recall(table: dict[str, Any]) -> str:
    if not table["n_queries"]:
        return "exact"
    return f"{table['recall_at_10']:.4f} of {counted(table['n_queries'], 'query', 'queries')}"


def _times(table: dict[str, Any]) -> str:
    trials = (table["built"] or {}).get("trials")
    return f"{trials[-1]['p50_ms']:.2f} and {trials[-1]['p99_ms']:.2f} ms" if trials else "-"


def _seconds(table: dict[str, Any]) -> str:
    return f"{sum(table['built']['seconds'].values()):.1f} s" if table["built"] else "-"


def _chart(name: str, trials: list[dict[str, Any]]) -> Any:
    """Recall against time for each setting that was tried; the last was chosen."""
    from rich.table import Table

    chart = Table(title=f"{name}: settings tried, the last is used", title_justify="left")
    for column in ("effort", "candidates", "ms", "recall@10"):
        chart.add_column(column, justify="right")
    chart.add_column("", min_width=_BAR)
    for trial in trials:
        chart.add_row(
            f"{trial['effort']:,}",
            f"{trial['candidates']:,}",
            f"{trial['p50_ms']:.2f}",
            f"{trial['recall_at_10']:.4f}",
            "█" * round(_BAR * trial["recall_at_10"]),
        )
    return chart
