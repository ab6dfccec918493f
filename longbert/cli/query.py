"""``longbert query``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longbert import api
from longbert.cli.command import Command
from longbert.cli.options import (
    PATH,
    format_option,
    index_option,
    query_prompt_option,
)
from longbert.cli.results import FORMATS, write_results
from longbert.cli.search_options import (
    filter_option,
    rank_option,
    rerank_label_option,
    rerank_option,
)
from longbert.cli.streams import say, standard_output, telling_delay, telling_warnings
from longbert.cli.wording import counted
from longbert.core.ranks import DENSE_RANKS
from longbert.errors import ConfigError, InputError, shown

if TYPE_CHECKING:
    from longbert.cli.results import Results
    from longbert.index.search import Index

TEXT_QUERY_ID = "query"

_LONG_CHARS = 10_000
DELAY_SECONDS, STARTING_SECONDS = 2.0, 10.0
"""After which people are told what takes so long: of long queries, and of any, where loading the
model may be what does."""

_EXAMPLES = """
\b
Examples:
  longbert query "what was agreed on pricing?"
  longbert query "termination for convenience" --index out -k 3 --format jsonl
  longbert query "who pays for repairs?" --rerank cross-encoder/ms-marco-MiniLM-L6-v2
  longbert query --like contracts/2021-07.txt --rank document
  longbert query "late payment" --filter "label = 'neg' and score > 0.8"
  longbert query --queries queries.jsonl -k 100 --format trec > run.trec
"""


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("text", metavar="[TEXT]", nargs=-1)
@click.option(
    "--queries",
    type=PATH,
    metavar="FILE",
    help="JSON lines with the fields id and text, a query a line; - reads standard input.",
)
@click.option(
    "--like",
    metavar="DOCUMENT_ID",
    help="Find documents like this one of the output, which is itself left out.",
)
@index_option
@click.option(
    "-k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Documents to find for each query.",
)
@rank_option
@filter_option
@rerank_option
@rerank_label_option
@query_prompt_option("what the run recorded")
@format_option(
    tuple(FORMATS),
    "A table to look at; query_id, rank, document_id, score and passages as a JSON list or as "
    "JSON lines; or a TREC run.",
)
def query(
    text: tuple[str, ...],
    queries: str | None,
    like: str | None,
    folder: str,
    k: int,
    rank: str | None,
    filter: str | None,
    rerank: str | None,
    rerank_label: str | None,
    query_prompt: str | None,
    format_: str,
) -> None:
    """Find the documents nearest to TEXT, to each query of a file, or to a document.

    Prints the documents with their best passages, and where these are in the text, as half-open
    ranges of characters.
    """
    n_given = sum(one not in (None, ()) for one in (text, queries, like))
    if n_given != 1:
        raise ConfigError(
            f"exactly one of TEXT, --queries and --like must be given, got {n_given}: "
            'try longbert query "what was agreed on pricing?"'
        )
    if len(text) > 1:
        raise click.UsageError(
            f"TEXT must be one argument, got {len(text)}: quote it, as in "
            f"longbert query {shlex.quote(' '.join(text))}"
        )
    if like is not None and rerank is not None:
        raise ConfigError(
            "--rerank reads a query beside each passage, and --like has a whole document for a "
            "query: leave out one of them"
        )
    texts = _texts(text, queries)
    index = api.open(folder, query_prompt=query_prompt)
    n_chars = sum(map(len, texts.values()))
    seconds = DELAY_SECONDS if n_chars > _LONG_CHARS or rerank else STARTING_SECONDS
    work = _work(texts, n_chars, rerank, rank or index.default_rank)
    with telling_warnings(), telling_delay(work, seconds=seconds):
        results = _search(index, texts, like, k, rank, filter, rerank, rerank_label)
    if n_without := sum(not hits for _, hits in results):
        say(_found_nothing(index, filter, n_without))
    with standard_output(for_programs=format_ != "table") as stream:
        write_results(results, stream, format=format_)


def _found_nothing(index: Index, filter: str | None, n_queries: int) -> str:
    which = counted(n_queries, "query", "queries")
    if not index.count():
        return f"{which} found nothing: there is no document, and the table errors says why"
    n_all = counted(index.count(), "document")
    if filter is None:
        return f"{which} found nothing: none of {n_all} has anything in common with it"
    n_fitting = index.count(filter)
    if not n_fitting:
        return f"{which} found nothing: --filter {shown(filter)} fits none of {n_all}"
    return (
        f"{which} found nothing: of {n_all}, {n_fitting:,} fit --filter {shown(filter)}, and none "
        "of these has anything in common with it"
    )


def _texts(text: tuple[str, ...], queries: str | None) -> dict[str, str]:
    """The texts to search for, by their ids; none if a document is searched for."""
    from longbert.readers.queries import check_query, parse_queries

    if queries is not None:
        return parse_queries(_read(queries), name=f"--queries {queries}")
    return {TEXT_QUERY_ID: check_query(text[0], "TEXT")} if text else {}


def _work(texts: dict[str, str], n_chars: int, rerank: str | None, rank: str) -> str:
    """What a search does, for people who wait for it."""
    if not texts:
        return "still looking for documents like this one"
    queries = counted(len(texts), "query", "queries")
    if n_chars > _LONG_CHARS:
        reasons = [f"all of {n_chars:,} characters is read"]
    else:
        reasons = ["the model is loaded first"] if rank in DENSE_RANKS else []
    if rerank is not None:
        reasons.append(f"{rerank} reads the query beside each passage")
    return f"still searching for {queries}" + (": " if reasons else "") + ", and ".join(reasons)


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"--queries {path} cannot be read ({error.strerror or error}): "
            "name a file of JSON lines with the fields id and text"
        ) from None


def _search(
    index: Index,
    texts: dict[str, str],
    like: str | None,
    k: int,
    rank: str | None,
    filter: str | None,
    rerank: str | None,
    rerank_label: str | None,
) -> Results:
    if like is not None:
        return [(like, index.like(like, k, rank, filter=filter))]
    found = index.search_many(
        list(texts.values()), k, rank, filter=filter, rerank=rerank, rerank_label=rerank_label
    )
    return list(zip(texts, found, strict=True))
