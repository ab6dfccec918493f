"""All models of a configuration, in as few passes over the text as possible."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from longbert.config import ModelConfig
from longbert.core.batching import padded_length
from longbert.encoders.backbone import Backbone
from longbert.encoders.checkpoint.load import Checkpoint
from longbert.encoders.devices.base import Device
from longbert.encoders.devices.opened import open_device
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.factory import head_factory
from longbert.encoders.heads.learned.build import load_learned_head
from longbert.encoders.loaded_models import Models
from longbert.encoders.loading import LoadedModel, load_requested
from longbert.encoders.passes import Pass
from longbert.encoders.readings import Reading, readings_of
from longbert.encoders.runtime.device import (
    choose_precision,
    device_description,
    device_kind,
    precision_name,
    set_threads,
)
from longbert.encoders.splitting import Split
from longbert.store.fingerprints import HeadSettings, PassSettings

_LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch")


def load_models(
    config: ModelConfig, *, for_queries: bool = False, threads: int | None = None
) -> Models:
    """Find, check and load the models of a configuration, grouped into passes.

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
    device = open_device(config.device)
    dtype = choose_precision(config.precision, device.torch_device)
    models = load_requested(config)
    readings = list(readings_of(models, config, for_queries=for_queries))
    passes = _passes(readings, config, device, dtype)
    settings = [_settings(pass_, reading) for pass_, reading in zip(passes, readings, strict=True)]
    # Fixed shapes are those of the batch.
    is_invariant = not device.has_fixed_shapes and all(one.batch_invariant for one in settings)
    embedding = next((model for model in models if model.request.prompts is not None), None)
    return Models(
        passes=tuple(passes),
        settings=tuple(settings),
        decisive_batch_tokens=None if is_invariant else passes[0].batch_tokens,
        libraries={name: importlib.metadata.version(name) for name in _libraries(models)},
        processor=device_kind(device.torch_device),
        device=device_description(device.torch_device),
        precision=precision_name(dtype),
        width=None if embedding is None else embedding.checkpoint.width,
        metric=None if embedding is None else config.metric or embedding.request.settings.metric,
        prompts=None if embedding is None else embedding.request.prompts,
        embed_digest=None if embedding is None else embedding.digest,
    )


def _libraries(models: Sequence[LoadedModel]) -> tuple[str, ...]:
    """Names of the libraries that can change a row."""
    needs_transformers = any(model.checkpoint.needs_transformers for model in models)
    return (*_LIBRARIES, "transformers") if needs_transformers else _LIBRARIES


def _passes(
    readings: Sequence[Reading[LoadedModel]],
    config: ModelConfig,
    device: Device,
    dtype: torch.dtype,
) -> list[Pass]:
    """The passes, their models on the device, with batches that fit beside all of these."""
    backbones: dict[str, Backbone] = {}
    heads = []
    for reading in readings:
        if reading.digest not in backbones:
            checkpoint = reading.models[0].checkpoint
            backbones[reading.digest] = Backbone(checkpoint, device=device, dtype=dtype)
        heads.append(_heads(reading, config, device.torch_device, dtype))
    batch_tokens = config.batch_tokens or min(
        backbones[reading.digest].fitting_batch_tokens(
            reading.window, all_layers=any(head.needs_all_layers for head in own)
        )
        for reading, own in zip(readings, heads, strict=True)
    )
    return [
        Pass(
            backbone=backbones[reading.digest].with_tokenizer(reading.tokenizer),
            heads=own,
            split_tokens=reading.split_tokens,
            batch_tokens=batch_tokens,
        )
        for reading, own in zip(readings, heads, strict=True)
    ]


def _heads(
    reading: Reading[LoadedModel], config: ModelConfig, device: torch.device, dtype: torch.dtype
) -> tuple[Head, ...]:
    heads: list[Head] = []
    for model in reading.models:
        request = model.request
        factory = head_factory(request.task, config)
        if reading.reads == "passages":
            heads.append(factory.make_for_passages(request, tokenizer=reading.tokenizer))
        elif request.folder.head is not None:
            heads.append(
                load_learned_head(
                    request.folder.path,
                    request.folder.head,
                    config,
                    name=request.name,
                    device=device,
                )
            )
        else:
            heads.append(
                factory.make(
                    request,
                    model.checkpoint,
                    tokenizer=reading.tokenizer,
                    device=device,
                    dtype=dtype,
                )
            )
    return tuple(heads)


def _settings(pass_: Pass, reading: Reading[LoadedModel]) -> PassSettings:
    """What can change a row of a pass; whether batches do is tried out."""
    backbone = pass_.backbone
    lengths = (max(backbone.n_special + 1, n) for n in (reading.window, reading.window // 4, 1))
    padded = {padded_length(n, limit=backbone.limit) for n in lengths}
    return PassSettings(
        digest=backbone.digest,
        attention=backbone.attention,
        implementation=backbone.implementation,
        window=reading.window,
        overlap=reading.overlap,
        reads=reading.reads,
        prompt=reading.prompt,
        batch_invariant=backbone.is_batch_invariant(
            sorted(padded), batch_tokens=pass_.batch_tokens
        ),
        heads=tuple(
            HeadSettings(
                name=head.name,
                task=model.request.task.name,
                digest=head.digest,
                settings=dict(head.settings),
            )
            for model, head in zip(reading.models, pass_.heads, strict=True)
        ),
    )


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with the windows that heads on it share when nothing else is asked for.

    Attributes:
        checkpoint: that it runs.
        backbone: on its device.
        window: positions, special tokens included.
        overlap: content tokens.
        split_tokens: windows of a document.
        batch_tokens: positions of a batch.
        precision, processor: that can change the hidden states, too.
    """

    checkpoint: Checkpoint
    backbone: Backbone
    window: int
    overlap: int
    split_tokens: Split
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
    device = open_device(config.device)
    dtype = choose_precision(config.precision, device.torch_device)
    (model,) = load_requested(config)
    backbone = Backbone(model.checkpoint, device=device, dtype=dtype)
    # Heads on it read no prompt, and no passages are encoded.
    bare = replace(model, request=replace(model.request, prompts=None))
    (reading,) = readings_of([bare], config, for_queries=True)
    assert reading.overlap is not None
    return LoadedBackbone(
        checkpoint=model.checkpoint,
        backbone=backbone,
        window=reading.window,
        overlap=reading.overlap,
        split_tokens=reading.split_tokens,
        # Heads that are trained read all layers.
        batch_tokens=config.batch_tokens
        or backbone.fitting_batch_tokens(reading.window, all_layers=True),
        precision=precision_name(dtype),
        processor=device_kind(device.torch_device),
    )
