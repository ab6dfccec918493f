"""The model card of a head (after Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from longbert.core.measures.counts import Estimate
from longbert.engine.compare import Measures
from longbert.training.config import TrainConfig
from longbert.training.data import FEW
from longbert.training.scores import Scores, TrainingResult

_LIBRARIES = ("longbert", "torch", "transformers", "tokenizers", "numpy")


def model_card(
    config: TrainConfig,
    result: TrainingResult,
    *,
    command: str,
    n_documents: int,
    n_extra: int,
    has_plot: bool,
) -> str:
    """The text of a head's ``README.md``.

    Args:
        config: of the training.
        result: of the training.
        command: that the head was trained by.
        n_documents, n_extra: documents of the data and of the extra data.
        has_plot: whether the folder holds a plot.
    """
    head = result.head
    name = PurePath(config.output).name
    paragraphs = [
        f"# {name}",
        f"A longbert head for `--{head.task}`. " + _backbone(result),
        f"    longbert run --input docs/ --{head.task} {name}",
        "## Labels",
        ", ".join(f"`{label}`" for label in _labels(result)),
        "## Data",
        _data(config, n_documents, n_extra),
        "## Scores",
        *_scores(config, result),
        "Expect lower scores on other kinds of text. Measure the head on labelled documents of "
        "your own with `longbert evaluate`.",
        "## Training",
        f"    {command}",
        f"Temperature {head.temperature:.3g}; "
        + ", ".join(f"{library} {importlib.metadata.version(library)}" for library in _LIBRARIES)
        + f", Python {platform.python_version()}. "
        + ("`training.svg` plots the training; " if has_plot else "")
        + "`scores.json` has all scores.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _backbone(result: TrainingResult) -> str:
    head = result.head
    reads = (
        f"It reads the hidden states of `{head.backbone}` (digest `{head.backbone_digest[:12]}`) "
        f"in windows of {head.window} positions that overlap by {head.overlap} tokens. "
    )
    if head.n_unfrozen:
        layers = "layer was" if head.n_unfrozen == 1 else f"{head.n_unfrozen} layers were"
        return reads + f"The top {layers} trained with it, so it needs a pass of its own in a run."
    return reads + "It adds next to nothing to a run that uses this backbone anyway."


def _labels(result: TrainingResult) -> Sequence[str]:
    """The labels, or the types of a tagging scheme."""
    labels = result.head.labels
    measured = sorted(one.label for one in result.validation.measures.per_label)
    return measured if set(measured) - set(labels) else labels


def _data(config: TrainConfig, n_documents: int, n_extra: int) -> str:
    files = ", ".join(PurePath(path).name for path in config.data)
    extra = ", ".join(PurePath(path).name for path in config.extra_data)
    return (
        f"{n_documents:,} labelled documents from {files}"
        + (f", and {n_extra:,} more, for training only, from {extra}" if n_extra else "")
        + f". Licence of the data: {config.license or 'not stated'}."
    )


def _scores(config: TrainConfig, result: TrainingResult) -> Iterator[str]:
    crossed, validation = result.cross_validation, result.validation
    if crossed is not None:
        yield (
            f"Cross-validation with {result.n_folds} folds, in which every document is scored by a "
            "head that did not see it. Brackets hold 95% intervals."
        )
        yield from _tables(crossed)
    yield (
        f"On the {config.validation_share:.0%} of the documents that chose the epoch and the "
        "temperature, which flatters the head a little"
        + ("" if crossed is not None else ", with 95% intervals in brackets")
        + ":"
    )
    yield from _tables(validation)


def _tables(scores: Scores) -> Iterator[str]:
    yield "\n".join(_rows(scores.measures))
    if scores.n_documents < FEW:
        yield f"These are {scores.n_documents} documents, too few to say much."


def _rows(measures: Measures) -> Iterator[str]:
    yield "| | score |"
    yield "|---|---|"
    for name, estimate in measures.highlights.items():
        yield f"| {name} | {_interval(estimate)} |"
    for label in measures.per_label:
        yield f"| F1 of {label.label} ({label.n_gold:,} labelled) | {label.f1:.3f} |"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
