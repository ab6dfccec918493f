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
from longbert.encoders.prompts import PromptedTokenizer, Prompts, with_prompt
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
        prompts: of the embedding model; None without one.
        embed_digest: digest that a query's model must have; None without one.
    """

    passes: tuple[Pass, ...]
    description: Mapping[str, Any]
    device: str
    precision: str
    width: int | None
    metric: str | None
    prompts: Prompts | None
    embed_digest: str | None


@dataclass(frozen=True)
class _Task:
    """A model as asked for, loaded."""

    task: str
    checkpoint: Checkpoint
    settings: EmbeddingSettings
    prompts: Prompts | None

    @property
    def name(self) -> str:
        return "embedding" if self.task == "embed" else self.checkpoint.folder.head_name

    def prompt(self, for_queries: bool) -> str:
        """What the model reads before a text; empty for nothing."""
        if self.prompts is None:
            return ""
        return self.prompts.query if for_queries else self.prompts.document


def load_models(config: ModelConfig, *, for_queries: bool = False) -> Models:
    """Find, check and load the models of a configuration, grouped into passes.

    Heads whose backbones have equal digests share one pass and its windows, unless the embedding
    model reads a prompt: then it has a pass of its own.

    Args:
        config: models and how documents are split for them.
        for_queries: put the prompt of queries before a text, and make no passages.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: window, overlap, passage or a prompt do not fit a backbone; two heads of one
            name.
    """
    device = choose_device(config.device)
    dtype = choose_precision(config.precision, device)
    batch_tokens = config.batch_tokens or default_batch_tokens(device)
    tasks = _load_tasks(config)
    groups: dict[tuple[str, str], list[_Task]] = {}
    sharing: dict[str, list[_Task]] = {}
    for task in tasks:
        digest = task.checkpoint.backbone_digest
        groups.setdefault((digest, task.prompt(for_queries)), []).append(task)
        sharing.setdefault(digest, []).append(task)
    passes: list[Pass] = []
    extra_passes: list[Pass] = []
    backbones = []
    loaded: dict[str, Backbone] = {}
    for (digest, prompt), group in groups.items():
        if digest not in loaded:
            loaded[digest] = Backbone(group[0].checkpoint, device=device, dtype=dtype)
        backbone = loaded[digest]
        # A prompt changes no window of the heads that read none.
        window = _window(sharing[digest], backbone, config)
        if group[0].prompts is not None:
            backbone = _with_prompts(backbone, group[0].prompts, window, for_queries)
        size = window - len(backbone.tokenizer.prefix) - len(backbone.tokenizer.suffix)
        overlap = _overlap(size, window, config, group)
        heads = tuple(_head(task, backbone.tokenizer, config, device, dtype) for task in group)
        passes.append(
            Pass(backbone, heads, partial(plan_windows, size=size, overlap=overlap), batch_tokens)
        )
        embedding = next((task for task in group if task.task == "embed"), None)
        if embedding is not None and embedding.settings.pooling != "mean" and not for_queries:
            extra_passes.append(_passage_pass(embedding, backbone, size, config, batch_tokens))
        described = _describe_backbone(backbone, heads, window, overlap, batch_tokens)
        backbones.append({**described, "prompt": prompt})
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
        prompts=None if embedding is None else embedding.prompts,
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
    prompts = [
        Prompts.of(folder, config) if task == "embed" else None
        for folder, (task, _, _) in zip(folders, asked, strict=True)
    ]
    return [
        _Task(
            task,
            load_checkpoint(folder, auto_class, config),
            EmbeddingSettings.from_folder(folder),
            own_prompts,
        )
        for folder, own_prompts, (task, _, auto_class) in zip(folders, prompts, asked, strict=True)
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


def _with_prompts(backbone: Backbone, prompts: Prompts, window: int, for_queries: bool) -> Backbone:
    """The backbone behind the prompt of one side; the other is checked as well."""
    query, document = (
        with_prompt(backbone.tokenizer, prompt, setting=setting, window=window)
        for setting, prompt in (
            ("query_prompt", prompts.query),
            ("document_prompt", prompts.document),
        )
    )
    return backbone.with_tokenizer(query if for_queries else document)


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


def _head(
    task: _Task,
    tokenizer: Tokenizer,
    config: ModelConfig,
    device: torch.device,
    dtype: torch.dtype,
) -> Head:
    if task.task == "embed":
        n_left_out = 0
        if isinstance(tokenizer, PromptedTokenizer) and not task.settings.include_prompt:
            n_left_out = tokenizer.n_positions_alone
        if task.settings.pooling == "mean":
            return MeanEmbeddingHead(
                task.settings, passage_tokens=config.passage, n_left_out=n_left_out
            )
        return PooledEmbeddingHead(task.settings, n_left_out=n_left_out)
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
    tokenizer = backbone.tokenizer
    is_left_out = isinstance(tokenizer, PromptedTokenizer) and not task.settings.include_prompt
    n_left_out = len(tokenizer.prefix) if is_left_out else 0
    head = PassageEmbeddingHead(task.settings, n_left_out=n_left_out)
    return Pass(backbone, (head,), plan, batch_tokens)


def _describe_backbone(
    backbone: Backbone, heads: Sequence[Head], window: int, overlap: int, batch_tokens: int
) -> dict[str, Any]:
    """What decides on the output of a pass, and whether batches do."""
    least = len(backbone.tokenizer.prefix) + len(backbone.tokenizer.suffix) + 1
    lengths = (max(least, n) for n in (window, window // 4, 1))
    padded = {padded_length(n, limit=backbone.limit) for n in lengths}
    invariant = backbone.is_batch_invariant(sorted(padded), batch_tokens=batch_tokens)
    return {
        "digest": backbone.digest,
        "attention": backbone.attention,
        "window": window,
        "overlap": overlap,
        "batch_invariant": invariant,
        "heads": [{"name": head.name, "digest": head.digest, **head.settings} for head in heads],
    }
