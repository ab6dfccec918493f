"""Labelled documents from which a head can learn in seconds, and trainings of them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longbert.training.config import TrainConfig
from longbert.training.fit import Epoch
from longbert.training.scores import TrainingResult
from longbert.training.train import train

from .texts import ADJECTIVES, NOUNS

NAMES = {"PER": ("Ada", "Bob", "Carol", "Egon"), "LOC": ("Rome", "Paris", "London", "Berlin")}
KEYWORDS = {"pos": "good", "neg": "bad", "mixed": "strange"}
WINDOW = 32
"""Of the backbone: the documents here are some windows long."""

Row = dict[str, Any]


def classified(n: int, *, seed: int = 0, classes: Sequence[str] = ("pos", "neg")) -> list[Row]:
    """Documents of 60 words and more, in which a word that occurs five times tells the class."""
    draw = random.Random(seed)
    rows = []
    for number in range(n):
        label = classes[number % len(classes)]
        words = _words(60 + number, draw)
        for _ in range(5):
            words.insert(draw.randrange(len(words)), KEYWORDS[label])
        rows.append({"id": f"doc-{seed}-{number}", "text": " ".join(words), "label": label})
    return rows


def labelled_with_several(n: int, *, seed: int = 0) -> list[Row]:
    """As :func:`classified`, with none, one or two of three labels each."""
    draw = random.Random(seed)
    sets = ([], ["pos"], ["neg"], ["mixed", "pos"], ["mixed", "neg"])
    rows = []
    for number in range(n):
        labels = sets[number % len(sets)]
        words = _words(50 + number, draw)
        for label in labels:
            for _ in range(5):
                words.insert(draw.randrange(len(words)), KEYWORDS[label])
        rows.append({"id": f"doc-{seed}-{number}", "text": " ".join(words), "labels": labels})
    return rows


def with_entities(n: int, *, seed: int = 0) -> list[Row]:
    """Documents of 60 words and more, in which just the entities have capitals."""
    draw = random.Random(seed)
    rows = []
    for number in range(n):
        text = ""
        spans = []
        for word in _words(60 + number, draw):
            if draw.random() < 0.15:
                label = draw.choice(tuple(NAMES))
                name = draw.choice(NAMES[label])
                spans.append([len(text), len(text) + len(name), label])
                text += f"{name} "
            text += f"{word} "
        rows.append({"id": f"doc-{seed}-{number}", "text": text, "entities": spans})
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class Record:
    """An observer that keeps all it is told, and may end a training.

    Args:
        stop_after: epochs, of all heads together, after which it raises ``Stopped``.
    """

    def __init__(self, stop_after: int | None = None) -> None:
        self.read: tuple[int, int, int] | None = None
        self.n_with_features: list[int] = []
        self.begun: list[tuple[str, int, int]] = []
        self.n_steps: list[int] = []
        self.epochs: list[Epoch] = []
        self.warnings: list[str] = []
        self._stop_after = stop_after

    def data(self, n_documents: int, n_extra: int, n_dropped_spans: int) -> None:
        self.read = n_documents, n_extra, n_dropped_spans

    def features(self, n_done: int, n_documents: int) -> None:
        self.n_with_features.append(n_done)

    def begin(self, name: str, n_learn: int, n_validate: int, n_steps: int) -> None:
        self.begun.append((name, n_learn, n_validate))
        self.n_steps.append(0)

    def step(self) -> None:
        self.n_steps[-1] += 1

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        if len(self.epochs) == self._stop_after:
            raise Stopped

    def warn(self, message: str) -> None:
        self.warnings.append(message)


class Stopped(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


def train_head(
    task: str, data: Path, output: Path, backbone: Path, *, observer: Any = None, **settings: Any
) -> TrainingResult:
    """A training of few epochs in this process; its card tells the same command each time."""
    config = TrainConfig(
        task=task,
        data=(str(data),),
        output=str(output),
        backbone=str(backbone),
        **{"validation_share": 0.25, "epochs": 3, "n_folds": 0, **settings},
    )
    return train(config, observer or Record(), command="longbert train ...")


def files_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _words(n: int, draw: random.Random) -> list[str]:
    return draw.choices(NOUNS + ADJECTIVES, k=n)
