"""Loading a checkpoint and checking that it is complete."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.digest import backbone_digest, description
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.encoders.remembered import identities, remembered
from longbert.encoders.runtime.base import EncoderModule, HeadModule, ModelParts
from longbert.encoders.runtime.load import load_model
from longbert.encoders.tokenizers.base import Tokenizer
from longbert.encoders.tokenizers.fastbpe import FastBpeTokenizer
from longbert.encoders.tokenizers.load import load_tokenizer
from longbert.encoders.transformers_log import first_line
from longbert.errors import ModelError

_NAMED = 3
"""Weights that a message names."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as loaded, in float32, in evaluation mode, its head apart from its encoder.

    Attributes:
        folder: where it came from.
        tokenizer: its tokenizer.
        encoder: without pooler and head.
        head: pooler and head; None where the checkpoint is an encoder alone.
        limit: positions that encoder and tokenizer take, special tokens included.
        backbone_digest: of encoder and tokenizer; see
            :func:`longbert.encoders.checkpoint.digest.backbone_digest`.
    """

    folder: ModelFolder
    tokenizer: Tokenizer
    encoder: EncoderModule
    head: HeadModule | None
    limit: int
    backbone_digest: str

    @property
    def model_type(self) -> str:
        """As in ``config.json``."""
        return self.encoder.model_type

    @property
    def needs_transformers(self) -> bool:
        """Whether code of transformers computes its ids or hidden states."""
        return self.encoder.implementation == "transformers" or isinstance(
            self.tokenizer, FastBpeTokenizer
        )

    @property
    def width(self) -> int:
        """Of a hidden state."""
        return self.encoder.width

    @property
    def n_layers(self) -> int:
        """Above the embeddings."""
        return self.encoder.n_layers


def load_checkpoint(folder: ModelFolder, model_class: str, config: ModelConfig) -> Checkpoint:
    """Load a checkpoint from safetensors and check that it is complete.

    Args:
        folder: as :func:`longbert.encoders.checkpoint.locate.find_model` found it.
        model_class: of transformers, such as ``AutoModelForSequenceClassification``.
        config: for what the user trusts.

    Raises:
        ModelError: the files cannot be loaded, weights are missing or not finite, or the
            tokenizer does not fit.
    """
    tokenizer = load_tokenizer(
        folder.path, name=folder.name, trust_remote_code=config.trust_remote_code
    )
    try:
        model = load_model(
            folder.path,
            model_class=model_class,
            trust_pickle=config.trust_pickle,
            trust_remote_code=config.trust_remote_code,
        )
    except Exception as error:
        raise ModelError(
            f"{folder.name} cannot be loaded from {folder.path} "
            f"({type(error).__name__}: {first_line(error)}): get the model's files again, or use "
            "one of the BERT family"
        ) from error
    _check_weights(folder, model, model_class)
    check_ids(folder, model.encoder, tokenizer)
    return Checkpoint(
        folder=folder,
        tokenizer=tokenizer,
        encoder=model.encoder,
        head=model.head,
        limit=position_limit(folder, model.encoder, tokenizer),
        backbone_digest=_digest_of_finite(folder, model, tokenizer, model_class),
    )


def with_trained_layers(checkpoint: Checkpoint, file: Path, *, name: str) -> Checkpoint:
    """Replace some weights in a copy of a checkpoint, which makes it another backbone.

    Args:
        checkpoint: stays as it is.
        file: safetensors with weights of the encoder.
        name: of the head they were trained with, for messages.

    Raises:
        ModelError: the file is damaged or holds weights that the encoder does not have.
    """
    encoder = copy.deepcopy(checkpoint.encoder)
    try:
        unexpected = encoder.replace_weights(load_file(file))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ModelError(
            f"{name}: {file.name} is damaged ({first_line(error)}): copy it again, or train the "
            "head again"
        ) from None
    if unexpected:
        raise ModelError(
            f"{name}: {file.name} holds weights that the backbone does not have, such as "
            f"{unexpected[0]}: train the head again"
        )
    digest = backbone_digest(encoder, checkpoint.tokenizer)
    return replace(checkpoint, encoder=encoder, head=None, backbone_digest=digest)


def position_limit(folder: ModelFolder, encoder: EncoderModule, tokenizer: Tokenizer) -> int:
    """Positions that encoder and tokenizer take.

    Raises:
        ModelError: neither has a limit.
    """
    limits = [limit for limit in (tokenizer.max_tokens, encoder.n_positions) if limit]
    if not limits:
        raise ModelError(
            f"{folder.name}: neither the model nor its tokenizer says how many positions it "
            "takes: set model_max_length in tokenizer_config.json"
        )
    return min(limits)


def check_ids(folder: ModelFolder, encoder: EncoderModule, tokenizer: Tokenizer) -> None:
    """Check that the encoder has an embedding for every id of the tokenizer.

    Raises:
        ModelError: it has fewer.
    """
    if tokenizer.n_ids > encoder.n_ids:
        raise ModelError(
            f"{folder.name}: its tokenizer has ids up to {tokenizer.n_ids - 1}, but the model has "
            f"only {encoder.n_ids} embeddings: use the tokenizer it was trained with"
        )


def _check_weights(folder: ModelFolder, model: ModelParts, model_class: str) -> None:
    for name, found, expected in model.misshapen:
        raise ModelError(
            f"{folder.name}: the weight {name} has the shape {found}, but the widths and labels "
            f"in config.json ask for {expected}: use the config.json that was saved with these "
            "weights"
        )
    if model.missing:
        raise ModelError(
            f"{folder.name} lacks the weights {', '.join(sorted(model.missing)[:_NAMED])}"
            f"{' and others' if len(model.missing) > _NAMED else ''}, which {model_class} needs: "
            "use a checkpoint that was trained for this task"
        )


def _digest_of_finite(
    folder: ModelFolder, model: ModelParts, tokenizer: Tokenizer, model_class: str
) -> str:
    """Check all weights for NaN and infinity, and digest the backbone's.

    Raises:
        ModelError: a weight is not finite.
    """

    def find_out() -> str:
        for name, weight in _named_weights(model):
            if not torch.isfinite(weight).all():
                raise ModelError(
                    f"{folder.name}: the weight {name} holds NaN or infinity: get the model's "
                    "files again"
                )
        return backbone_digest(model.encoder, tokenizer)

    # Weights that are loaded from elsewhere, such as a pickle, are looked at every time.
    files = identities(sorted(folder.path.glob("*.safetensors")))
    key = {
        "files": files,
        "description": dict(description(model.encoder, tokenizer)),
        "model_class": model_class,
        "implementation": model.encoder.implementation,
    }
    return remembered(
        "digest of a backbone whose weights are finite", key if files else None, find_out
    )


def _named_weights(model: ModelParts) -> Iterator[tuple[str, Tensor]]:
    yield from model.encoder.named_weights()
    if model.head is not None:
        yield from model.head.named_weights()
