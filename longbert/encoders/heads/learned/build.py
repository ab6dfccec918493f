"""Learned heads, made from their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.head_folder import WEIGHTS, HeadConfig
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.learned.weights import load_weights
from longbert.errors import ModelError
from longbert.tasks import TASKS, resolve


class LearnedHeadFactory(Protocol):
    """Makes the learned heads of one task; the registry of tasks names its class."""

    def new_module(self, head: HeadConfig) -> nn.Module:
        """An untrained module of a configuration's sizes.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: the sizes make no sense.
        """

    def make(
        self,
        module: Any,
        head: HeadConfig,
        config: ModelConfig,
        *,
        name: str,
        device: torch.device,
    ) -> Head:
        """Put a module to use on windows; see :func:`make_learned_head`."""


def new_module(head: HeadConfig) -> nn.Module:
    """An untrained module of a configuration's sizes."""
    return _factory(head).new_module(head)


def load_learned_head(
    path: Path, head: HeadConfig, config: ModelConfig, *, name: str, device: torch.device
) -> Head:
    """Load the head in a folder.

    Args:
        path: the folder.
        head: its configuration.
        config: how documents are decoded and pooled.
        name: as it appears in the tables.
        device: where to compute.

    Raises:
        ModelError: the sizes of the module or its weights are damaged or do not fit each other.
        ConfigError: a setting does not fit the head.
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
    module: nn.Module,
    head: HeadConfig,
    config: ModelConfig,
    *,
    name: str,
    device: torch.device,
) -> Head:
    """Put a trained module to use on windows.

    Args:
        module: of the kind that :func:`new_module` makes; put into evaluation mode.
        head: its configuration.
        config: how documents are decoded and pooled.
        name: as it appears in the tables.
        device: where to compute.

    Raises:
        ConfigError: a setting does not fit the head.
    """
    return _factory(head).make(module.eval(), head, config, name=name, device=device)


def _factory(head: HeadConfig) -> LearnedHeadFactory:
    reference = TASKS[head.task].learned_heads
    assert reference is not None
    factory: LearnedHeadFactory = resolve(reference)()
    return factory
