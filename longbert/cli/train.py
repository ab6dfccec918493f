"""``longbert train``."""

from __future__ import annotations

import shlex
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from longbert.cli.command import Command
from longbert.cli.options import (
    compute_options,
    field_options,
    given,
    label_field_option,
    window_options,
)
from longbert.cli.wording import counted
from longbert.training.config import CLASS_WEIGHTS, TASKS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from longbert.training.fit import Epoch
    from longbert.training.train import TrainOutcome

_LINE_SECONDS = 10.0


@click.command(
    cls=Command,
    epilog="""
\b
Examples:
  longbert train --task classify --data reviews.jsonl.gz --output my-sentiment
  longbert train --task ner --data people.jsonl --output my-people --folds 5
  longbert train --task ner --data novels.jsonl.gz --label-field outer_entities \\
      --output literary
  longbert run --input docs/ --classify my-sentiment --ner my-people
""",
)
@click.option("--task", type=click.Choice(TASKS), required=True, help="What the head labels.")
@click.option(
    "--data",
    metavar="FILE",
    multiple=True,
    required=True,
    help="Labelled documents: JSON lines or Parquet with id, text and label, labels or entities; "
    "repeatable.",
)
@click.option(
    "--extra-data",
    metavar="FILE",
    multiple=True,
    help="Labelled documents that are only learned from, never validated on; repeatable.  "
    "[default: none]",
)
@click.option("--output", metavar="DIR", required=True, help="Folder of the head, a new one.")
@click.option(
    "--backbone",
    metavar="MODEL",
    default="minilm",
    show_default=True,
    help="The encoder whose hidden states are read: a folder, a packaged name, or a hub id.",
)
@click.option(
    "--folds",
    "n_folds",
    type=int,
    default=0,
    metavar="N",
    help="Folds of a cross-validation.  [default: none]",
)
@click.option(
    "--validation",
    "validation_share",
    type=float,
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Of the documents, held back for early stopping and calibration.",
)
@click.option(
    "--epochs", type=int, metavar="N", help="At most.  [default: 16 for classify, 10 for ner]"
)
@click.option(
    "--patience",
    type=int,
    default=4,
    show_default=True,
    metavar="N",
    help="Epochs without a better validation after which training ends.",
)
@click.option(
    "--learning-rate",
    type=float,
    metavar="RATE",
    help="The highest of the schedule.  [default: 0.006 for classify, 0.001 for ner]",
)
@click.option(
    "--class-weights",
    type=click.Choice(CLASS_WEIGHTS),
    default="none",
    show_default=True,
    help="balanced: classes weigh the same however frequent they are.",
)
@click.option(
    "--unfreeze",
    "n_unfrozen",
    type=int,
    default=0,
    metavar="N",
    show_default=True,
    help="Train the top N layers of the backbone as well; the head then has a pass of its own.",
)
@click.option(
    "--layers",
    metavar="N,N,...",
    help="Hidden states that are read, 0 the embeddings.  [default: all for classify, every "
    "second for ner]",
)
@window_options
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of all draws.")
@click.option(
    "--features",
    metavar="DIR",
    help="Where hidden states are kept for the next training.  [default: OUTPUT.features]",
)
@compute_options
@field_options
@label_field_option
@click.option(
    "--license",
    metavar="TEXT",
    help="Licence of the data, for the head's card.  [default: none]",
)
def train(layers: str | None, **options: Any) -> None:
    """Train a head on labelled documents of any length.

    The backbone stays as it is: its hidden states are computed once and kept, and the head learns
    from them in minutes. What is trained is a folder that --classify or --ner of `longbert run`
    takes; where the backbone runs anyway, it costs next to nothing more. A training that was
    stopped goes on when the same command is given again.
    """
    from rich.console import Console

    from longbert.training.config import TrainConfig
    from longbert.training.plots import check_plots

    config = TrainConfig(**given(options), layers=None if layers is None else _numbers(layers))
    check_plots()

    from longbert.cli.scores import write_measures
    from longbert.training.train import train as train_head

    with _Display(Console(stderr=True)) as display:
        outcome = train_head(config, display, command=_command())
    console = Console(highlight=False, markup=False, emoji=False)
    for title, scores in (
        ("validation", outcome.validation),
        (f"cross-validation, {config.n_folds} folds", outcome.cross_validation),
    ):
        if scores is not None:
            console.print(f"{title}: {counted(scores.n_documents, 'document')}")
            write_measures(scores.measures, console)
    for line in _summary(config.output, config.task, outcome):
        click.echo(f"longbert: {line}", err=True)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no list of whole numbers such as 0,2,4,6", param_hint="--layers"
        ) from None


def _command() -> str:
    return shlex.join(["longbert", *sys.argv[1:]])


def _summary(output: str, task: str, outcome: TrainOutcome) -> list[str]:
    best = max(epoch.number for epoch in outcome.log if epoch.is_best)
    lines = [
        f"{output}: epoch {best} of {len(outcome.log)} kept, temperature "
        f"{outcome.head.temperature:.2f}"
    ]
    before, after = outcome.validation.uncalibrated, outcome.validation.calibration
    if before is not None and after is not None:
        lines.append(
            f"expected calibration error {before.expected_error:.3f}, with the temperature "
            f"{after.expected_error:.3f}"
        )
    if outcome.head.n_unfrozen:
        lines.append(
            f"the backbone's top {counted(outcome.head.n_unfrozen, 'layer')} learned with it, "
            "so that the head has a pass of its own"
        )
    lines.append(f"longbert run --input docs/ --{task} {output}")
    return lines


class _Display:
    """What goes on, on stderr: bars on a terminal, lines elsewhere."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bar: TaskID | None = None
        self._name = ""
        self._said_at = time.monotonic()

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def data(self, n_documents: int, n_extra: int, n_dropped_spans: int) -> None:
        """See :class:`longbert.training.train.Observer`."""
        extra = f" and {n_extra:,} extra" if n_extra else ""
        self._say(f"{counted(n_documents, 'labelled document')}{extra}")
        if n_dropped_spans:
            self._say(
                f"{counted(n_dropped_spans, 'span')} left out, which overlap a longer or earlier "
                "one"
            )

    def features(self, n_done: int, n_documents: int) -> None:
        """See :class:`longbert.training.train.Observer`."""
        self._show("hidden states of documents", n_documents, n_done)
        if n_done < n_documents and not self._console.is_terminal:
            if time.monotonic() - self._said_at >= _LINE_SECONDS:
                self._said_at = time.monotonic()
                self._say(f"hidden states of {n_done:,} of {counted(n_documents, 'document')}")
        elif n_done == n_documents:
            self._end()
            self._say(f"hidden states of {counted(n_documents, 'document')} are there")

    def begin(self, name: str, n_learn: int, n_validate: int, n_steps: int) -> None:
        """See :class:`longbert.training.train.Observer`."""
        self._end()
        self._name = name
        self._say(f"training {name} on {counted(n_learn, 'document')}, validated on {n_validate:,}")
        self._show(name, n_steps, 0)

    def step(self) -> None:
        """See :class:`longbert.training.train.Observer`."""
        if self._bar is not None:
            self._progress.advance(self._bar)

    def epoch(self, epoch: Epoch) -> None:
        """See :class:`longbert.training.train.Observer`."""
        self._say(
            f"{self._name}, epoch {epoch.number}: loss {epoch.loss:.4f}, validation "
            f"{epoch.validation_loss:.4f}, score {epoch.score:.4f}{' *' if epoch.is_best else ''}"
        )

    def _show(self, description: str, total: int, done: int) -> None:
        if self._bar is None:
            self._bar = self._progress.add_task(description, total=total)
        self._progress.update(self._bar, completed=done)

    def _end(self) -> None:
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None

    def _say(self, line: str) -> None:
        self._console.print(f"longbert: {line}", highlight=False, markup=False)
