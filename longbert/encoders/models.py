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
from longbert.core.windows import Window, default_overlap, plan_windows
from longbert.encoders.backbone import Backbone, Checkpoint, TokenWindow, load_checkpoint
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
from longbert.encoders.heads.entities import EntityHead
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.tokenizer import Tokenizer
from longbert.errors import ConfigError

_LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Pass:
    """One forward pass over a document's windows, for all heads that share its backbone.

    Attributes:
        backbone: the encoder.
        heads: what is made of its hidden states.
        plan: windows of a document of so many content tokens.
        batch_tokens: positions of a batch, padding included.
    """

    backbone: Backbone
    heads: tuple[Head, ...]
    plan: Callable[[int], tuple[Window, ...]]
    batch_tokens: int

    @property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer."""
        return self.backbone.tokenizer

    @property
    def limit(self) -> int:
        """Positions that the backbone takes."""
        return self.backbone.limit

    def run(self, windows: Sequence[TokenWindow], padded: int) -> list[list[Any]]:
        """Encode one batch; for each head the partials of its windows."""
        batch = self.backbone.batch(windows, padded)
        hidden = self.backbone.hidden_states(batch)
        return [list(head.partials(hidden, batch)) for head in self.heads]


@dataclass(frozen=True)
class Models:
    """The passes of a configuration, ready to run.

    Attributes:
        passes: those that share windows with the first head come first.
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

    @property
    def name(self) -> str:
        return "embedding" if self.task == "embed" else self.checkpoint.folder.head_name


def load_models(config: ModelConfig) -> Models:
    """Find, check and load the models of a configuration, grouped into passes.

    Heads whose backbones have equal digests share one pass and its windows.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: window, overlap or passage do not fit a backbone; two heads of one name.
    """
    device = choose_device(config.device)
    dtype = choose_precision(config.precision, device)
    batch_tokens = config.batch_tokens or default_batch_tokens(device)
    tasks = _load_tasks(config)
    groups: dict[str, list[_Task]] = {}
    for task in tasks:
        groups.setdefault(task.checkpoint.backbone_digest, []).append(task)
    passes: list[Pass] = []
    extra_passes: list[Pass] = []
    backbones = []
    for group in groups.values():
        backbone = Backbone(group[0].checkpoint, device=device, dtype=dtype)
        window = _window(group, backbone, config)
        size = window - len(backbone.tokenizer.prefix) - len(backbone.tokenizer.suffix)
        overlap = _overlap(size, window, config, group)
        heads = tuple(_head(task, config, device, dtype) for task in group)
        passes.append(
            Pass(backbone, heads, partial(plan_windows, size=size, overlap=overlap), batch_tokens)
        )
        embedding = next((task for task in group if task.task == "embed"), None)
        if embedding is not None and embedding.settings.pooling != "mean":
            extra_passes.append(_passage_pass(embedding, backbone, size, config, batch_tokens))
        backbones.append(_describe_backbone(backbone, heads, window, overlap, batch_tokens))
    description: dict[str, Any] = {
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "processor": device_kind(device),
        "precision": str(dtype).removeprefix("torch."),
        "passage": config.passage,
        "backbones": backbones,
    }
    if not all(backbone["batch_invariant"] for backbone in backbones):
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
    n_special = len(backbone.tokenizer.prefix) + len(backbone.tokenizer.suffix)
    if window <= n_special:
        raise ConfigError(
            f"window must be in [{n_special + 1}, {backbone.limit}] for {names}, whose "
            f"{n_special} special tokens count, got {window}"
        )
    return window


def _overlap(size: int, window: int, config: ModelConfig, group: Sequence[_Task]) -> int:
    if config.overlap is None:
        return default_overlap(size)
    if config.overlap >= size:
        names = ", ".join(task.name for task in group)
        raise ConfigError(
            f"overlap must be in [0, {size}) for {names} with a window of {window}, "
            f"got {config.overlap}: try {default_overlap(size)}"
        )
    return config.overlap


def _head(task: _Task, config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Head:
    if task.task == "embed":
        if task.settings.pooling == "mean":
            return MeanEmbeddingHead(task.settings, passage_tokens=config.passage)
        return PooledEmbeddingHead(task.settings)
    model = HeadModel(task.checkpoint, device=device, dtype=dtype)
    if task.task == "classify":
        return ClassificationHead(model, name=task.name, pooling=config.classify_pooling)
    return EntityHead(model, name=task.name, strategy=config.entity_strategy)


def _passage_pass(
    task: _Task, backbone: Backbone, size: int, config: ModelConfig, batch_tokens: int
) -> Pass:
    if config.passage > size:
        raise ConfigError(
            f"passage must be in [1, {size}] for {task.checkpoint.folder.name}, which pools by "
            f"{task.settings.pooling} and so encodes passages alone, got {config.passage}"
        )
    plan = partial(passage_windows, size=config.passage)
    return Pass(backbone, (PassageEmbeddingHead(task.settings),), plan, batch_tokens)


def _describe_backbone(
    backbone: Backbone, heads: Sequence[Head], window: int, overlap: int, batch_tokens: int
) -> dict[str, Any]:
    """What decides on the output of a pass, and whether batches do."""
    padded = {padded_length(n, limit=backbone.limit) for n in (window, window // 4, 1)}
    invariant = backbone.is_batch_invariant(sorted(padded), batch_tokens=batch_tokens)
    return {
        "digest": backbone.digest,
        "attention": backbone.attention,
        "window": window,
        "overlap": overlap,
        "batch_invariant": invariant,
        "heads": [{"name": head.name, "digest": head.digest, **head.settings} for head in heads],
    }
