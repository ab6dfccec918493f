"""Loading the models that a configuration names."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.head_folder import BACKBONE_WEIGHTS, HeadConfig
from longbert.encoders.checkpoint.load import Checkpoint, load_checkpoint, with_trained_layers
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.encoders.checkpoint.request import ModelRequest, find_backbone, find_requested
from longbert.encoders.tokenizers.base import Tokenizer
from longbert.errors import ModelError
from longbert.tasks import TASKS


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model as asked for, loaded.

    Attributes:
        request: what it is and what it is for.
        checkpoint: its encoder, with its head where both are in one checkpoint.
    """

    request: ModelRequest
    checkpoint: Checkpoint

    @property
    def digest(self) -> str:
        """Of the backbone."""
        return self.checkpoint.backbone_digest

    @property
    def tokenizer(self) -> Tokenizer:
        """Without a prompt."""
        return self.checkpoint.tokenizer

    @property
    def limit(self) -> int:
        """Positions that it takes, special tokens included."""
        return self.checkpoint.limit


def load_requested(config: ModelConfig) -> list[LoadedModel]:
    """Find, check and load the models that a configuration names.

    Returns:
        In the order of :func:`longbert.encoders.checkpoint.request.find_requested`.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: two heads of one name.
    """
    # All folders are checked before the first is loaded, which may take long.
    requests = find_requested(config)
    loaded = [
        load_checkpoint(one.folder, one.task.model_class, config)
        if one.folder.head is None
        else None
        for one in requests
    ]
    backbones = {one.backbone_digest: one for one in loaded if one is not None}
    return [
        LoadedModel(request, checkpoint or _backbone_of(request.folder, backbones, config))
        for request, checkpoint in zip(requests, loaded, strict=True)
    ]


def _backbone_of(
    folder: ModelFolder, backbones: dict[str, Checkpoint], config: ModelConfig
) -> Checkpoint:
    """The encoder that a learned head reads: one that is loaded already, or the one it names."""
    head = folder.head
    assert head is not None
    checkpoint = backbones.get(head.backbone_digest)
    if checkpoint is None:
        named = find_backbone(folder, config, with_weights=True)
        checkpoint = load_checkpoint(named, TASKS["embed"].model_class, config)
        if checkpoint.backbone_digest != head.backbone_digest:
            raise ModelError(
                f"{folder.name} was trained on the backbone {head.backbone} with digest "
                f"{head.backbone_digest[:12]}, but {head.backbone} now has "
                f"{checkpoint.backbone_digest[:12]}: restore that model, or train the head again"
            )
        backbones[head.backbone_digest] = checkpoint
    _check_layers(folder.name, head, checkpoint.n_layers)
    if not head.n_unfrozen:
        return checkpoint
    return with_trained_layers(checkpoint, folder.path / BACKBONE_WEIGHTS, name=folder.name)


def _check_layers(name: str, head: HeadConfig, n_layers: int) -> None:
    layers = head.module.get("layers")
    known = range(n_layers + 1)
    beyond = [one for one in layers if one not in known] if isinstance(layers, list) else []
    if beyond:
        raise ModelError(
            f"{name} reads layer {beyond[0]}, and {head.backbone} has {n_layers}: its "
            "config.json is damaged, train it again"
        )
