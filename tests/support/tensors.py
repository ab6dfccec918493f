"""Random tensors and weights, seeded."""

from __future__ import annotations

import torch


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Weights that are not those of a module before training, some of which are zero."""
    generator = draws(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    module.eval()
