"""Learned heads from their folders."""

from __future__ import annotations

from pathlib import Path

import torch

from longbert.config import ModelConfig
from longbert.encoders.heads.learned.attention import TokenAttention
from longbert.encoders.heads.learned.document_head import LearnedClassifier, attention_module
from longbert.encoders.heads.learned.folder import WEIGHTS, HeadConfig
from longbert.encoders.heads.learned.tagger import WordTagger
from longbert.encoders.heads.learned.token_head import LearnedTagger, tagger_module
from longbert.encoders.heads.learned.weights import load_weights
from longbert.encoders.heads.sequence_classification import ClassificationHead
from longbert.encoders.heads.token_classification import EntityHead
from longbert.errors import ModelError


def new_module(config: HeadConfig) -> WordTagger | TokenAttention:
    """An untrained module of a configuration's sizes."""
    return tagger_module(config) if config.task == "ner" else attention_module(config)


def load_learned_head(
    path: Path, head: HeadConfig, config: ModelConfig, *, name: str, device: torch.device
) -> EntityHead | ClassificationHead:
    """The head in a folder.

    Args:
        path: the folder.
        head: its configuration.
        config: how documents are decoded and pooled.
        name: as it appears in the tables.
        device: where to compute.

    Raises:
        ModelError: the module's sizes or the weights are damaged or do not fit.
    """
    try:
        module = new_module(head)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name}: the sizes of the module in its config.json are damaged "
            f"({type(error).__name__}: {error}): train the head again"
        ) from None
    load_weights(module, path / WEIGHTS, name=name)
    return make_learned_head(module, head, config, name=name, device=device)


def make_learned_head(
    module: WordTagger | TokenAttention,
    head: HeadConfig,
    config: ModelConfig,
    *,
    name: str,
    device: torch.device,
) -> EntityHead | ClassificationHead:
    """The head that a trained module is at inference."""
    module.eval()
    if isinstance(module, WordTagger):
        return EntityHead(
            LearnedTagger(module, head, device=device),
            name=name,
            strategy=config.entity_strategy,
            stitching=config.entity_stitching,
            decoding=config.entity_decoding,
        )
    return ClassificationHead(
        LearnedClassifier(module, head, device=device),
        name=name,
        pooling=config.classify_pooling,
        window_scores=config.window_scores,
    )
