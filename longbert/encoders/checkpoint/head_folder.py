"""The folder of a learned head: a configuration, weights, and a card for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from longbert.errors import ModelError

HEAD_FORMAT = "longbert-head-1"
WEIGHTS = "head.safetensors"
BACKBONE_WEIGHTS = "backbone.safetensors"
"""Holds the layers that were trained with the head, if any."""


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """What decides on the output of a learned head, beside its weights.

    Attributes:
        task: ``"classify"`` or ``"ner"``.
        labels: of the logits, in their order; for ``ner`` those of the tagging scheme.
        chooses_one: whether a document has exactly one of the labels; true for ``ner``.
        backbone: name of the model whose hidden states it reads.
        backbone_digest: of that model, before any layer was trained.
        n_unfrozen: layers of the backbone, from the top, that were trained with the head.
        window: positions of the windows it was trained on, special tokens included.
        overlap: content tokens that these windows shared.
        temperature: by which logits are divided, so that scores are calibrated.
        module: sizes of the module.
    """

    task: str
    labels: tuple[str, ...]
    chooses_one: bool
    backbone: str
    backbone_digest: str
    n_unfrozen: int
    window: int
    overlap: int
    temperature: float
    module: Mapping[str, Any]

    def to_json(self) -> str:
        """The text of ``config.json``."""
        content = {"format": HEAD_FORMAT, **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, name: str) -> HeadConfig:
        """Read what :meth:`to_json` wrote.

        Raises:
            ModelError: something is missing or of the wrong kind.
        """
        lacking = sorted({field.name for field in fields(cls)} - content.keys())
        if lacking:
            raise ModelError(f"{name}: its config.json lacks {', '.join(lacking)}: train it again")
        values = {field.name: content[field.name] for field in fields(cls)}
        try:
            if not isinstance(values["labels"], list) or not values["labels"]:
                raise TypeError("labels must be a list of at least one")
            values["labels"] = tuple(str(label) for label in values["labels"])
            values["temperature"] = float(values["temperature"])
            if not 0 < values["temperature"] < math.inf:
                raise ValueError(f"temperature must be above 0, got {values['temperature']}")
            for key in ("window", "overlap", "n_unfrozen"):
                values[key] = int(values[key])
            values["module"] = dict(values["module"])
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{name}: its config.json is damaged ({error}): train it again"
            ) from None
        return cls(**values)


def is_head(config: Mapping[str, Any]) -> bool:
    """Whether a folder's ``config.json`` is that of a learned head."""
    return str(config.get("format", "")).startswith("longbert-head")


def read_head(config: Mapping[str, Any], *, task: str, name: str) -> HeadConfig:
    """Check that a head's configuration is one that can be used for a task.

    Args:
        config: its ``config.json``.
        task: ``"embed"``, ``"classify"`` or ``"ner"``.
        name: as the user gave it.

    Raises:
        ModelError: another task or format, or damaged.
    """
    if config["format"] != HEAD_FORMAT:
        raise ModelError(
            f"{name} is a head of format {config['format']}, and this version reads "
            f"{HEAD_FORMAT}: use the version of longbert that trained it, or train it again"
        )
    head = HeadConfig.from_json(config, name=name)
    if head.task != task:
        raise ModelError(
            f"{name} was given as --{task}, but it is a head trained for {head.task}: "
            f"give it as --{head.task}"
        )
    return head


def check_files(path: Path, head: HeadConfig) -> None:
    """Check that a head's weights are there.

    Raises:
        ModelError: a file is missing.
    """
    needed = [WEIGHTS] + ([BACKBONE_WEIGHTS] if head.n_unfrozen else [])
    for file in needed:
        if not (path / file).is_file():
            raise ModelError(f"{path} lacks {file}: copy the whole folder, or train the head again")
