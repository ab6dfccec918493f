"""Printing of query results: for people as a table, for programs as JSON or in TREC format."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

from longbert.cli.wording import printable

if TYPE_CHECKING:
    from longbert.index.search import Hit, HitPassage

Results = Sequence[tuple[str, Sequence["Hit"]]]
"""The hits of each query, by its id."""

RUN_TAG = "longbert"

_PASSAGE_CHARS = 200
_UNSAFE = re.compile(r"[%\s\x00-\x1f\x7f-\x9f]")


def fit_stdout(format: str) -> None:
    """Let standard output take any character.

    Programs get UTF-8 whatever the locale; a terminal gets what it can show.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        if format == "table":
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")


def write_results(results: Results, stream: IO[str], *, format: str) -> None:
    """Write results in one of :data:`FORMATS`.

    Args:
        stream: UTF-8 text for all formats but ``table``, which is fitted to the terminal.
    """
    FORMATS[format](results, stream)


def _write_json(results: Results, stream: IO[str]) -> None:
    json.dump(_records(results), stream, ensure_ascii=False, indent=2)
    stream.write("\n")


def _write_jsonl(results: Results, stream: IO[str]) -> None:
    for record in _records(results):
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_trec(results: Results, stream: IO[str]) -> None:
    """Lines as trec_eval reads them.

    It orders by score alone, in float32, so equal scores are made to differ by the least step.
    """
    for query_id, hits in results:
        scores = _descending([hit.score for hit in hits])
        for hit, score in zip(hits, scores, strict=True):
            fields = (_encoded(query_id), "Q0", _encoded(hit.document_id), hit.rank, score, RUN_TAG)
            stream.write(" ".join(map(str, fields)) + "\n")


def _write_table(results: Results, stream: IO[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    many = len(results) > 1
    for query_id, hits in results:
        title = Text(printable(query_id)) if many else None
        table = Table(title=title, title_justify="left", expand=True, show_lines=True)
        table.add_column("rank", justify="right", no_wrap=True)
        table.add_column("document", overflow="fold", ratio=1)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("passages [characters]", overflow="fold", ratio=3)
        for hit in hits:
            table.add_row(
                str(hit.rank),
                Text(printable(hit.document_id)),
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


def _records(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "query_id": query_id,
            "rank": hit.rank,
            "document_id": hit.document_id,
            "score": _short(hit.score),
            "passages": [
                {
                    "char_start": passage.char_start,
                    "char_end": passage.char_end,
                    "score": _short(passage.score),
                    "text": passage.text,
                }
                for passage in hit.passages
            ],
        }
        for query_id, hits in results
        for hit in hits
    ]


def _short(score: float) -> float:
    """The shortest decimal that is the same float32."""
    import numpy as np

    return float(str(np.float32(score)))


def _descending(scores: Sequence[float]) -> list[str]:
    """Scores as float32 in short decimals, each below the one before."""
    import numpy as np

    texts = []
    ceiling = np.float32(np.inf)
    for score in scores:
        value = min(np.float32(score), np.nextafter(ceiling, np.float32(-np.inf)))
        texts.append(str(value))
        ceiling = value
    return texts


def _encoded(name: str) -> str:
    """Percent-encode what would break a line into other fields, and the percent sign."""
    return _UNSAFE.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), name)


def _shortened(passage: HitPassage) -> str:
    text = printable(passage.text)
    if len(text) > _PASSAGE_CHARS:
        text = text[: _PASSAGE_CHARS - 1].rstrip() + "…"
    return f"[{passage.char_start}:{passage.char_end}] {text}"
