"""The models that a configuration names, loaded, and the heads on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from longbert.config import NONE, ModelConfig
from longbert.encoders.backbone import Checkpoint, load_checkpoint
from longbert.encoders.folders import ModelFolder, find_model
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.classification import ClassificationHead
from longbert.encoders.heads.embedding import (
    EmbeddingSettings,
    MeanEmbeddingHead,
    PooledEmbeddingHead,
)
from longbert.encoders.heads.entities import CheckpointTagger, EntityHead
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.prompts import PromptedTokenizer, Prompts
from longbert.encoders.tokenizer import Tokenizer
from longbert.errors import ConfigError


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
        checkpoint: its backbone, with the head where there is one.
        settings: what its sentence-transformers files declare.
        prompts: of an embedding model; None for heads.
    """

    task: str
    checkpoint: Checkpoint
    settings: EmbeddingSettings
    prompts: Prompts | None

    @property
    def name(self) -> str:
        """As it appears in the tables and in messages."""
        return "embedding" if self.task == "embed" else self.checkpoint.folder.head_name

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
        Task(
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
