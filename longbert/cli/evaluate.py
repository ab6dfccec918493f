"""``longbert evaluate``."""

from __future__ import annotations

from typing import Any

import click

from longbert import api
from longbert.cli.command import Command
from longbert.cli.options import (
    PATH,
    field_options,
    format_option,
    given,
    index_option,
    label_field_option,
    query_prompt_option,
)
from longbert.cli.ranking_scores import notes, write_ranking
from longbert.cli.scores import FORMATS, mistake_lines, write_evaluation
from longbert.cli.search_options import (
    filter_option,
    rank_option,
    rerank_label_option,
    rerank_option,
)
from longbert.cli.streams import say, standard_output, telling_delay, telling_warnings
from longbert.core.ranks import LEAST_DEPTH
from longbert.errors import ConfigError, OutputError
from longbert.files import filesystem_for

_EXAMPLES = """
\b
Examples:
  longbert evaluate --queries judged.jsonl --against best-mean
  longbert evaluate --queries judged.jsonl --rank lexical --filter "n_tokens > 100"
  longbert evaluate --queries judged.jsonl --rerank my-cross-encoder --against hybrid
  longbert evaluate --run run.trec --qrels qrels.trec --against other.trec --format json
  longbert evaluate --gold labelled.jsonl
  longbert evaluate --gold labelled.jsonl.gz --index out --head my-tagger --errors errors.jsonl
  longbert evaluate --gold novels.jsonl --label-field outer_entities --label-map GPE=LOC,VEH=
"""

_WAITING = "still ranking: every query is searched for, which is slow for many and with --rerank"
DELAY_SECONDS = 10.0

_OF_RANKINGS = (
    "queries",
    "qrels",
    "run",
    "against",
    "rank",
    "k",
    "filter",
    "rerank",
    "rerank_label",
    "query_prompt",
)
_OF_LABELS = ("gold", "head", "id_field", "text_field", "label_field", "label_map", "errors")


@click.command(
    cls=Command,
    epilog=_EXAMPLES,
    sections={"Measure a ranking": _OF_RANKINGS, "Measure labels or entities": _OF_LABELS},
)
@click.option(
    "--queries",
    type=PATH,
    metavar="FILE",
    help="JSON lines with the fields id, text and relevant: a list of the ids of documents that "
    "answer the query, or an object of id and grade.",
)
@click.option(
    "--qrels",
    type=PATH,
    metavar="FILE",
    help="Judgments as TREC writes them.  [default: the field relevant of --queries]",
)
@click.option(
    "--run",
    type=PATH,
    metavar="FILE",
    help="Measure this run, as longbert query --format trec writes it, and search nothing.  "
    "[default: none]",
)
@click.option(
    "--against",
    type=PATH,
    metavar="RANK|FILE",
    help="Another ranking to compare with, query by query: a value of --rank, or a run.  "
    "[default: none]",
)
@rank_option
@click.option(
    "-k",
    type=click.IntRange(min=LEAST_DEPTH),
    metavar="N",
    help=f"Documents to rank for each query; MAP looks at all of them.  [default: {LEAST_DEPTH}]",
)
@filter_option
@rerank_option
@rerank_label_option
@query_prompt_option("what the run recorded")
@click.option(
    "--gold",
    type=PATH,
    metavar="FILE",
    help="Labelled documents, JSON lines or Parquet: the fields id and text, and label (a string "
    "or a number), labels (a list of strings) or entities (a list of [start, end, label]).  "
    "[required, or --queries]",
)
@click.option(
    "--head",
    metavar="NAME",
    help="Which head to measure.  [default: the only one that fits the labels]",
)
@field_options
@label_field_option
@click.option(
    "--label-map",
    metavar="NAME=OTHER,...",
    help="Labels, of the file or of the head, to be read as another one; with nothing after =, "
    "entities with that label are left out.  [default: none]",
)
@click.option(
    "--errors",
    type=PATH,
    metavar="FILE.jsonl",
    help="Write all mistakes to this file as JSON lines.  [default: only show the first ones]",
)
@index_option
@format_option(FORMATS, "Tables to look at, or all measures as JSON.")
def evaluate(folder: str, format_: str, **options: Any) -> None:
    """Measure an output against what people say is right.

    With --queries or --qrels: how well the documents that answer a query are found, by nDCG@10,
    MRR@10, MAP, recall@10 and recall@100. Intervals hold with 95% confidence (bootstrap over
    queries).

    With --gold: how good labels or entities are, with a list of mistakes. Documents are matched
    by their ids, and their texts must be those that were run. What the file holds decides what is
    measured: accuracy and F1 of labels with their calibration, errors of numbers, or F1 of
    entities with exact spans. Intervals hold with 95% confidence, on few documents, too.
    """
    asked = given(options)
    of_rankings, of_labels = (
        {name: value for name, value in asked.items() if name in names}
        for names in (_OF_RANKINGS, _OF_LABELS)
    )
    if not asked.keys() & {"gold", "queries", "qrels"}:
        raise ConfigError(
            "known answers must be given: name a file of judged queries with --queries, or one of "
            "labelled documents with --gold"
        )
    if of_rankings and of_labels:
        first, other = (
            f"--{next(iter(one))}".replace("_", "-") for one in (of_rankings, of_labels)
        )
        raise ConfigError(
            f"{first} measures a ranking and {other} labels: give them to two commands"
        )
    if of_labels:
        _evaluate_labels(folder, format_, **of_labels)
        return
    of_rankings.setdefault("queries", None)
    with telling_warnings(), telling_delay(_WAITING, seconds=DELAY_SECONDS):
        evaluation = api.evaluate_ranking(folder=folder, **of_rankings)
    for line in notes(evaluation):
        say(line)
    with standard_output(for_programs=format_ != "table") as stream:
        write_ranking(evaluation, stream, format=format_)


def _evaluate_labels(
    folder: str,
    format_: str,
    *,
    gold: str,
    label_map: str | None = None,
    errors: str | None = None,
    **options: Any,
) -> None:
    if errors is not None and not errors.endswith(".jsonl"):
        raise ConfigError(f"--errors writes JSON lines, so its name must end in .jsonl: {errors}")
    renamed = _label_map(label_map)
    evaluation = api.evaluate(gold, folder, label_map=renamed, **options)
    if errors is not None:
        _write(errors, "".join(mistake_lines(evaluation)))
    with standard_output(for_programs=format_ != "table") as stream:
        write_evaluation(evaluation, stream, format=format_)


def _label_map(given: str | None) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for pair in (given or "").split(",") if given else ():
        name, sign, other = (part.strip() for part in pair.partition("="))
        if not name or not sign or name in renamed:
            raise ConfigError(
                f"--label-map must be pairs NAME=OTHER, each name once, separated by commas, got "
                f"{pair!r}: write for instance --label-map PERSON=PER,GPE=LOC"
            )
        renamed[name] = other
    return renamed


def _write(path: str, content: str) -> None:
    try:
        filesystem_for(path).write(path, content.encode())
    except OSError as error:
        raise OutputError(
            f"--errors {path} cannot be written ({error.strerror or error}): name another file"
        ) from None
