"""How documents are read: which models share a pass, and which windows it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from longbert.config import ModelConfig
from longbert.core.windows import default_overlap
from longbert.encoders.checkpoint.declared import Prompts
from longbert.encoders.checkpoint.request import ModelRequest
from longbert.encoders.heads.factory import head_factory
from longbert.encoders.splitting import Ends, Overlapping, Passages, Split
from longbert.encoders.tokenizers.base import Tokenizer
from longbert.encoders.tokenizers.prompts import with_prompt
from longbert.errors import ConfigError


class ReadingModel(Protocol):
    """A model as far as it decides on how documents are read."""

    @property
    def request(self) -> ModelRequest:
        """What it is and what it is for."""

    @property
    def digest(self) -> str:
        """Of its backbone; equal ones share a pass."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Without a prompt."""

    @property
    def limit(self) -> int:
        """Positions that it takes, special tokens included."""


Model = TypeVar("Model", bound=ReadingModel)


@dataclass(frozen=True)
class Reading(Generic[Model]):
    """What one pass reads of a document.

    Attributes:
        models: that share it.
        reads: whole documents, their two ends, or passages each by itself.
        prompt: what is read before a text.
        tokenizer: with the prompt.
        window: positions of a window, special tokens and prompt included.
        overlap: content tokens that neighbouring windows share; None where they share none by
            design.
        split_tokens: the runs of a document's tokens that are read.
    """

    models: tuple[Model, ...]
    reads: Literal["all", "ends", "passages"]
    prompt: str
    tokenizer: Tokenizer
    window: int
    overlap: int | None
    split_tokens: Split

    @property
    def digest(self) -> str:
        """Of the backbone."""
        return self.models[0].digest

    @property
    def names(self) -> tuple[str, ...]:
        """Of the heads."""
        if self.reads == "passages":
            return ("passages",)
        return tuple(model.request.name for model in self.models)


@dataclass(frozen=True, slots=True)
class _Key:
    """What models must have in common to share a pass."""

    digest: str
    prompt: str
    reads_ends: bool


def readings_of(
    models: Sequence[Model], config: ModelConfig, *, for_queries: bool = False
) -> list[Reading[Model]]:
    """Group models into as few passes as possible, and find the windows of each.

    Models whose backbones have equal digests share a pass and its windows. Those that read the
    two ends of a document only share a pass of their own, and so does an embedding model that
    reads a prompt.

    Args:
        models: in the order of their heads.
        config: how documents are split for them.
        for_queries: put the prompt of queries before a text, and make no passages.

    Returns:
        Readings of whole documents come first, that of the first head before others.

    Raises:
        ConfigError: window, overlap, passage or a prompt do not fit a backbone.
    """
    groups: dict[_Key, list[Model]] = {}
    sharing: dict[tuple[str, bool], list[Model]] = {}
    for model in models:
        key = _key(model, config, for_queries=for_queries)
        groups.setdefault(key, []).append(model)
        sharing.setdefault((key.digest, key.reads_ends), []).append(model)
    readings = []
    passages = []
    for key, group in sorted(groups.items(), key=lambda item: item[0].reads_ends):
        # A prompt changes no window of the heads that read none.
        window = _window(sharing[key.digest, key.reads_ends], config)
        reading = _reading(group, key, window, config, for_queries=for_queries)
        readings.append(reading)
        if not for_queries:
            passages += [
                _passage_reading(model, reading, config)
                for model in group
                if head_factory(model.request.task, config).encodes_passages_alone(model.request)
            ]
    return [*readings, *passages]


def _key(model: ReadingModel, config: ModelConfig, *, for_queries: bool) -> _Key:
    prompts = model.request.prompts or Prompts()
    return _Key(
        digest=model.digest,
        prompt=prompts.query if for_queries else prompts.document,
        reads_ends=head_factory(model.request.task, config).reads_ends,
    )


def _reading(
    group: Sequence[Model], key: _Key, window: int, config: ModelConfig, *, for_queries: bool
) -> Reading[Model]:
    tokenizer = group[0].tokenizer
    prompts = group[0].request.prompts
    if prompts is not None:
        # The prompt of the other side must fit as well.
        query, document = (
            with_prompt(tokenizer, prompt, setting=setting, window=window)
            for setting, prompt in (
                ("query_prompt", prompts.query),
                ("document_prompt", prompts.document),
            )
        )
        tokenizer = query if for_queries else document
    size = window - n_special(tokenizer)
    overlap = None if key.reads_ends else _overlap(group, window, size, config)
    return Reading(
        models=tuple(group),
        reads="ends" if key.reads_ends else "all",
        prompt=key.prompt,
        tokenizer=tokenizer,
        window=window,
        overlap=overlap,
        split_tokens=Ends(size) if overlap is None else Overlapping(size, overlap),
    )


def _passage_reading(model: Model, reading: Reading[Model], config: ModelConfig) -> Reading[Model]:
    """The reading of a model whose passages cannot be pooled inside the windows of documents."""
    size = reading.window - n_special(reading.tokenizer)
    if config.passage > size:
        raise ConfigError(
            f"passage must be in [1, {size}] for {model.request.folder.name}, which pools by "
            f"{model.request.settings.pooling} and so encodes passages alone, "
            f"got {config.passage}: try {size}"
        )
    return Reading(
        models=(model,),
        reads="passages",
        prompt=reading.prompt,
        tokenizer=reading.tokenizer,
        window=config.passage + n_special(reading.tokenizer),
        overlap=None,
        split_tokens=Passages(config.passage, size),
    )


def n_special(tokenizer: Tokenizer) -> int:
    """Positions of a window that its content cannot have."""
    return len(tokenizer.prefix) + len(tokenizer.suffix)


def _window(group: Sequence[ReadingModel], config: ModelConfig) -> int:
    """Positions of a window for the models that share a backbone."""
    names = ", ".join(model.request.name for model in group)
    limit = min(model.limit for model in group)
    if config.window is not None:
        if config.window > limit:
            raise ConfigError(
                f"window must be in [3, {limit}] for {names}, got {config.window}: "
                "leave it out to take what the model declares"
            )
        window = config.window
    else:
        declared = [model.request.settings.max_tokens for model in group]
        window = min([limit, *(one for one in declared if one)])
    n_taken = n_special(group[0].tokenizer)
    if window <= n_taken:
        raise ConfigError(
            f"window must be in [{n_taken + 1}, {limit}] for {names}, whose "
            f"{n_taken} special tokens count, got {window}: "
            "leave it out to take what the model declares"
        )
    return window


def _overlap(group: Sequence[ReadingModel], window: int, size: int, config: ModelConfig) -> int:
    overlap = config.overlap
    if overlap is None:
        overlap = _trained_overlap(group, window)
    if overlap is None:
        overlap = default_overlap(size)
    if overlap >= size:
        names = ", ".join(model.request.name for model in group)
        raise ConfigError(
            f"overlap must be in [0, {size}) for {names} with a window of {window}, "
            f"got {overlap}: try {default_overlap(size)}"
        )
    return overlap


def _trained_overlap(group: Sequence[ReadingModel], window: int) -> int | None:
    """The overlap that learned heads were trained with, where they agree on windows like these."""
    heads = [model.request.folder.head for model in group]
    overlaps = {head.overlap for head in heads if head is not None and head.window == window}
    return overlaps.pop() if len(overlaps) == 1 else None
