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
)
from longbert.cli.scores import FORMATS, mistake_lines, write_evaluation
from longbert.cli.streams import standard_output
from longbert.errors import ConfigError, OutputError

_EXAMPLES = """
\b
Examples:
  longbert evaluate --gold labelled.jsonl
  longbert evaluate --gold labelled.jsonl.gz --index out --head my-tagger --errors errors.jsonl
  longbert evaluate --gold novels.jsonl --label-field outer_entities --label-map GPE=LOC,VEH=
"""


@click.command(cls=Command, epilog=_EXAMPLES)
@click.option(
    "--gold",
    type=PATH,
    metavar="FILE",
    help="Labelled documents, JSON lines or Parquet: the fields id and text, and label (a string "
    "or a number), labels (a list of strings) or entities (a list of [start, end, label]).  "
    "[required]",
)
@index_option
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
@format_option(FORMATS, "Tables to look at, or all measures as JSON.")
def evaluate(
    gold: str | None,
    folder: str,
    head: str | None,
    label_map: str | None,
    errors: str | None,
    format_: str,
    **fields: Any,
) -> None:
    """Measure an output against documents that people labelled, and list the mistakes.

    Documents are matched by their ids, and their texts must be those that were run. What the
    gold file holds decides what is measured: accuracy and F1 of labels with their calibration,
    errors of numbers, or F1 of entities with exact spans. Intervals hold with 95% confidence, on
    few documents, too.
    """
    if gold is None:
        raise ConfigError(
            "known answers must be given: name a file of labelled documents with --gold"
        )
    if errors is not None and not errors.endswith(".jsonl"):
        raise ConfigError(f"--errors writes JSON lines, so its name must end in .jsonl: {errors}")
    renamed = _label_map(label_map)

    evaluation = api.evaluate(gold, folder, head=head, label_map=renamed, **given(fields))
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
        api.filesystem_for(path).write(path, content.encode())
    except OSError as error:
        raise OutputError(
            f"--errors {path} cannot be written ({error.strerror or error}): name another file"
        ) from None
