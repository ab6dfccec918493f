"""The folder of a trained head: complete, or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from longbert.errors import OutputError
from longbert.training.card import model_card
from longbert.training.config import TrainConfig
from longbert.training.observer import Observer
from longbert.training.plots import learning_curve
from longbert.training.scores import TrainingResult


def write_head(
    output: Path,
    config: TrainConfig,
    result: TrainingResult,
    weights: Mapping[str, bytes],
    *,
    n_documents: int,
    n_extra: int,
    score: str,
    command: str,
    observer: Observer,
) -> None:
    """Write all files of a head beside its folder, then give that its name.

    Where matplotlib is missing, the plot is left out, and the observer is told.

    Args:
        output: the folder.
        config: of the training.
        result: of the training.
        weights: files by name.
        n_documents, n_extra: documents of the data and of the extra data.
        score: name of the score that the log holds.
        command: that the head was trained by.
        observer: told what is left out.

    Raises:
        OutputError: the folder cannot be written.
    """
    plot = _plot(result, score, observer)
    card = model_card(
        config,
        result,
        command=command,
        n_documents=n_documents,
        n_extra=n_extra,
        has_plot=bool(plot),
    )
    scores = {"validation": result.validation.to_json()}
    if result.cross_validation is not None:
        scores["cross_validation"] = result.cross_validation.to_json()
    log = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in result.log)
    files = {
        "config.json": result.head.to_json().encode(),
        **weights,
        "scores.json": (json.dumps(scores, indent=1) + "\n").encode(),
        "training.jsonl": log.encode(),
        **plot,
        "README.md": card.encode(),
    }
    unfinished = Path(f"{output}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        os.replace(unfinished, output)
    except OSError as error:
        raise OutputError(
            f"output {str(output)!r} cannot be written ({error.strerror or error}): make room or "
            "fix the permissions, then run the same command again to continue from the last epoch"
        ) from error


def _plot(result: TrainingResult, score: str, observer: Observer) -> dict[str, bytes]:
    """The file of the plot, if there is a library to draw it."""
    try:
        return {"training.svg": learning_curve(result.log, score=score)}
    except ImportError:
        observer.warn(
            "training.svg is left out, since matplotlib is not installed: "
            "pip install 'longbert[train]' to have the next training plotted"
        )
        return {}
