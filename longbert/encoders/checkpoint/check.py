"""What can be checked of a model's folder before anything of it is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longbert.errors import ModelError
from longbert.tasks import TASKS, Task

_PROBLEM_TYPES = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)

_ENCODER_TYPES = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    }
)
"""Types known to be encoders, for which transformers need not be asked."""

_BOTH_SIDED = frozenset({"bert-generation", "xlnet"})
"""Types that transformers lists as language models only, but whose tokens see both sides."""

# Without one of these transformers makes up a tokenizer that knows no word.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", ".model", ".codes")


def check_architecture(
    config: Mapping[str, Any], task: Task, *, name: str, option: str | None = None
) -> None:
    """Check that a model is an encoder, with a head that fits a task.

    Args:
        config: its ``config.json``.
        task: that it was named for.
        name: as the user gave it.
        option: that it was given with, without the dashes; None: the task's.

    Raises:
        ModelError: it is no encoder, or has no such head.
    """
    architectures = [str(one) for one in config.get("architectures") or []]
    model_type = str(config.get("model_type"))
    if (
        config.get("is_encoder_decoder")
        or any(one.endswith("ForConditionalGeneration") for one in architectures)
        or _is_encoder_decoder_type(model_type)
    ):
        raise ModelError(
            f"{name} is an encoder-decoder ({model_type}), and its encoder is not trained to work "
            "alone: use an encoder such as BERT or RoBERTa"
        )
    if (
        config.get("is_decoder")
        or any(one.endswith("ForCausalLM") for one in architectures)
        or _is_decoder_type(model_type)
    ):
        raise ModelError(
            f"{name} is a decoder ({model_type}), whose tokens do not see what follows them: use "
            "an encoder such as BERT or RoBERTa"
        )
    if _has_head_for(task, architectures):
        return
    fitting = [
        other.name
        for other in TASKS.values()
        if other.architecture and _has_head_for(other, architectures)
    ]
    option = option or task.name
    remedy = (
        f"give it as --{fitting[0]}"
        if fitting and option == task.name
        else f"--{option} needs a checkpoint of {task.architecture}"
    )
    raise ModelError(
        f"{name} was given as --{option}, but its config.json names "
        f"{', '.join(architectures) or 'no architecture'}: {remedy}"
    )


def check_labels(config: Mapping[str, Any], *, name: str) -> None:
    """Check that every logit has a name of its own, by its number.

    Raises:
        ModelError: a number is missing, or a name is no string or used twice.
    """
    labels = config.get("id2label")
    if labels is None:
        return
    is_object = isinstance(labels, dict)
    expected = [str(number) for number in range(len(labels))] if is_object else []
    if not is_object or sorted(labels, key=_natural) != expected:
        found = ", ".join(list(labels)[:5]) if is_object else type(labels).__name__
        raise ModelError(
            f"{name}: id2label in config.json must name every logit by its number from 0, "
            f'got {found}: write it as in the model\'s training, {{"0": ..., "1": ...}}'
        )
    names = list(labels.values())
    odd = [one for one in names if not isinstance(one, str) or not one or names.count(one) > 1]
    if odd:
        raise ModelError(
            f"{name}: the labels of id2label in config.json must be strings of which no two "
            f"are equal, got {odd[0]!r}: name each of them, since the tables tell them by name"
        )
    problem = config.get("problem_type")
    if problem not in (None, *_PROBLEM_TYPES):
        raise ModelError(
            f"{name}: problem_type in config.json must be one of {', '.join(_PROBLEM_TYPES)}, "
            f"got {problem!r}: write what the head was trained for"
        )


def check_tokenizer_files(path: Path) -> None:
    """Check that a model has a vocabulary.

    Raises:
        ModelError: it has none.
    """
    if not any(name.endswith(_VOCABULARIES) for name in os.listdir(path)):
        raise ModelError(
            f"{path} has no tokenizer: copy the files of the one it was trained with there, "
            "tokenizer.json above all"
        )


def check_weight_files(path: Path, *, trust_pickle: bool) -> None:
    """Check that a model has weights that are safe to load.

    Raises:
        ModelError: it has none, or pickled ones only, which are not trusted.
    """
    names = os.listdir(path)
    if any(name.endswith(".safetensors") for name in names):
        return
    if any(name.endswith((".bin", ".pt", ".ckpt")) for name in names):
        if trust_pickle:
            return
        raise ModelError(
            f"{path} has pickled weights only, and loading a pickle can run any code: "
            "convert it to safetensors, or pass --trust-pickle if you trust its source"
        )
    raise ModelError(f"{path} has no weights: model.safetensors is missing, copy it there")


def _has_head_for(task: Task, architectures: list[str]) -> bool:
    suffix = task.architecture
    return suffix is None or any(name.endswith(suffix) for name in architectures)


def _natural(number: str) -> tuple[int, str]:
    return len(number), number


def _is_encoder_decoder_type(model_type: str) -> bool:
    """Whether models of this type have a decoder, whatever their files say."""
    if model_type in _ENCODER_TYPES:
        return False
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    return model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES


def _is_decoder_type(model_type: str) -> bool:
    """Whether models of this type read from left to right, whatever their files say."""
    if model_type in _ENCODER_TYPES:
        return False
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    return (
        model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        and model_type not in _BOTH_SIDED
    )
