"""The registry of tasks: what a head can be asked to do, and where the code for it is.

A new task is one record here, its setting in :class:`longbert.config.ModelConfig`, and the code
that the record refers to. Everything else iterates over :data:`TASKS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How ``longbert train`` fits the heads of a task.

    Attributes:
        trainer: reference to its :class:`longbert.training.base.Trainer`.
        label_kinds: kinds of labels that it learns from (``longbert.readers.labels``).
        epochs: at most, by default.
        learning_rate: the peak of the schedule, by default.
    """

    trainer: str
    label_kinds: tuple[str, ...]
    epochs: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A task.

    References are of the form ``package.module:name`` and resolved on use, since most of them
    lead to higher layers.

    Attributes:
        name: of the option on the command line, without the dashes, and of the setting.
        help: of the option.
        metavar: of the option.
        labels: what its heads label, in the plural, for texts; empty where they label nothing.
        is_repeatable: whether several models may be named.
        default: the packaged model that runs when nothing is asked for.
        always_runs: whether the default also runs beside the models named for other tasks.
        head_name: of its head in messages and in the manifest; None: the model's own name.
        takes_prompts: whether its models read a prompt before a text.
        model_class: the class of transformers that loads a checkpoint of it.
        architecture: how the architecture in a checkpoint's ``config.json`` must end; None: any.
        heads: reference to the :class:`longbert.encoders.heads.factory.HeadFactory`.
        learned_heads: reference to the
            :class:`longbert.encoders.heads.learned.build.LearnedHeadFactory`; None where
            ``longbert train`` trains none.
        tables: names of the tables that its heads fill.
        measures: references to what compares its heads with labelled documents, by kind of label.
        training: None where ``longbert train`` trains none.
    """

    name: str
    help: str
    metavar: str = "MODEL"
    labels: str = ""
    is_repeatable: bool = True
    default: str
    always_runs: bool = False
    head_name: str | None = None
    takes_prompts: bool = False
    model_class: str
    architecture: str | None
    heads: str
    learned_heads: str | None = None
    tables: tuple[str, ...]
    measures: Mapping[str, str] = field(default_factory=dict)
    training: Training | None = None


_EMBED = Task(
    name="embed",
    help="Embedding model: a folder, a packaged name, a hub id with optional @revision, or none.  "
    "[default: minilm]",
    is_repeatable=False,
    default="minilm",
    always_runs=True,
    head_name="embedding",
    takes_prompts=True,
    model_class="AutoModel",
    architecture=None,
    heads="longbert.encoders.heads.embedding:EmbeddingHeads",
    tables=("documents", "passages"),
)

_CLASSIFY = Task(
    name="classify",
    help="Document classifier: a checkpoint, a head of longbert train, or none; repeatable.  "
    "[default: sentiment-en, if no model is named]",
    labels="documents",
    default="sentiment-en",
    model_class="AutoModelForSequenceClassification",
    architecture="ForSequenceClassification",
    heads="longbert.encoders.heads.sequence_classification:ClassificationHeads",
    learned_heads="longbert.encoders.heads.learned.document_head:LearnedClassifiers",
    tables=("classifications", "window_scores"),
    measures={
        "label": "longbert.engine.compare:compare_labels",
        "labels": "longbert.engine.compare:compare_labels",
        "number": "longbert.engine.compare:compare_numbers",
    },
    training=Training(
        trainer="longbert.training.classify:TRAINER",
        label_kinds=("label", "labels"),
        epochs=16,
        learning_rate=6e-3,
    ),
)

_NER = Task(
    name="ner",
    help="Entity model: a checkpoint, a head of longbert train, or none; repeatable.  "
    "[default: entities-en, if no model is named]",
    labels="entities",
    default="entities-en",
    model_class="AutoModelForTokenClassification",
    architecture="ForTokenClassification",
    heads="longbert.encoders.heads.token_classification:EntityHeads",
    learned_heads="longbert.encoders.heads.learned.token_head:LearnedTaggers",
    tables=("entities",),
    measures={"entities": "longbert.engine.compare:compare_entities"},
    training=Training(
        trainer="longbert.training.ner:TRAINER",
        label_kinds=("entities",),
        epochs=10,
        learning_rate=1e-3,
    ),
)

TASKS: Mapping[str, Task] = {task.name: task for task in (_EMBED, _CLASSIFY, _NER)}
"""All tasks by name, in the order in which their models run."""


def resolve(reference: str) -> Any:
    """Import what a reference ``package.module:name`` of the registry leads to."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
