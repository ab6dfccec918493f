"""The models that a configuration names, loaded, and the heads on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from longbert.config import NONE, ModelConfig
from longbert.encoders.checkpoint.locate import ModelFolder, find_model
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.embedding import (
    EmbeddingSettings,
    MeanEmbeddingHead,
    PooledEmbeddingHead,
)
from longbert.encoders.heads.learned.build import load_learned_head
from longbert.encoders.heads.learned.folder import BACKBONE_WEIGHTS
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.heads.sequence_classification import CheckpointClassifier, ClassificationHead
from longbert.encoders.heads.token_classification import CheckpointTagger, EntityHead
from longbert.encoders.runtime.backbone import Checkpoint, load_checkpoint, with_trained_layers
from longbert.encoders.tokenizers.fast import Tokenizer
from longbert.encoders.tokenizers.prompts import PromptedTokenizer, Prompts
from longbert.errors import ConfigError, ModelError


@dataclass(frozen=True, slots=True)
class Reading:
    """What heads must have in common to share a pass.

    Attributes:
        digest: of the backbone.
        prompt: what is read before a text.
        reads_all: whether whole documents are read, and not only their two ends.
    """

    digest: str
    prompt: str
    reads_all: bool


@dataclass(frozen=True)
class Task:
    """A model as asked for, loaded.

    Attributes:
        task: ``"embed"``, ``"classify"`` or ``"ner"``.
        folder: where it came from.
        checkpoint: its backbone, with the head where that is in the same checkpoint.
        settings: what its sentence-transformers files declare.
        prompts: of an embedding model; None for heads.
    """

    task: str
    folder: ModelFolder
    checkpoint: Checkpoint
    settings: EmbeddingSettings
    prompts: Prompts | None

    @property
    def name(self) -> str:
        """As it appears in the tables and in messages."""
        return "embedding" if self.task == "embed" else self.folder.head_name

    def reading(self, config: ModelConfig, *, for_queries: bool) -> Reading:
        """What decides on whose pass it shares."""
        prompt = ""
        if self.prompts is not None:
            prompt = self.prompts.query if for_queries else self.prompts.document
        ends_only = self.task == "classify" and config.classify_pooling == "head+tail"
        return Reading(self.checkpoint.backbone_digest, prompt, reads_all=not ends_only)


def load_tasks(config: ModelConfig) -> list[Task]:
    """Find, check and load what the configuration names, the embedding model first.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: two heads of one name.
    """
    from transformers import (
        AutoModel,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    auto_classes = {
        "embed": AutoModel,
        "classify": AutoModelForSequenceClassification,
        "ner": AutoModelForTokenClassification,
    }
    asked = [] if config.embed == NONE else [("embed", config.embed)]
    asked += [("classify", name) for name in config.classify]
    asked += [("ner", name) for name in config.ner]
    # All folders are checked before the first is loaded, which may take long.
    found = [(task, find_model(name, task=task, config=config)) for task, name in asked]
    _check_names([folder for task, folder in found if task != "embed"])
    prompts = [Prompts.of(folder, config) if task == "embed" else None for task, folder in found]
    loaded = [
        load_checkpoint(folder, auto_classes[task], config) if folder.head is None else None
        for task, folder in found
    ]
    backbones = {one.backbone_digest: one for one in loaded if one is not None}
    return [
        Task(
            task,
            folder,
            checkpoint or _backbone_of(folder, backbones, config),
            _declared(folder),
            own_prompts,
        )
        for (task, folder), checkpoint, own_prompts in zip(found, loaded, prompts, strict=True)
    ]


def _declared(folder: ModelFolder) -> EmbeddingSettings:
    """What a model declares of itself; a learned head the windows it was trained on."""
    if folder.head is not None:
        return EmbeddingSettings(max_tokens=folder.head.window)
    return EmbeddingSettings.from_folder(folder)


def _backbone_of(
    folder: ModelFolder, backbones: dict[str, Checkpoint], config: ModelConfig
) -> Checkpoint:
    """The encoder that a learned head reads: one that is loaded already, or the one it names."""
    from transformers import AutoModel

    head = folder.head
    assert head is not None
    checkpoint = backbones.get(head.backbone_digest)
    if checkpoint is None:
        try:
            named = find_model(head.backbone, task="embed", config=config)
        except ModelError as error:
            raise ModelError(
                f"{folder.name} reads the backbone {head.backbone!r}, which is not there: {error}, "
                "or name a copy of it with --embed"
            ) from None
        checkpoint = load_checkpoint(named, AutoModel, config)
        if checkpoint.backbone_digest != head.backbone_digest:
            raise ModelError(
                f"{folder.name} was trained on the backbone {head.backbone} with digest "
                f"{head.backbone_digest[:12]}, but {head.backbone} now has "
                f"{checkpoint.backbone_digest[:12]}: restore that model, or train the head again"
            )
        backbones[head.backbone_digest] = checkpoint
    n_layers = int(checkpoint.base.config.num_hidden_layers)
    layers = head.module.get("layers")
    known = range(n_layers + 1)
    beyond = [one for one in layers if one not in known] if isinstance(layers, list) else []
    if beyond:
        raise ModelError(
            f"{folder.name} reads layer {beyond[0]}, and {head.backbone} has {n_layers}: its "
            "config.json is damaged, train it again"
        )
    if not head.n_unfrozen:
        return checkpoint
    return with_trained_layers(checkpoint, folder.path / BACKBONE_WEIGHTS, name=folder.name)


def _check_names(folders: Sequence[ModelFolder]) -> None:
    by_name: dict[str, ModelFolder] = {}
    for folder in folders:
        earlier = by_name.setdefault(folder.head_name, folder)
        if earlier is not folder:
            if earlier.path == folder.path:
                raise ConfigError(f"the head {folder.name} is named twice: name it once")
            raise ConfigError(
                f"two heads are called {folder.head_name!r}, {earlier.name} and {folder.name}, and "
                "the tables could not tell them apart: rename one of the folders"
            )


def make_head(
    task: Task,
    tokenizer: Tokenizer,
    config: ModelConfig,
    device: torch.device,
    dtype: torch.dtype,
) -> Head:
    """The head of a task, with which its checkpoint's encoder is dropped.

    Args:
        task: as loaded.
        tokenizer: of its pass, with the prompt.
        config: how documents are decoded and pooled.
        device, dtype: where and in what precision to compute.
    """
    if task.task == "embed":
        n_left_out = 0
        if isinstance(tokenizer, PromptedTokenizer) and not task.settings.include_prompt:
            n_left_out = tokenizer.n_positions_alone
        if task.settings.pooling == "mean":
            return MeanEmbeddingHead(
                task.settings, passage_tokens=config.passage, n_left_out=n_left_out
            )
        return PooledEmbeddingHead(task.settings, n_left_out=n_left_out)
    if task.folder.head is not None:
        return load_learned_head(
            task.folder.path, task.folder.head, config, name=task.name, device=device
        )
    model = HeadModel(task.checkpoint, device=device, dtype=dtype)
    if task.task == "classify":
        return ClassificationHead(
            CheckpointClassifier(model),
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
