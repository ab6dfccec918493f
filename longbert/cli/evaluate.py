"""The command ``evaluate``: an output against known answers."""

from __future__ import annotations

import sys

import click

import longbert
from longbert.cli.results import fit_stdout
from longbert.cli.scores import FORMATS, mistake_lines, write_evaluation
from longbert.config import DEFAULT_OUTPUT
from longbert.errors import ConfigError, OutputError

_EXAMPLES = """\b
Examples:
  longbert evaluate --gold labelled.jsonl
  longbert evaluate --gold labelled.jsonl.gz --index out --head my-tagger --errors errors.jsonl
  longbert evaluate --gold novels.jsonl --label-field outer_entities --label-map GPE=LOC,VEH=
"""


@click.command("evaluate", epilog=_EXAMPLES)
@click.option(
    "--gold",
    metavar="FILE",
    help="Labelled documents, JSON lines or Parquet: the fields id and text, and label (a string "
    "or a number), labels (a list of strings) or entities (a list of [start, end, label]).",
)
@click.option(
    "--index",
    "folder",
    metavar="DIR",
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Output folder of longbert run over the same documents.",
)
@click.option("--head", metavar="NAME", help="Which head, if several fit the labels.")
@click.option("--id-field", metavar="NAME", default="id", show_default=True, help="Of the ids.")
@click.option("--text-field", metavar="NAME", default="text", show_default=True, help="Of texts.")
@click.option(
    "--label-field",
    metavar="NAME",
    help="Of the labels.  [default: label, labels or entities, whichever there is]",
)
@click.option(
    "--label-map",
    metavar="NAME=OTHER,...",
    help="Labels, on either side, that stand for another one; nothing behind = leaves out "
    "entities of that label.",
)
@click.option(
    "--errors",
    metavar="FILE.jsonl",
    help="Write all mistakes to this file as JSON lines, not only the first ones to the screen.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Tables to look at, or all measures as JSON.",
)
def evaluate(
    gold: str | None,
    folder: str,
    head: str | None,
    id_field: str,
    text_field: str,
    label_field: str | None,
    label_map: str | None,
    errors: str | None,
    format_: str,
) -> None:
    """Measure an output against documents that people labelled, and list the mistakes.

    Documents are joined by their ids, and their texts must be those that were run. What the
    gold file holds decides what is measured: accuracy and F1 of labels with their calibration,
    errors of numbers, or F1 of entities with exact spans. Intervals are of a bootstrap over
    documents.
    """
    if gold is None:
        raise ConfigError(
            "known answers must be given: name a file of labelled documents with --gold"
        )
    if errors is not None and not errors.endswith(".jsonl"):
        raise ConfigError(f"--errors writes JSON lines, so its name must end in .jsonl: {errors}")
    renamed = _label_map(label_map)

    from longbert.engine.evaluate import evaluate_output
    from longbert.readers.labels import read_labelled
    from longbert.store.folder import OutputFolder

    filesystem = longbert.filesystem_for(gold, folder)
    if not filesystem.is_folder(folder):
        raise ConfigError(
            f"index names no folder: {folder!r}; name the output folder of a longbert run"
        )
    data = read_labelled(
        filesystem,
        gold,
        id_field=id_field,
        text_field=text_field,
        label_field=label_field,
        may_be_empty=True,
    )
    evaluation = evaluate_output(
        OutputFolder(filesystem, folder), data, head=head, label_map=renamed
    )
    if errors is not None:
        _write(errors, "".join(mistake_lines(evaluation)))
    fit_stdout(format_)
    write_evaluation(evaluation, sys.stdout, format=format_)
    sys.stdout.flush()


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
        longbert.filesystem_for(path).write(path, content.encode())
    except OSError as error:
        raise OutputError(
            f"--errors {path} cannot be written ({error.strerror or error}): name another file"
        ) from None
