"""Printing of how good a ranking is: for people as tables, for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

from longbert.cli.scores import first_names, new_table
from longbert.cli.wording import counted, escaped

if TYPE_CHECKING:
    from rich.console import Console

    from longbert.core.measures.counts import Estimate
    from longbert.engine.evaluate_ranking import Comparison, RankingEvaluation

_NAMES = ("nDCG@10", "MRR@10", "MAP", "recall@10", "recall@100")
_QUERIES_SHOWN = 5


def write_ranking(evaluation: RankingEvaluation, stream: IO[str], *, format: str) -> None:
    """Write measures as ``json`` (UTF-8) or as a ``table`` that is fitted to the terminal."""
    if format == "json":
        json.dump(evaluation.to_json(), stream, ensure_ascii=False, indent=2)
        stream.write("\n")
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    queries = counted(len(evaluation.query_ids), "query", "queries")
    documents = counted(evaluation.n_relevant, "relevant document")
    console.print(f"{escaped(evaluation.name)}: {queries} with {documents}", soft_wrap=True)
    if evaluation.against is None:
        own = new_table("measure", "value", "95% interval")
        for name, one in zip(_NAMES, evaluation.estimates, strict=True):
            own.add_row(name, f"{one.value:.3f}", _interval(one))
        console.print(own)
    else:
        _write_comparison(evaluation, evaluation.against, console)


def notes(evaluation: RankingEvaluation) -> Iterator[str]:
    """Sentences about what did not go as one may think, each with what was done about it."""
    for ids, noun, what in (
        (
            evaluation.not_in_output,
            ("relevant document", "relevant documents"),
            "not in the output, counted as not found; correct the ids, or see in the table errors "
            "why the documents failed",
        ),
        (
            evaluation.without_ranking,
            ("judged query", "judged queries"),
            f"not in {evaluation.name}, counted as if nothing were found",
        ),
        (
            evaluation.without_relevant,
            ("query", "queries"),
            "without a relevant document, left out",
        ),
        (evaluation.without_judgments, ("query", "queries"), "not judged, left out"),
    ):
        if ids:
            yield f"{counted(len(ids), *noun)} {what}: {first_names(ids)}"


def _write_comparison(evaluation: RankingEvaluation, against: Comparison, console: Console) -> None:
    columns = evaluation.name, against.name, "difference"
    whole = new_table("measure", *map(escaped, columns), "95% interval")
    rows = zip(_NAMES, evaluation.estimates, against.estimates, against.differences, strict=True)
    for name, own, other, difference in rows:
        values = f"{own.value:.3f}", f"{other.value:.3f}", f"{difference.value:+.3f}"
        whole.add_row(name, *values, _interval(difference, sign="+"))
    console.print(whole)
    gains = evaluation.gains()
    n_gains = sum(own > other for _, own, other in gains)
    n_equal = len(evaluation.query_ids) - len(gains)
    console.print(
        f"{_NAMES[0]} is higher for {counted(n_gains, 'query', 'queries')}, lower for "
        f"{len(gains) - n_gains:,}, equal for {n_equal:,}",
        soft_wrap=True,
    )
    most = min(_QUERIES_SHOWN, n_gains), min(_QUERIES_SHOWN, len(gains) - n_gains)
    shown: Sequence[tuple[str, float, float]] = gains[: most[0]] + gains[len(gains) - most[1] :]
    if shown:
        by_query = new_table("query", *map(escaped, columns))
        for query, one, another in shown:
            by_query.add_row(
                escaped(query), f"{one:.3f}", f"{another:.3f}", f"{one - another:+.3f}"
            )
        console.print(by_query)


def _interval(estimate: Estimate, *, sign: str = "") -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"
