"""The model card of a head (after Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator
from pathlib import PurePath

from longbert.core.measures.counts import Estimate, LabelScores
from longbert.core.measures.labels import MultiLabelMeasures, SingleLabelMeasures
from longbert.core.measures.spans import EntityMeasures
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.engine.compare import Measures
from longbert.training.config import TrainConfig

_LIBRARIES = ("longbert", "torch", "transformers", "tokenizers", "numpy")


def model_card(
    config: TrainConfig,
    head: HeadConfig,
    *,
    command: str,
    n_documents: int,
    n_extra: int,
    validation: Measures,
    cross_validation: Measures | None,
) -> str:
    """The text of a head's ``README.md``.

    Args:
        config: the training.
        head: what came of it.
        command: that made it.
        n_documents, n_extra: documents of the data and of the extra data.
        validation, cross_validation: scores.
    """
    name = PurePath(config.output).name
    kind = "entities" if head.task == "ner" else "documents"
    lines = [
        f"# {name}",
        "",
        f"A head of longbert that labels {kind}. It reads the hidden states of `{head.backbone}` "
        f"(digest `{head.backbone_digest[:12]}`) in windows of {head.window} positions with an "
        f"overlap of {head.overlap} tokens"
        + (
            f", with the top {head.n_unfrozen} of its layers trained for it, and so has a pass of "
            "its own in a run."
            if head.n_unfrozen
            else ", and adds next to nothing to a run in which that backbone runs already."
        ),
        "",
        f"    longbert run --input docs/ --{head.task} {name}",
        "",
        "## Labels",
        "",
        ", ".join(f"`{label}`" for label in _shown_labels(head)),
        "",
        "## Data",
        "",
        f"{n_documents:,} labelled documents from "
        f"{', '.join(PurePath(path).name for path in config.data)}"
        + (
            f", and {n_extra:,} more to learn from only, from "
            f"{', '.join(PurePath(path).name for path in config.extra_data)}"
            if n_extra
            else ""
        )
        + f". Licence of the data: {config.license or 'not stated'}.",
        "",
        "## Scores",
        "",
    ]
    if cross_validation is not None:
        lines += [
            f"Cross-validation with {config.n_folds} folds: every document is scored by a head "
            "that has not seen it. Brackets give 95% intervals, by resampling documents.",
            "",
            *_table(cross_validation),
            "",
        ]
    lines += [
        f"On the {config.validation_share:.0%} of the documents that chose the epoch and the "
        "temperature, and so flatter a little:",
        "",
        *_table(validation),
        "",
        "Scores of other kinds of text are likely to be lower. Try the head on labelled documents "
        "of your own with `longbert evaluate`.",
        "",
        "## How it was made",
        "",
        f"    {command}",
        "",
        f"Temperature {head.temperature:.3g}; "
        + ", ".join(f"{library} {importlib.metadata.version(library)}" for library in _LIBRARIES)
        + f", Python {platform.python_version()}. The curve of the training is in `training.svg`, "
        "all scores are in `scores.json`.",
        "",
    ]
    return "\n".join(lines)


def _shown_labels(head: HeadConfig) -> list[str]:
    if head.task == "ner":
        return sorted({label[2:] for label in head.labels[1:]})
    return list(head.labels)


def _table(measures: Measures) -> Iterator[str]:
    yield "| | score |"
    yield "|---|---|"
    if isinstance(measures, EntityMeasures):
        yield f"| F1 of entities (exact span and label) | {_interval(measures.f1)} |"
        yield f"| precision | {measures.precision:.3f} |"
        yield f"| recall | {measures.recall:.3f} |"
    elif isinstance(measures, SingleLabelMeasures):
        yield f"| accuracy | {_interval(measures.accuracy)} |"
        yield f"| macro F1 | {_interval(measures.macro_f1)} |"
    elif isinstance(measures, MultiLabelMeasures):
        yield f"| micro F1 | {_interval(measures.micro_f1)} |"
        yield f"| macro F1 | {_interval(measures.macro_f1)} |"
    for label in _per_label(measures):
        yield f"| F1 of {label.label} ({label.n_gold:,} labelled) | {label.f1:.3f} |"


def _per_label(measures: Measures) -> tuple[LabelScores, ...]:
    if isinstance(measures, EntityMeasures | SingleLabelMeasures | MultiLabelMeasures):
        return measures.per_label
    return ()


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
