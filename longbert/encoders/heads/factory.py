"""How the heads of a task are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.load import Checkpoint
from longbert.encoders.checkpoint.request import ModelRequest
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.detached import DetachedHead
from longbert.encoders.tokenizers.base import Tokenizer
from longbert.tasks import Task, resolve


class HeadFactory(Protocol):
    """Makes the heads of one task from checkpoints; the registry of tasks names its class.

    The class is called with the :class:`longbert.config.ModelConfig`.

    Attributes:
        reads_ends: whether its heads read the two ends of a document only.
    """

    reads_ends: bool

    def encodes_passages_alone(self, request: ModelRequest) -> bool:
        """Whether a model needs a pass of its own over passages."""

    def make(
        self,
        request: ModelRequest,
        checkpoint: Checkpoint,
        *,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Head:
        """Make the head of a model.

        Args:
            request: what it is and what it is for.
            checkpoint: as loaded; its head may be moved and cast in place.
            tokenizer: of the pass, with the prompt.
            device, dtype: where and in what precision to compute.

        Raises:
            ModelError: the checkpoint's head cannot be used.
            ConfigError: a setting does not fit the head.
        """

    def make_for_passages(self, request: ModelRequest, *, tokenizer: Tokenizer) -> Head:
        """Make the head of a pass over passages, where the model needs one."""


def head_factory(task: Task, config: ModelConfig) -> HeadFactory:
    """The factory of a task's heads."""
    factory: HeadFactory = resolve(task.heads)(config)
    return factory


class DetachedHeadFactory(ABC):
    """Factories of heads that come with a checkpoint and read one pass over documents."""

    reads_ends = False

    @abstractmethod
    def head_of_checkpoint(self, head: DetachedHead, *, name: str) -> Head:
        """Put a checkpoint's head to use on windows.

        Args:
            head: apart from its encoder.
            name: as it appears in the tables.
        """

    def make(
        self,
        request: ModelRequest,
        checkpoint: Checkpoint,
        *,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Head:
        """Make the head of a checkpoint."""
        head = DetachedHead(checkpoint, device=device, dtype=dtype)
        return self.head_of_checkpoint(head, name=request.name)

    def encodes_passages_alone(self, request: ModelRequest) -> bool:
        """Never."""
        return False

    def make_for_passages(self, request: ModelRequest, *, tokenizer: Tokenizer) -> Head:
        """There is none."""
        raise NotImplementedError(f"{request.name} makes nothing of passages")
