"""``longbert train``."""

from __future__ import annotations

import shlex
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from longbert.cli.command import Command
from longbert.cli.options import (
    PATH,
    compute_options,
    default_of,
    field_options,
    given,
    label_field_option,
    window_options,
)
from longbert.cli.streams import say, standard_output
from longbert.cli.wording import counted, escaped
from longbert.training.config import CLASS_WEIGHTS, TRAINED, TrainConfig, train_config
from longbert.training.observer import Observer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from longbert.training.fit import Epoch
    from longbert.training.scores import TrainingResult

_LINE_SECONDS = 10.0


def _by_task(setting: str) -> str:
    """How the help quotes a default that depends on the task."""
    values = (f"{getattr(one, setting)} for {task}" for task, one in TRAINED.items())
    return f"[default: {', '.join(values)}]"


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
@click.option("--task", type=click.Choice([*TRAINED]), required=True, help="What the head labels.")
@click.option(
    "--data",
    type=PATH,
    metavar="FILE",
    multiple=True,
    required=True,
    help="Labelled documents: JSON lines or Parquet with id, text and label, labels or entities; "
    "repeatable.",
)
@click.option(
    "--extra-data",
    type=PATH,
    metavar="FILE",
    multiple=True,
    help="More of them for training only: none is held back to validate or score; repeatable.  "
    "[default: none]",
)
@click.option(
    "--output", type=PATH, metavar="DIR", required=True, help="Folder of the head, a new one."
)
@click.option(
    "--backbone",
    type=PATH,
    metavar="MODEL",
    help="The encoder whose hidden states the head reads: a folder, a packaged name, or a hub id.  "
    f"{default_of(TrainConfig, 'backbone')}",
)
@click.option(
    "--folds",
    type=int,
    metavar="N",
    help="Cross-validate: score every document by a head that did not see it; 0 switches it off.  "
    "[default: 5 where fewer than 30 documents are held back, else 0]",
)
@click.option(
    "--validation",
    type=float,
    metavar="SHARE",
    help="Share of the documents held back for early stopping and calibration.  "
    f"{default_of(TrainConfig, 'validation_share')}",
)
@click.option("--epochs", type=int, metavar="N", help=f"At most.  {_by_task('epochs')}")
@click.option(
    "--patience",
    type=int,
    metavar="N",
    help="Epochs without a better validation after which training stops.  "
    f"{default_of(TrainConfig, 'patience')}",
)
@click.option(
    "--learning-rate",
    type=float,
    metavar="RATE",
    help=f"Peak of the schedule.  {_by_task('learning_rate')}",
)
@click.option(
    "--class-weights",
    type=click.Choice(CLASS_WEIGHTS),
    help="balanced: every class weighs the same, however rare it is.  "
    f"{default_of(TrainConfig, 'class_weights')}",
)
@click.option(
    "--unfreeze",
    type=int,
    metavar="N",
    help="Train the top N layers of the backbone as well; the head then needs a pass of its own.  "
    f"{default_of(TrainConfig, 'n_unfrozen')}",
)
@click.option(
    "--layers",
    metavar="N,N,...",
    help="Layers whose hidden states the head reads, 0 the embeddings.  [default: the task's own]",
)
@window_options
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help=f"Of all random numbers.  {default_of(TrainConfig, 'seed')}",
)
@click.option(
    "--features",
    type=PATH,
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

    The backbone is not changed: its hidden states are computed once and stored, and the head
    learns from them in minutes. The result is a folder that --classify or --ner of `longbert run`
    takes; in a run that uses the backbone anyway, the head costs next to nothing. Give the same
    command again to continue a training that was interrupted.
    """
    settings = given(options)
    if layers is not None:
        settings["layers"] = _numbers(layers)
    config = train_config(settings)

    from rich.console import Console

    from longbert.cli.scores import write_measures
    from longbert.training.train import train as train_head

    with _Display(Console(stderr=True)) as display:
        result = train_head(config, display, command=_command())
    with standard_output(for_programs=False) as stream:
        console = Console(file=stream, highlight=False, markup=False, emoji=False)
        for title, scores in (
            ("validation", result.validation),
            (f"cross-validation, {result.n_folds} folds", result.cross_validation),
        ):
            if scores is not None:
                console.print(f"{title}: {counted(scores.n_documents, 'document')}")
                write_measures(scores.measures, console)
    for line in _summary(config, result):
        say(line)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a list of whole numbers such as 0,2,4,6", param_hint="--layers"
        ) from None


def _command() -> str:
    return shlex.join(["longbert", *sys.argv[1:]])


def _summary(config: TrainConfig, result: TrainingResult) -> list[str]:
    best = max(epoch.number for epoch in result.log if epoch.is_best)
    head = result.head
    lines = [
        f"{config.output}: epoch {best} of {len(result.log)} kept, temperature "
        f"{head.temperature:.2f}"
    ]
    before, after = result.validation.uncalibrated, result.validation.calibration
    if before is not None and after is not None:
        lines.append(
            f"expected calibration error {before.expected_error:.3f}, with the temperature "
            f"{after.expected_error:.3f}"
        )
    if head.n_unfrozen:
        lines.append(
            f"the backbone's top {counted(head.n_unfrozen, 'layer')} changed with the head, which "
            "therefore needs a pass of its own"
        )
    lines.append(f"longbert run --input docs/ --{config.task} {config.output}")
    return lines


class _Display(Observer):
    """Progress on stderr: bars on a terminal, lines elsewhere."""

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

    @override
    def data(self, n_documents: int, n_extra: int, n_dropped_spans: int) -> None:
        extra = f" and {n_extra:,} extra" if n_extra else ""
        self._say(f"{counted(n_documents, 'labelled document')}{extra}")
        if n_dropped_spans:
            self._say(
                f"{counted(n_dropped_spans, 'span')} left out for overlapping a longer or earlier "
                "one"
            )

    @override
    def features(self, n_done: int, n_documents: int) -> None:
        self._show("hidden states of documents", n_documents, n_done)
        if n_done < n_documents and not self._console.is_terminal:
            if time.monotonic() - self._said_at >= _LINE_SECONDS:
                self._said_at = time.monotonic()
                self._say(f"hidden states of {n_done:,} of {counted(n_documents, 'document')}")
        elif n_done == n_documents:
            self._end()
            self._say(f"hidden states of {counted(n_documents, 'document')} are ready")

    @override
    def begin(self, name: str, n_learn: int, n_validate: int, n_steps: int) -> None:
        self._end()
        self._name = name
        self._say(f"training {name} on {counted(n_learn, 'document')}, validated on {n_validate:,}")
        self._show(name, n_steps, 0)

    @override
    def step(self) -> None:
        if self._bar is not None:
            self._progress.advance(self._bar)

    @override
    def epoch(self, epoch: Epoch) -> None:
        self._say(
            f"{self._name}, epoch {epoch.number}: loss {epoch.loss:.4f}, validation "
            f"{epoch.validation_loss:.4f}, score {epoch.score:.4f}{' *' if epoch.is_best else ''}"
        )

    @override
    def warn(self, message: str) -> None:
        self._say(f"warning: {message}")

    def _show(self, description: str, total: int, done: int) -> None:
        if self._bar is None:
            self._bar = self._progress.add_task(description, total=total)
        self._progress.update(self._bar, completed=done)

    def _end(self) -> None:
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None

    def _say(self, line: str) -> None:
        line = f"longbert: {escaped(line)}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
