"""The command ``query``: search an output folder."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from longbert.cli.results import FORMATS, Results, fit_stdout, write_results
from longbert.config import DEFAULT_OUTPUT
from longbert.core.ranking import DEFAULT_RANK, RANKS
from longbert.errors import ConfigError, InputError

if TYPE_CHECKING:
    from longbert.index.search import Index

TEXT_QUERY_ID = "query"

_EXAMPLES = """\b
Examples:
  longbert query "what was agreed on pricing?"
  longbert query "termination for convenience" --index out -k 3 --format jsonl
  longbert query --like contracts/2021-07.txt --rank document
  longbert query --queries queries.jsonl -k 100 --format trec > run.trec
"""


@click.command("query", epilog=_EXAMPLES)
@click.argument("text", required=False)
@click.option(
    "--queries",
    metavar="FILE",
    help="JSON lines with the fields id and text, a query a line; - reads standard input.",
)
@click.option(
    "--like",
    metavar="DOCUMENT_ID",
    help="Find what is like this document of the output; it is left out itself.",
)
@click.option(
    "--index",
    "folder",
    metavar="DIR",
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Output folder of longbert run.",
)
@click.option(
    "-k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Documents to find for each query.",
)
@click.option(
    "--rank",
    type=click.Choice(RANKS),
    default=DEFAULT_RANK,
    show_default=True,
    help="Order documents by their best passage, by the mean of their three best passages, or "
    "by the vector of the whole document.",
)
@click.option(
    "--query-prompt",
    metavar="TEXT",
    help="What the model reads before a query; an empty one switches it off.  [default: what the "
    "run recorded]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(tuple(FORMATS)),
    default="table",
    show_default=True,
    help="A table to look at, or query_id, rank, document_id, score and passages as a JSON list "
    "or as JSON lines, or a TREC run.",
)
def query(
    text: str | None,
    queries: str | None,
    like: str | None,
    folder: str,
    k: int,
    rank: str,
    query_prompt: str | None,
    format_: str,
) -> None:
    """Find the documents nearest to TEXT, to each query of a file, or to a document.

    Results go to standard output with the passages that fit best and where they are, as
    half-open ranges of characters.
    """
    given = [one for one in (text, queries, like) if one is not None]
    if len(given) != 1:
        raise ConfigError(
            f"exactly one of TEXT, --queries and --like must be given, got {len(given)}: "
            'try longbert query "what was agreed on pricing?"'
        )
    if queries is not None:
        texts = _read_queries(queries)
    elif text is not None:
        texts = {TEXT_QUERY_ID: _checked(text, "TEXT")}
    else:
        texts = {}
    index = _open(folder, query_prompt)
    results: Results
    if like is not None:
        results = [(like, index.like(like, k, rank))]
    else:
        results = list(zip(texts, index.search_many(list(texts.values()), k, rank), strict=True))
    fit_stdout(format_)
    write_results(results, sys.stdout, format=format_)
    sys.stdout.flush()


def _open(folder: str, query_prompt: str | None) -> Index:
    import longbert

    return longbert.open(folder, query_prompt=query_prompt)


def _read_queries(path: str) -> dict[str, str]:
    """Read queries from JSON lines, by id, in order.

    Raises:
        InputError: with the number of the line and what is wrong with it.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else _read(path)
    except OSError as error:
        raise InputError(
            f"--queries {path} cannot be read ({error.strerror or error}): "
            "name a file of JSON lines with the fields id and text"
        ) from None
    queries: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"--queries {path} line {number}"
        query_id, text = _parsed(line, where)
        if query_id in queries:
            raise InputError(
                f"{where}: id {query_id!r} is that of line {lines[query_id]}, too: "
                "give every query its own id"
            )
        queries[query_id] = text
        lines[query_id] = number
    if not queries:
        raise InputError(
            f"--queries {path} has no queries: "
            'write one JSON object a line, such as {"id": "1", "text": "what was agreed?"}'
        )
    return queries


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _parsed(line: bytes, where: str) -> tuple[str, str]:
    try:
        record: Any = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 (byte {error.start + 1}): save the file as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not JSON ({error}): write one JSON object with id and text a line"
        ) from None
    if not isinstance(record, dict):
        raise InputError(
            f"{where} must be a JSON object with id and text, is a {type(record).__name__}"
        )
    for name in ("id", "text"):
        if name not in record:
            known = ", ".join(map(repr, record)) or "none"
            raise InputError(f"{where} has no field {name!r}; its fields are: {known}")
    query_id, text = record["id"], record["text"]
    if isinstance(query_id, int) and not isinstance(query_id, bool):
        query_id = str(query_id)
    if not isinstance(query_id, str) or not query_id:
        raise InputError(f"{where}: id must be a string or whole number that is not empty")
    if not isinstance(text, str):
        raise InputError(f"{where}: text must be a string, is a {type(text).__name__}")
    return _checked(query_id, f"{where}: id"), _checked(text, f"{where}: text")


def _checked(text: str, where: str) -> str:
    """Refuse a query that is empty or that cannot be encoded."""
    if not text.strip():
        raise InputError(f"{where} is empty: give at least one word to search for")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} has a lone surrogate at character {error.start + 1}, "
            "so it is not valid Unicode: write it as UTF-8"
        ) from None
    return text
