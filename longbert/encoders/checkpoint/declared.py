"""What the sentence-transformers files of a model declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.errors import ModelError

FILE = "config_sentence_transformers.json"
_QUERY_NAMES = ("query",)
_DOCUMENT_NAMES = ("document", "passage", "corpus")
_POOLINGS = ("mean", "cls", "max")


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """What a model's sentence-transformers files declare.

    Attributes:
        pooling: ``mean``, ``cls`` or ``max``.
        normalize: whether vectors are L2-normalised.
        max_tokens: positions it was trained for, special tokens included; None if not declared.
        metric: ``cosine`` or ``dot``.
        include_prompt: whether a prompt's tokens, and the special ones before them, are pooled.
    """

    pooling: str = "mean"
    normalize: bool = False
    max_tokens: int | None = None
    metric: str = "cosine"
    include_prompt: bool = True

    @classmethod
    def from_folder(cls, folder: ModelFolder) -> EmbeddingSettings:
        """Read modules.json and the files it names; the defaults where there is none.

        Raises:
            ModelError: a module or pooling that longbert does not have.
        """
        modules = folder.read_json("modules.json")
        if modules is None:
            return cls()
        kinds = {str(module["type"]).rpartition(".")[2]: module["path"] for module in modules}
        unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
        if unknown:
            raise ModelError(
                f"{folder.name}: modules.json names {', '.join(sorted(unknown))}, and longbert has "
                "Transformer, Pooling and Normalize: use a model of these"
            )
        transformer = folder.read_json("sentence_bert_config.json") or {}
        general = folder.read_json("config_sentence_transformers.json") or {}
        pooling: Mapping[str, Any] = {}
        if "Pooling" in kinds:
            pooling = folder.read_json(f"{kinds['Pooling']}/config.json") or {}
        return cls(
            pooling=_pooling(folder, pooling) if "Pooling" in kinds else "mean",
            normalize="Normalize" in kinds,
            max_tokens=transformer.get("max_seq_length"),
            metric="dot" if general.get("similarity_fn_name") == "dot" else "cosine",
            include_prompt=bool(pooling.get("include_prompt", True)),
        )


def _pooling(folder: ModelFolder, config: Mapping[str, Any]) -> str:
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    names["pooling_mode_max_tokens"] = "max"
    declared = config.get("pooling_mode")
    if declared is None:
        switched_on = [
            key for key, value in config.items() if key.startswith("pooling_mode_") and value
        ]
        declared = [names.get(key, key.removeprefix("pooling_mode_")) for key in switched_on]
    modes = [declared] if isinstance(declared, str) else list(declared)
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelError(
            f"{folder.name}: its pooling is {' + '.join(map(str, modes)) or 'not declared'}, and "
            f"longbert has {', '.join(_POOLINGS)}: use a model with one of these"
        )
    return str(modes[0])


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts put before queries and before documents; empty where there is none."""

    query: str = ""
    document: str = ""

    @classmethod
    def of(cls, folder: ModelFolder, config: ModelConfig) -> Prompts:
        """Those of the configuration, and where it leaves one out, that of the model.

        Raises:
            ModelError: the model's files declare prompts that cannot be used.
        """
        declared = cls.from_folder(folder)
        given = config.query_prompt, config.document_prompt
        query, document = (
            own if one is None else one
            for one, own in zip(given, (declared.query, declared.document), strict=True)
        )
        return cls(query, document)

    @classmethod
    def from_folder(cls, folder: ModelFolder) -> Prompts:
        """What a model's sentence-transformers files declare.

        Names are those of ``encode_query`` and ``encode_document`` of that library: ``query``;
        the first that is there of ``document``, ``passage`` and ``corpus``. A prompt of another
        name that the files make the default is that of a side without one of its own, as in
        ``encode``.

        Raises:
            ModelError: a prompt is no text, or the default is none of the prompts.
        """
        settings = folder.read_json(FILE)
        if settings is None:
            return cls()
        path = folder.path / FILE
        if not isinstance(settings, Mapping):
            raise ModelError(f"{path} must hold a JSON object: restore the file")
        prompts = _texts(settings.get("prompts"), path)
        default = settings.get("default_prompt_name")
        names = {*_QUERY_NAMES, *_DOCUMENT_NAMES}
        # The library knows the first of both sides even where the files do not name them.
        known = {_QUERY_NAMES[0], _DOCUMENT_NAMES[0], *prompts}
        if default is not None and (not isinstance(default, str) or default not in known):
            raise ModelError(
                f"{path}: default_prompt_name is {default!r}, and the prompts are "
                f"{', '.join(sorted(prompts)) or 'none'}: name one of them, or remove the entry"
            )
        common = "" if default is None or default in names else prompts[default]
        query, document = (
            next((prompts[name] for name in side if name in prompts), common)
            for side in (_QUERY_NAMES, _DOCUMENT_NAMES)
        )
        return cls(query, document)


def _texts(prompts: Any, path: Any) -> dict[str, str]:
    """Prompts by name; those without a text, which the library allows, left out."""
    if prompts is None:
        return {}
    if not isinstance(prompts, Mapping):
        raise ModelError(
            f"{path}: prompts must be an object of names and texts, is a "
            f"{type(prompts).__name__}: restore the file"
        )
    texts = {}
    for name, text in prompts.items():
        if text is None:
            continue
        if not isinstance(text, str):
            raise ModelError(
                f"{path}: the prompt {name!r} must be a text, is a {type(text).__name__}: "
                "restore the file, or remove the entry"
            )
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ModelError(
                f"{path}: the prompt {name!r} has a lone surrogate, so it is not valid Unicode: "
                "restore the file"
            )
        texts[name] = text
    return texts
