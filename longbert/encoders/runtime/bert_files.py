"""Checkpoints of the families that are computed without transformers, read from their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from longbert.encoders.runtime.base import ModelParts
from longbert.encoders.runtime.bert import ACTIVATIONS, BertEncoder, BertHead, BertShape
from longbert.encoders.runtime.families import FAMILIES, Family, Step

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_FORMER_ENDINGS = {".gamma": ".weight", ".beta": ".bias"}
"""Of normalisations in checkpoints that were converted from the first TensorFlow models."""

_READS_FIRST = {
    "AutoModelForSequenceClassification": True,
    "AutoModelForTokenClassification": False,
}
_REFUSED = ("add_cross_attention", "chunk_size_feed_forward", "is_decoder", "pruned_heads")
"""Settings that are not followed where they are set, beside quantised weights."""


def outline_bert(folder: Path) -> BertEncoder | None:
    """The encoder that a ``config.json`` describes, without weights: it cannot be run.

    Returns:
        None where it is of another family, or has settings that are not known here.
    """
    config = _config(folder)
    if config is None:
        return None
    return BertEncoder(config)


def load_bert(folder: Path, *, model_class: str) -> ModelParts | None:
    """Load a checkpoint in float32.

    Args:
        folder: of the model.
        model_class: name of the class of transformers that it would be loaded with.

    Returns:
        None where it is of another family, has settings that are not known here, or has no
        safetensors.

    Raises:
        SafetensorError, OSError: a file is damaged.
    """
    config = _config(folder)
    if config is None:
        return None
    stored = _stored_weights(folder)
    if stored is None:
        return None
    family = FAMILIES[config["model_type"]]
    prefix = f"{family.prefix}."
    encoder = BertEncoder(config)
    head = _head(config, family, encoder.width, model_class)
    # A checkpoint with a head puts the family's name before the names of the encoder's weights.
    of_encoder = {name.removeprefix(prefix): weight for name, weight in stored.items()}
    lacks = _fill(encoder, of_encoder, shown="" if head is None else prefix)
    if head is not None:
        lacks += _fill(head, stored)
    return ModelParts(
        encoder.eval(),
        None if head is None else head.eval(),
        missing=frozenset(name for name, found, _ in lacks if found is None),
        misshapen=tuple((name, found, wanted) for name, found, wanted in lacks if found),
    )


_Lack = tuple[str, tuple[int, ...] | None, tuple[int, ...]]
"""A weight that cannot be filled, the shape in the files, and that which the sizes ask for."""


def _fill(
    module: BertEncoder | BertHead, stored: Mapping[str, Tensor], *, shown: str = ""
) -> list[_Lack]:
    """Give a module its weights, in float32.

    Args:
        module: just made.
        stored: weights by the names that the module has for them.
        shown: what the names begin with in messages.
    """
    lacks: list[_Lack] = []
    fitting = {}
    for (own, weight), (name, _) in zip(
        module.named_parameters(), module.named_weights(), strict=True
    ):
        found = stored.get(name)
        if found is None or found.shape != weight.shape:
            shape = None if found is None else tuple(found.shape)
            lacks.append((shown + name, shape, tuple(weight.shape)))
        else:
            fitting[own] = found.float()
    module.load_state_dict(fitting, strict=False, assign=True)
    return sorted(lacks)


def _config(folder: Path) -> dict[str, Any] | None:
    """A configuration whose model is known here; None for any other."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        family = FAMILIES[config["model_type"]]
        completed = {**family.defaults, **config}
        if (
            any(config.get(key) for key in (*_REFUSED, "auto_map", "quantization_config"))
            or config.get("position_embedding_type", "absolute") != "absolute"
            or completed[family.setting("hidden_act")] not in ACTIVATIONS
        ):
            return None
        BertShape.of(completed, family)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Whatever is wrong with it is for transformers to say.
        return None
    return dict(config)


def _stored_weights(folder: Path) -> dict[str, Tensor] | None:
    if (folder / _WEIGHTS).is_file():
        files = [_WEIGHTS]
    elif (folder / _INDEX).is_file():
        weight_map = json.loads((folder / _INDEX).read_bytes())["weight_map"]
        files = sorted(set(weight_map.values()))
    else:
        return None
    weights = {}
    for file in files:
        for name, weight in load_file(folder / file).items():
            for former, now in _FORMER_ENDINGS.items():
                if name.endswith(f"LayerNorm{former}"):
                    name = name.removesuffix(former) + now
            weights[name] = weight
    return weights


def _head(
    config: Mapping[str, Any], family: Family, width: int, model_class: str
) -> BertHead | None:
    if model_class not in _READS_FIRST:
        return None
    reads_first = _READS_FIRST[model_class]
    steps: Sequence[Step] = family.classifier if reads_first else family.tagger
    n_labels = int(config.get("num_labels") or 2)
    labels = config.get("id2label") or {number: f"LABEL_{number}" for number in range(n_labels)}
    return BertHead(
        steps,
        width=width,
        reads_first=reads_first,
        id2label={int(number): name for number, name in labels.items()},
        problem_type=config.get("problem_type"),
    )
