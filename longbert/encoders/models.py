"""All models of a configuration, as few passes over the text."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from longbert.config import NONE, ModelConfig
from longbert.core.batching import padded_length
from longbert.core.passages import passage_windows
from longbert.core.windows import Window, default_overlap, plan_ends, plan_windows
from longbert.encoders.backbone import Backbone, Checkpoint, load_checkpoint
from longbert.encoders.device import (
    choose_device,
    choose_precision,
    default_batch_tokens,
    device_description,
    device_kind,
)
from longbert.encoders.folders import ModelFolder, find_model
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.classification import ClassificationHead
from longbert.encoders.heads.embedding import (
    EmbeddingSettings,
    MeanEmbeddingHead,
    PassageEmbeddingHead,
    PooledEmbeddingHead,
)
from longbert.encoders.heads.entities import CheckpointTagger, EntityHead
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.passes import Pass
from longbert.errors import ConfigError

_LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Models:
    """The passes of a configuration, ready to run.

    Attributes:
        passes: those that read whole documents come first, that of the first head before others.
        description: everything about models and machine that decides on the output.
        device: for people.
        precision: for people.
        width: of the embedding; None without an embedding model.
        metric: ``cosine`` or ``dot``; None without an embedding model.
        embed_digest: digest that a query's model must have; None without one.
    """

    passes: tuple[Pass, ...]
    description: Mapping[str, Any]
    device: str
    precision: str
    width: int | None
    metric: str | None
    embed_digest: str | None


@dataclass(frozen=True)
class _Task:
    """A model as asked for, loaded."""

    task: str
    checkpoint: Checkpoint
    settings: EmbeddingSettings

    def reads_all(self, config: ModelConfig) -> bool:
        """Whether it needs all windows of a document, and not only one of its two ends."""
        return self.task != "classify" or config.classify_pooling != "head+tail"

    @property
    def name(self) -> str:
        return "embedding" if self.task == "embed" else self.checkpoint.folder.head_name


def load_models(config: ModelConfig) -> Models:
    """Find, check and load the models of a configuration, grouped into passes.

    Heads whose backbones have equal digests share one pass and its windows, but for those that
    read the two ends of a document only; they share a pass of their own.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: window, overlap or passage do not fit a backbone; two heads of one name.
    """
    device = choose_device(config.device)
    dtype = choose_precision(config.precision, device)
    batch_tokens = config.batch_tokens or default_batch_tokens(device)
    tasks = _load_tasks(config)
    readings: dict[tuple[str, bool], list[_Task]] = {}
    for task in tasks:
        key = task.checkpoint.backbone_digest, task.reads_all(config)
        readings.setdefault(key, []).append(task)
    backbones: dict[str, Backbone] = {}
    passes: list[Pass] = []
    extra_passes: list[Pass] = []
    described = []
    for (digest, reads_all), group in sorted(readings.items(), key=lambda item: not item[0][1]):
        if digest not in backbones:
            backbones[digest] = Backbone(group[0].checkpoint, device=device, dtype=dtype)
        window = _window(group, backbones[digest], config)
        plan, about = _plan(group, backbones[digest], window, config, reads_all=reads_all)
        heads = tuple(_head(task, config, device, dtype) for task in group)
        pass_ = Pass(backbones[digest], heads, plan, batch_tokens, reads_all)
        passes.append(pass_)
        embedding = next((task for task in group if task.task == "embed"), None)
        if embedding is not None and embedding.settings.pooling != "mean":
            extra_passes.append(_passage_pass(embedding, pass_, window, config))
        described.append(_describe(pass_, window) | about)
    described += [
        _describe(pass_, config.passage + pass_.backbone.n_special) | {"reads": "passages"}
        for pass_ in extra_passes
    ]
    description: dict[str, Any] = {
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "processor": device_kind(device),
        "precision": str(dtype).removeprefix("torch."),
        "passage": config.passage,
        "backbones": described,
    }
    if not all(about["batch_invariant"] for about in described):
        description["batch_tokens"] = batch_tokens
    embedding = next((task for task in tasks if task.task == "embed"), None)
    return Models(
        passes=(*passes, *extra_passes),
        description=description,
        device=device_description(device),
        precision=str(dtype).removeprefix("torch."),
        width=None if embedding is None else embedding.checkpoint.base.config.hidden_size,
        metric=None if embedding is None else config.metric or embedding.settings.metric,
        embed_digest=None if embedding is None else embedding.checkpoint.backbone_digest,
    )


def _load_tasks(config: ModelConfig) -> list[_Task]:
    from transformers import (
        AutoModel,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    asked = [] if config.embed == NONE else [("embed", config.embed, AutoModel)]
    asked += [("classify", name, AutoModelForSequenceClassification) for name in config.classify]
    asked += [("ner", name, AutoModelForTokenClassification) for name in config.ner]
    # All folders are checked before the first is loaded, which may take long.
    folders = [find_model(name, task=task, config=config) for task, name, _ in asked]
    _check_names(
        [folder for folder, (task, _, _) in zip(folders, asked, strict=True) if task != "embed"]
    )
    return [
        _Task(
            task,
            load_checkpoint(folder, auto_class, config),
            EmbeddingSettings.from_folder(folder),
        )
        for folder, (task, _, auto_class) in zip(folders, asked, strict=True)
    ]


def _check_names(folders: Sequence[ModelFolder]) -> None:
    by_name: dict[str, ModelFolder] = {}
    for folder in folders:
        earlier = by_name.setdefault(folder.head_name, folder)
        if earlier is not folder:
            raise ConfigError(
                f"two heads are called {folder.head_name!r}, {earlier.name} and {folder.name}, and "
                "the tables could not tell them apart: rename one of the folders"
            )


def _window(group: Sequence[_Task], backbone: Backbone, config: ModelConfig) -> int:
    """Positions of a window for the heads that share a backbone."""
    names = ", ".join(task.name for task in group)
    if config.window is not None:
        if config.window > backbone.limit:
            raise ConfigError(
                f"window must be in [3, {backbone.limit}] for {names}, got {config.window}: "
                "leave it out to take what the model declares"
            )
        window = config.window
    else:
        declared = [task.settings.max_tokens for task in group if task.settings.max_tokens]
        window = min([backbone.limit, *declared])
    if window <= backbone.n_special:
        raise ConfigError(
            f"window must be in [{backbone.n_special + 1}, {backbone.limit}] for {names}, whose "
            f"{backbone.n_special} special tokens count, got {window}"
        )
    return window


def _plan(
    group: Sequence[_Task],
    backbone: Backbone,
    window: int,
    config: ModelConfig,
    *,
    reads_all: bool,
) -> tuple[Callable[[int], tuple[Window, ...]], dict[str, Any]]:
    """What the heads of a pass read of a document, and what decides on it."""
    size = window - backbone.n_special
    if not reads_all:
        return partial(plan_ends, size=size), {"reads": "ends"}
    overlap = default_overlap(size) if config.overlap is None else config.overlap
    if overlap >= size:
        names = ", ".join(task.name for task in group)
        raise ConfigError(
            f"overlap must be in [0, {size}) for {names} with a window of {window}, "
            f"got {overlap}: try {default_overlap(size)}"
        )
    plan = partial(plan_windows, size=size, overlap=overlap)
    return plan, {"reads": "all", "overlap": overlap}


def _head(task: _Task, config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Head:
    if task.task == "embed":
        if task.settings.pooling == "mean":
            return MeanEmbeddingHead(task.settings, passage_tokens=config.passage)
        return PooledEmbeddingHead(task.settings)
    model = HeadModel(task.checkpoint, device=device, dtype=dtype)
    if task.task == "classify":
        return ClassificationHead(
            model,
            name=task.name,
            pooling=config.classify_pooling,
            window_scores=config.window_scores,
        )
    return EntityHead(
        CheckpointTagger(model),
        name=task.name,
        strategy=config.entity_strategy,
        stitching=config.entity_stitching,
        decoding=config.entity_decoding,
    )


def _passage_pass(task: _Task, pass_: Pass, window: int, config: ModelConfig) -> Pass:
    size = window - pass_.backbone.n_special
    if config.passage > size:
        raise ConfigError(
            f"passage must be in [1, {size}] for {task.checkpoint.folder.name}, which pools by "
            f"{task.settings.pooling} and so encodes passages alone, got {config.passage}"
        )
    plan = partial(passage_windows, size=config.passage)
    head = PassageEmbeddingHead(task.settings)
    return Pass(pass_.backbone, (head,), plan, pass_.batch_tokens)


def _describe(pass_: Pass, window: int) -> dict[str, Any]:
    """What decides on the output of a pass, and whether batches do."""
    backbone = pass_.backbone
    padded = {padded_length(n, limit=backbone.limit) for n in (window, window // 4, 1)}
    return {
        "digest": backbone.digest,
        "attention": backbone.attention,
        "window": window,
        "batch_invariant": backbone.is_batch_invariant(
            sorted(padded), batch_tokens=pass_.batch_tokens
        ),
        "heads": [
            {"name": head.name, "digest": head.digest, **head.settings} for head in pass_.heads
        ],
    }
