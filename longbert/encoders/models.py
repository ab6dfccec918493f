"""All models of a configuration, as few passes over the text."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from longbert.config import ModelConfig
from longbert.core.batching import padded_length
from longbert.core.passages import passage_starts, passage_windows
from longbert.core.windows import Window, default_overlap, plan_ends, plan_windows
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.embedding import (
    PassageEmbeddingHead,
)
from longbert.encoders.passes import Pass
from longbert.encoders.runtime.backbone import Backbone, Checkpoint
from longbert.encoders.runtime.device import (
    choose_device,
    choose_precision,
    default_batch_tokens,
    device_description,
    device_kind,
)
from longbert.encoders.tasks import Reading, Task, load_tasks, make_head
from longbert.encoders.tokenizers.fast import TokenizedText
from longbert.encoders.tokenizers.prompts import PromptedTokenizer, Prompts, with_prompt
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


def load_models(config: ModelConfig, *, for_queries: bool = False) -> Models:
    """Find, check and load the models of a configuration, grouped into passes.

    Heads whose backbones have equal digests share one pass and its windows. Those that read the
    two ends of a document only share a pass of their own, and so does an embedding model that
    reads a prompt.

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
    tasks = load_tasks(config)
    readings: dict[Reading, list[Task]] = {}
    sharing: dict[tuple[str, bool], list[Task]] = {}
    for task in tasks:
        reading = task.reading(config, for_queries=for_queries)
        readings.setdefault(reading, []).append(task)
        sharing.setdefault((reading.digest, reading.reads_all), []).append(task)
    backbones: dict[str, Backbone] = {}
    passes: list[Pass] = []
    extra_passes: list[Pass] = []
    described: list[dict[str, Any]] = []
    extra_described: list[dict[str, Any]] = []
    for reading, group in sorted(readings.items(), key=lambda item: not item[0].reads_all):
        if reading.digest not in backbones:
            backbones[reading.digest] = Backbone(group[0].checkpoint, device=device, dtype=dtype)
        backbone = backbones[reading.digest]
        # A prompt changes no window of the heads that read none.
        window = _window(sharing[reading.digest, reading.reads_all], backbone, config)
        if group[0].prompts is not None:
            backbone = _with_prompts(backbone, group[0].prompts, window, for_queries)
        plan, about = _plan(group, backbone, window, config, reads_all=reading.reads_all)
        heads = tuple(make_head(task, backbone.tokenizer, config, device, dtype) for task in group)
        pass_ = Pass(backbone, heads, plan, batch_tokens, reading.reads_all)
        passes.append(pass_)
        embedding = next((task for task in group if task.task == "embed"), None)
        if embedding is not None and embedding.settings.pooling != "mean" and not for_queries:
            extra_pass = _passage_pass(embedding, pass_, window, config)
            about_passages = _describe(extra_pass, config.passage + backbone.n_special)
            extra_passes.append(extra_pass)
            extra_described.append(about_passages | {"reads": "passages", "prompt": reading.prompt})
        described.append(_describe(pass_, window) | about | {"prompt": reading.prompt})
    description: dict[str, Any] = {
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "processor": device_kind(device),
        "precision": str(dtype).removeprefix("torch."),
        "passage": config.passage,
        "backbones": [*described, *extra_described],
    }
    if not all(about["batch_invariant"] for about in (*described, *extra_described)):
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


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with the windows that heads on it share when nothing else is asked for.

    Attributes:
        checkpoint: as loaded, before it is moved to a device.
        backbone: on its device.
        window: positions, special tokens included.
        overlap: content tokens.
        plan: windows of a document.
        batch_tokens: positions of a batch.
        precision, processor: that decide on the hidden states, too.
    """

    checkpoint: Checkpoint
    backbone: Backbone
    window: int
    overlap: int
    plan: Callable[[TokenizedText], tuple[Window, ...]]
    batch_tokens: int
    precision: str
    processor: str

    def pass_for(self, head: Head) -> Pass:
        """A pass of one head over whole documents."""
        return Pass(self.backbone, (head,), self.plan, self.batch_tokens)


def load_backbone(config: ModelConfig) -> LoadedBackbone:
    """Load the encoder that a configuration names for embeddings, to put other heads on it.

    Raises:
        ModelError, ConfigError: as :func:`load_models` does.
    """
    device = choose_device(config.device)
    dtype = choose_precision(config.precision, device)
    (task,) = load_tasks(config)
    backbone = Backbone(task.checkpoint, device=device, dtype=dtype)
    window = _window([task], backbone, config)
    plan, about = _plan([task], backbone, window, config, reads_all=True)
    return LoadedBackbone(
        checkpoint=task.checkpoint,
        backbone=backbone,
        window=window,
        overlap=about["overlap"],
        plan=plan,
        batch_tokens=config.batch_tokens or default_batch_tokens(device),
        precision=str(dtype).removeprefix("torch."),
        processor=device_kind(device),
    )


def _window(group: Sequence[Task], backbone: Backbone, config: ModelConfig) -> int:
    """Positions of a window for the heads that share a backbone."""
    names = ", ".join(task.name for task in group)
    limit = min(task.checkpoint.limit for task in group)
    if config.window is not None:
        if config.window > limit:
            raise ConfigError(
                f"window must be in [3, {limit}] for {names}, got {config.window}: "
                "leave it out to take what the model declares"
            )
        window = config.window
    else:
        declared = [task.settings.max_tokens for task in group if task.settings.max_tokens]
        window = min([limit, *declared])
    if window <= backbone.n_special:
        raise ConfigError(
            f"window must be in [{backbone.n_special + 1}, {limit}] for {names}, whose "
            f"{backbone.n_special} special tokens count, got {window}"
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


def _plan(
    group: Sequence[Task],
    backbone: Backbone,
    window: int,
    config: ModelConfig,
    *,
    reads_all: bool,
) -> tuple[Callable[[TokenizedText], tuple[Window, ...]], dict[str, Any]]:
    """What the heads of a pass read of a document, and what decides on it."""
    size = window - backbone.n_special
    if not reads_all:
        return partial(_ends, size=size), {"reads": "ends"}
    overlap = _trained_overlap(group, window) if config.overlap is None else config.overlap
    if overlap is None:
        overlap = default_overlap(size)
    if overlap >= size:
        names = ", ".join(task.name for task in group)
        raise ConfigError(
            f"overlap must be in [0, {size}) for {names} with a window of {window}, "
            f"got {overlap}: try {default_overlap(size)}"
        )
    plan = partial(_windows, size=size, overlap=overlap)
    return plan, {"reads": "all", "overlap": overlap}


def _windows(tokens: TokenizedText, *, size: int, overlap: int) -> tuple[Window, ...]:
    return plan_windows(len(tokens), size=size, overlap=overlap)


def _ends(tokens: TokenizedText, *, size: int) -> tuple[Window, ...]:
    return plan_ends(len(tokens), size=size)


def _passages(tokens: TokenizedText, *, size: int) -> tuple[Window, ...]:
    return passage_windows(passage_starts(tokens.offsets, size=size), len(tokens))


def _trained_overlap(group: Sequence[Task], window: int) -> int | None:
    """The overlap that learned heads were trained with, where they agree on windows like these."""
    heads = [task.folder.head for task in group if task.folder.head is not None]
    overlaps = {head.overlap for head in heads if head.window == window}
    return overlaps.pop() if len(overlaps) == 1 else None


def _passage_pass(task: Task, pass_: Pass, window: int, config: ModelConfig) -> Pass:
    size = window - pass_.backbone.n_special
    if config.passage > size:
        raise ConfigError(
            f"passage must be in [1, {size}] for {task.checkpoint.folder.name}, which pools by "
            f"{task.settings.pooling} and so encodes passages alone, got {config.passage}"
        )
    plan = partial(_passages, size=config.passage)
    tokenizer = pass_.tokenizer
    is_left_out = isinstance(tokenizer, PromptedTokenizer) and not task.settings.include_prompt
    n_left_out = len(tokenizer.prefix) if is_left_out else 0
    head = PassageEmbeddingHead(task.settings, n_left_out=n_left_out)
    return Pass(pass_.backbone, (head,), plan, pass_.batch_tokens)


def _describe(pass_: Pass, window: int) -> dict[str, Any]:
    """What decides on the output of a pass, and whether batches do."""
    backbone = pass_.backbone
    lengths = (max(backbone.n_special + 1, n) for n in (window, window // 4, 1))
    padded = {padded_length(n, limit=backbone.limit) for n in lengths}
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
