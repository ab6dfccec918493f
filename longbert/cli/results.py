"""Printing of query results: for people as a table, for programs as JSON or in TREC format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from longbert.cli.wording import escaped, one_line

if TYPE_CHECKING:
    from longbert.index.excerpts import HitPassage
    from longbert.index.search import Hit

Results = Sequence[tuple[str, Sequence["Hit"]]]
"""The hits of each query, by its id."""

_PASSAGE_CHARS = 200


def write_results(results: Results, stream: IO[str], *, format: str) -> None:
    """Write results in one of :data:`FORMATS`.

    Args:
        stream: UTF-8 text for all formats but ``table``, which is fitted to the terminal.
    """
    FORMATS[format](results, stream)


def _write_json(results: Results, stream: IO[str]) -> None:
    from longbert.index.results import hit_records

    json.dump(list(hit_records(results)), stream, ensure_ascii=False, indent=2)
    stream.write("\n")


def _write_jsonl(results: Results, stream: IO[str]) -> None:
    from longbert.index.results import hit_records

    for record in hit_records(results):
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_trec(results: Results, stream: IO[str]) -> None:
    from longbert.index.results import trec_lines

    for line in trec_lines(results):
        stream.write(line + "\n")


def _write_table(results: Results, stream: IO[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    many = len(results) > 1
    for query_id, hits in results:
        title = Text(escaped(query_id)) if many else None
        table = Table(title=title, title_justify="left", expand=True, show_lines=True)
        table.add_column("rank", justify="right", no_wrap=True)
        table.add_column("document", overflow="fold", ratio=1)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("passages [characters]", overflow="fold", ratio=3)
        for hit in hits:
            table.add_row(
                str(hit.rank),
                Text(escaped(hit.document_id)),
                f"{hit.score:.3f}",
                Text("\n".join(map(_shortened, hit.passages))),
            )
        console.print(table)


FORMATS: dict[str, Callable[[Results, IO[str]], None]] = {
    "table": _write_table,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "trec": _write_trec,
}


def _shortened(passage: HitPassage) -> str:
    text = one_line(passage.text)
    if len(text) > _PASSAGE_CHARS:
        text = text[: _PASSAGE_CHARS - 1].rstrip() + "…"
    return f"[{passage.char_start}:{passage.char_end}] {text}"
