"""Digests of models: equal ones compute the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from longbert.encoders.runtime.base import EncoderModule
from longbert.encoders.tokenizers.base import Tokenizer


def weights_digest(weights: Iterable[tuple[str, Tensor]], *, extra: object) -> str:
    """SHA-256 of named tensors and of a JSON-able description."""
    digest = hashlib.sha256(json.dumps(extra, sort_keys=True).encode())
    for name, weight in sorted(weights):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def backbone_digest(encoder: EncoderModule, tokenizer: Tokenizer) -> str:
    """SHA-256 of an encoder's weights and architecture, and of its tokenizer.

    Heads whose backbones have equal digests share a pass.
    """
    return weights_digest(encoder.named_weights(), extra=description(encoder, tokenizer))


def description(encoder: EncoderModule, tokenizer: Tokenizer) -> Mapping[str, Any]:
    """What decides on hidden states beside the weights."""
    return {
        "config": encoder.architecture,
        "tokenizer": tokenizer.digest,
        "padding": [tokenizer.pad_id, tokenizer.pads_left],
    }
