"""All models of a configuration, as few passes over the text."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from longbert.config import ModelConfig
from longbert.core.batching import padded_length
from longbert.core.passages import passage_starts, passage_windows
from longbert.core.windows import Window, default_overlap, split_ends, split_windows
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
    set_threads,
)
from longbert.encoders.tasks import Reading, Task, load_tasks, make_head
from longbert.encoders.tokenizers.fast import TokenizedText
from longbert.encoders.tokenizers.prompts import PromptedTokenizer, Prompts, with_prompt
from longbert.errors import ConfigError
from longbert.store.manifest import HeadSettings, PassSettings

_LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Models:
    """The passes of a configuration, ready to run.

    Attributes:
        passes: those that read whole documents come first, that of the first head before others.
        settings: of the passes, as far as they can change a row.
        decisive_batch_tokens: positions of a batch where they can change a row, else None.
        libraries: versions that can change a row, by name.
        processor: its kind, on which bits depend.
        device: for people.
        precision: number type.
        width: of the embedding; None without an embedding model.
        metric: ``cosine`` or ``dot``; None without an embedding model.
        prompts: of the embedding model; None without one.
        embed_digest: digest that a query's model must have; None without one.
    """

    passes: tuple[Pass, ...]
    settings: tuple[PassSettings, ...]
    decisive_batch_tokens: int | None
    libraries: Mapping[str, str]
    processor: str
    device: str
    precision: str
    width: int | None
    metric: str | None
    prompts: Prompts | None
    embed_digest: str | None


def load_models(
    config: ModelConfig, *, for_queries: bool = False, threads: int | None = None
) -> Models:
    """Find, check and load the models of a configuration, grouped into passes.

    Heads whose backbones have equal digests share one pass and its windows. Those that read the
    two ends of a document only share a pass of their own, and so does an embedding model that
    reads a prompt.

    Args:
        config: models and how documents are split for them.
        for_queries: put the prompt of queries before a text, and make no passages.
        threads: of torch in this process; None: what torch chooses.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: window, overlap, passage or a prompt do not fit a backbone; two heads of one
            name.
    """
    if threads is not None:
        set_threads(threads)
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
    settings: list[PassSettings] = []
    extra_settings: list[PassSettings] = []
    for reading, group in sorted(readings.items(), key=lambda item: not item[0].reads_all):
        if reading.digest not in backbones:
            backbones[reading.digest] = Backbone(group[0].checkpoint, device=device, dtype=dtype)
        backbone = backbones[reading.digest]
        # A prompt changes no window of the heads that read none.
        window = _window(sharing[reading.digest, reading.reads_all], backbone, config)
        if group[0].prompts is not None:
            backbone = _with_prompts(backbone, group[0].prompts, window, for_queries)
        split_tokens, overlap = _splitting(
            group, backbone, window, config, reads_all=reading.reads_all
        )
        heads = tuple(make_head(task, backbone.tokenizer, config, device, dtype) for task in group)
        pass_ = Pass(backbone, heads, split_tokens, batch_tokens, reading.reads_all)
        passes.append(pass_)
        embedding = next((task for task in group if task.task == "embed"), None)
        if embedding is not None and embedding.settings.pooling != "mean" and not for_queries:
            extra_pass = _passage_pass(embedding, pass_, window, config)
            extra_passes.append(extra_pass)
            extra_settings.append(
                _settings(
                    extra_pass,
                    [embedding],
                    window=config.passage + backbone.n_special,
                    overlap=None,
                    reads="passages",
                    prompt=reading.prompt,
                )
            )
        settings.append(
            _settings(
                pass_,
                group,
                window=window,
                overlap=overlap,
                reads="all" if reading.reads_all else "ends",
                prompt=reading.prompt,
            )
        )
    all_settings = (*settings, *extra_settings)
    is_invariant = all(one.batch_invariant for one in all_settings)
    embedding = next((task for task in tasks if task.task == "embed"), None)
    return Models(
        passes=(*passes, *extra_passes),
        settings=all_settings,
        decisive_batch_tokens=None if is_invariant else batch_tokens,
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
        processor=device_kind(device),
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
        split_tokens: windows of a document.
        batch_tokens: positions of a batch.
        precision, processor: that decide on the hidden states, too.
    """

    checkpoint: Checkpoint
    backbone: Backbone
    window: int
    overlap: int
    split_tokens: Callable[[TokenizedText], tuple[Window, ...]]
    batch_tokens: int
    precision: str
    processor: str

    def pass_for(self, head: Head) -> Pass:
        """A pass of one head over whole documents."""
        return Pass(self.backbone, (head,), self.split_tokens, self.batch_tokens)


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
    split_tokens, overlap = _splitting([task], backbone, window, config, reads_all=True)
    assert overlap is not None
    return LoadedBackbone(
        checkpoint=task.checkpoint,
        backbone=backbone,
        window=window,
        overlap=overlap,
        split_tokens=split_tokens,
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


def _splitting(
    group: Sequence[Task],
    backbone: Backbone,
    window: int,
    config: ModelConfig,
    *,
    reads_all: bool,
) -> tuple[Callable[[TokenizedText], tuple[Window, ...]], int | None]:
    """What the heads of a pass read of a document, and the overlap of its windows."""
    size = window - backbone.n_special
    if not reads_all:
        return partial(_ends, size=size), None
    overlap = _trained_overlap(group, window) if config.overlap is None else config.overlap
    if overlap is None:
        overlap = default_overlap(size)
    if overlap >= size:
        names = ", ".join(task.name for task in group)
        raise ConfigError(
            f"overlap must be in [0, {size}) for {names} with a window of {window}, "
            f"got {overlap}: try {default_overlap(size)}"
        )
    return partial(_windows, size=size, overlap=overlap), overlap


def _windows(tokens: TokenizedText, *, size: int, overlap: int) -> tuple[Window, ...]:
    return split_windows(len(tokens), size=size, overlap=overlap)


def _ends(tokens: TokenizedText, *, size: int) -> tuple[Window, ...]:
    return split_ends(len(tokens), size=size)


def _passages(tokens: TokenizedText, *, passage: int, size: int) -> tuple[Window, ...]:
    return passage_windows(passage_starts(tokens.offsets, size=passage), len(tokens), size=size)


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
    split_tokens = partial(_passages, passage=config.passage, size=size)
    tokenizer = pass_.tokenizer
    is_left_out = isinstance(tokenizer, PromptedTokenizer) and not task.settings.include_prompt
    n_left_out = len(tokenizer.prefix) if is_left_out else 0
    head = PassageEmbeddingHead(task.settings, passage_tokens=config.passage, n_left_out=n_left_out)
    return Pass(pass_.backbone, (head,), split_tokens, pass_.batch_tokens)


def _settings(
    pass_: Pass,
    group: Sequence[Task],
    *,
    window: int,
    overlap: int | None,
    reads: Literal["all", "ends", "passages"],
    prompt: str,
) -> PassSettings:
    """What can change a row of a pass; whether batches do is tried out."""
    backbone = pass_.backbone
    lengths = (max(backbone.n_special + 1, n) for n in (window, window // 4, 1))
    padded = {padded_length(n, limit=backbone.limit) for n in lengths}
    return PassSettings(
        digest=backbone.digest,
        attention=backbone.attention,
        window=window,
        overlap=overlap,
        reads=reads,
        prompt=prompt,
        batch_invariant=backbone.is_batch_invariant(
            sorted(padded), batch_tokens=pass_.batch_tokens
        ),
        heads=tuple(
            HeadSettings(
                name=head.name, task=task.task, digest=head.digest, settings=dict(head.settings)
            )
            for task, head in zip(group, pass_.heads, strict=True)
        ),
    )
