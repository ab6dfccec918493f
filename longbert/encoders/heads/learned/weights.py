"""Weights of learned modules, to and from safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from longbert.errors import ModelError


def to_safetensors(weights: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file: the same weights give the same."""
    return save({name: weight.contiguous() for name, weight in weights.items()})


def load_weights(module: nn.Module, file: Path, *, name: str) -> None:
    """Fill a module from a file.

    Raises:
        ModelError: the file is damaged, does not fit the module, or holds NaN or infinity.
    """
    try:
        weights = load_file(file)
        module.load_state_dict(weights)
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{name}: {file.name} does not fit its config.json ({reason}): train the head again"
        ) from None
    for key, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ModelError(f"{name}: the weight {key} holds NaN or infinity: train it again")
    module.eval().requires_grad_(False)
