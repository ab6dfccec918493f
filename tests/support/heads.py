"""Folders of learned heads with random weights, as training would leave them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModel

from longbert.config import ModelConfig
from longbert.core.tagging import bio_labels
from longbert.encoders.checkpoint.head_folder import BACKBONE_WEIGHTS, WEIGHTS, HeadConfig
from longbert.encoders.checkpoint.load import load_checkpoint
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.heads.learned.build import new_module
from longbert.encoders.heads.learned.weights import to_safetensors

MODULES: dict[str, dict[str, Any]] = {
    "ner": {
        "layers": [0, 1, 2],
        "width": 32,
        "channels": 12,
        "string_channels": 6,
        "dilations": [1, 2],
    },
    "classify": {"layers": [1, 2], "width": 32, "channels": 8, "n_queries": 2},
}
"""Sizes of modules for the small models here, which have two layers of width 32."""

LABELS = {"ner": bio_labels(["PER", "LOC", "ORG"]), "classify": ("neg", "neutral", "pos")}


@lru_cache
def digest_of(backbone: Path) -> str:
    """The digest that a head of this backbone is bound to."""
    config = ModelConfig(embed=str(backbone))
    folder = find_model(str(backbone), task="embed", config=config)
    return load_checkpoint(folder, "AutoModel", config).backbone_digest


def head_config(backbone: Path, task: str, **changes: Any) -> HeadConfig:
    """The configuration of a head on a small model."""
    config = HeadConfig(
        task=task,
        labels=LABELS[task],
        chooses_one=True,
        backbone=str(backbone),
        backbone_digest=digest_of(backbone),
        n_unfrozen=0,
        window=40,
        overlap=9,
        temperature=1.5,
        module=MODULES[task],
    )
    return replace(config, **changes)


def build_head(folder: Path, backbone: Path, task: str, *, seed: int = 0, **changes: Any) -> Path:
    """Save a head with random weights; its layers of the backbone, too, where it trained any.

    Args:
        folder: is made.
        backbone: a small model of two layers of width 32.
        task: ``"classify"`` or ``"ner"``.
        seed: of the weights.
        changes: replace values of the configuration.
    """
    config = head_config(backbone, task, **changes)
    module = new_module(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    (folder / WEIGHTS).write_bytes(to_safetensors(module.state_dict()))
    if config.n_unfrozen:
        states = AutoModel.from_pretrained(backbone).state_dict()
        prefix = f"encoder.layer.{2 - config.n_unfrozen}."
        trained = {name: 1.25 * one for name, one in states.items() if name.startswith(prefix)}
        save_file(trained, folder / BACKBONE_WEIGHTS)
    return folder


def change_config(folder: Path, **values: Any) -> None:
    """Write other values into a head's ``config.json``."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values), encoding="utf-8")
