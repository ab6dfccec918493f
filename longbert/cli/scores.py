"""Printing of scores: for people as tables, for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING

from longbert.cli.wording import counted, escaped, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from longbert.core.measures.calibration import Calibration
    from longbert.core.measures.counts import Estimate, LabelScores
    from longbert.engine.compare import EntityMistake, LabelMistake, Measures
    from longbert.engine.evaluate import Evaluation

FORMATS = ("table", "json")

MISTAKES_SHOWN = 20
_MOST_CONFUSION_LABELS = 12
_MOST_IDS = 3


def write_evaluation(evaluation: Evaluation, stream: IO[str], *, format: str) -> None:
    """Write scores in one of :data:`FORMATS`.

    Args:
        stream: UTF-8 text for ``json``; ``table`` is fitted to the terminal.
    """
    if format == "json":
        json.dump(evaluation.to_json(), stream, ensure_ascii=False, indent=2)
        stream.write("\n")
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for line in account_lines(evaluation):
        console.print(line, soft_wrap=True)
    write_measures(evaluation.measures, console)
    if evaluation.calibration is not None:
        console.print(
            f"expected calibration error {evaluation.calibration.expected_error:.3f}",
            soft_wrap=True,
        )
        console.print(_calibration_table(evaluation.calibration))
    n_mistakes = len(evaluation.mistakes)
    if n_mistakes > MISTAKES_SHOWN:
        text = f"the first {MISTAKES_SHOWN} of {n_mistakes:,} mistakes (--errors writes them all)"
        console.print(text, soft_wrap=True)
    if evaluation.mistakes:
        console.print(_mistake_table(evaluation.mistakes))


def mistake_lines(evaluation: Evaluation) -> Iterator[str]:
    """All mistakes as JSON lines."""
    for mistake in evaluation.mistakes:
        yield json.dumps(mistake.to_json(), ensure_ascii=False) + "\n"


def account_lines(evaluation: Evaluation) -> list[str]:
    """Sentences about what the scores are based on."""
    lines = [
        f"{evaluation.head}: {evaluation.n_scored:,} of "
        f"{counted(evaluation.n_gold, 'labelled document')} scored"
    ]
    for ids, where in (
        (evaluation.not_in_output, "not in the output"),
        (evaluation.in_errors, "in the output's errors"),
    ):
        if ids:
            lines.append(f"{counted(len(ids), 'labelled document')} {where}: {first_names(ids)}")
    if evaluation.n_not_in_gold:
        lines.append(
            f"{counted(evaluation.n_not_in_gold, 'document')} of the output without labels: ignored"
        )
    if evaluation.n_dropped_spans:
        lines.append(
            f"{counted(evaluation.n_dropped_spans, 'labelled span')} left out because a longer "
            "one overlaps"
        )
    if evaluation.unknown_labels:
        lines.append(
            "labels that the head does not have: "
            f"{first_names(evaluation.unknown_labels, most=20)} (--label-map renames labels)"
        )
    if evaluation.further_labels:
        lines.append(
            f"labels of the head that no labelled document has: "
            f"{first_names(evaluation.further_labels, most=20)}"
        )
    return lines


def write_measures(measures: Measures, console: Console) -> None:
    """Print the measures, those of each label, and which were confused."""
    from longbert.core.measures.labels import (
        MultiLabelMeasures,
        RegressionMeasures,
        SingleLabelMeasures,
    )
    from longbert.core.measures.spans import NO_LABEL

    rows: list[tuple[str, Estimate | float | None]]
    if isinstance(measures, RegressionMeasures):
        rows = [
            ("mean absolute error", measures.mean_absolute_error),
            ("root mean squared error", measures.root_mean_squared_error),
            ("Pearson correlation", measures.pearson),
        ]
        console.print(_estimate_table(rows))
        return
    names = [one.label for one in measures.per_label]
    if isinstance(measures, SingleLabelMeasures):
        rows = [("accuracy", measures.accuracy), ("macro F1", measures.macro_f1)]
    elif isinstance(measures, MultiLabelMeasures):
        rows = [
            ("subset accuracy", measures.subset_accuracy),
            ("micro F1", measures.micro_f1),
            ("macro F1", measures.macro_f1),
        ]
    else:
        rows = [
            ("precision", measures.precision),
            ("recall", measures.recall),
            ("F1", measures.f1),
            ("macro F1", measures.macro_f1),
        ]
        names.append(NO_LABEL)
    console.print(_estimate_table(rows))
    console.print(_label_table(measures.per_label))
    if isinstance(measures, MultiLabelMeasures):
        return
    if len(names) <= _MOST_CONFUSION_LABELS:
        console.print("labelled (down) and predicted (across)")
        console.print(_confusion_table(names, measures.confusion.tolist()))
    else:
        console.print(
            f"{len(names)} labels are too many for a confusion matrix here: see --format json",
            soft_wrap=True,
        )
    if not isinstance(measures, SingleLabelMeasures):
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in measures.n_errors.items())
        console.print(f"errors: {kinds}", soft_wrap=True)


def _estimate_table(rows: Sequence[tuple[str, Estimate | float | None]]) -> Table:
    table = new_table("measure", "value", "95% interval")
    for name, value in rows:
        if value is None:
            table.add_row(name, "not defined", "")
        elif isinstance(value, float):
            table.add_row(name, f"{value:.3f}", "")
        else:
            has_interval = value.low is not None and value.high is not None
            interval = f"{value.low:.3f} to {value.high:.3f}" if has_interval else ""
            table.add_row(name, f"{value.value:.3f}", interval)
    return table


def _label_table(scores: Sequence[LabelScores]) -> Table:
    table = new_table("label", "precision", "recall", "F1", "support", "predicted")
    for one in scores:
        table.add_row(
            escaped(one.label),
            *(f"{value:.3f}" for value in (one.precision, one.recall, one.f1)),
            *(f"{value:,}" for value in (one.n_gold, one.n_predicted)),
        )
    return table


def _confusion_table(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> Table:
    shown = [escaped(name) for name in names]
    table = new_table("", *shown)
    for name, row in zip(shown, matrix, strict=True):
        table.add_row(name, *(f"{count:,}" if count else "·" for count in row))
    return table


def _calibration_table(calibration: Calibration) -> Table:
    table = new_table("score", "number", "mean score", "share correct")
    for one in calibration.bins:
        if one.n:
            table.add_row(
                f"{one.low:.2f} to {one.high:.2f}",
                f"{one.n:,}",
                f"{one.mean_score:.3f}",
                f"{one.share_right:.3f}",
            )
    return table


def _mistake_table(mistakes: Sequence[EntityMistake] | Sequence[LabelMistake]) -> Table:
    from longbert.engine.compare import EntityMistake

    rows: list[EntityMistake | LabelMistake] = list(mistakes[:MISTAKES_SHOWN])
    columns = ["document", "labelled", "predicted", "score"]
    if isinstance(rows[0], EntityMistake):
        columns = ["document", "error", *columns[1:], "context"]
    table = new_table(*columns)
    # Names and texts share what room the numbers leave, and are broken rather than cut.
    for column in table.columns:
        column.justify = "right" if column.header == "score" else "left"
        column.no_wrap = column.header == "score"
        column.overflow = "fold"
    for mistake in rows:
        score = "" if mistake.score is None else f"{mistake.score:.2f}"
        if isinstance(mistake, EntityMistake):
            gold, predicted = (
                "" if span is None else f"{one_line(mistake.part(span))} [{escaped(span.label)}]"
                for span in (mistake.error.gold, mistake.error.predicted)
            )
            context = f"{mistake.before}⟦{mistake.text}⟧{mistake.after}"
            own: tuple[str, ...] = (mistake.error.kind, gold, predicted, score, one_line(context))
        else:
            own = (_shown(mistake.gold), _shown(mistake.predicted), score)
        table.add_row(escaped(mistake.document_id), *own)
    return table


def new_table(*columns: str) -> Table:
    """A table whose first column is a name and whose others are numbers."""
    from rich.table import Table

    table = Table()
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", overflow="fold")
    return table


def _shown(answer: tuple[str, ...] | float) -> str:
    if isinstance(answer, tuple):
        return ", ".join(map(escaped, answer)) or "none"
    return f"{answer:.4g}"


def first_names(names: Iterable[str], *, most: int = _MOST_IDS) -> str:
    """The first of some names, and whether there are more."""
    listed = [escaped(name) for name in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
