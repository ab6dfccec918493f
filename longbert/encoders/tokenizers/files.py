"""Tokenizers of the common families, read from their files without transformers.

transformers builds these tokenizers from a vocabulary and settings, where ``tokenizer.json`` holds
them ready-made. The file is taken as it is where both say the same; for any other folder there is
``AutoTokenizer``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from longbert.encoders.tokenizers.base import Declared
from longbert.encoders.tokenizers.fast import FastTokenizer

FILE = "tokenizer.json"
_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_FLAGS = ("lstrip", "rstrip", "normalized", "single_word")
_NO_LIMIT = 1_000_000
"""Above it a length is one that transformers writes where there is none."""

_CLASSES_BY_TYPE = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
_NOT_FOLLOWED = (
    *("added_tokens_file", "additional_special_tokens", "add_bos_token", "add_eos_token"),
    *("auto_map", "extra_special_tokens", "model_specific_special_tokens", "split_special_tokens"),
)
"""Settings that change tokens in ways that are left to transformers."""


def read_tokenizer(folder: Path, *, name: str) -> FastTokenizer | None:
    """Read a tokenizer as ``AutoTokenizer`` would load it.

    Args:
        folder: of the model.
        name: the model's name, for messages.

    Returns:
        None where it is of another family, or its files do not agree with each other.

    Raises:
        ModelError: the tokenizer adds special tokens inside a text.
    """
    try:
        settings = _settings(folder)
        build = _BUILDERS.get(_class_name(folder, settings))
        if build is None or any(settings.get(key) for key in _NOT_FOLLOWED):
            return None
        backend = tokenizers.Tokenizer.from_file(str(folder / FILE))
        found = json.loads(backend.to_str())
        special = _special_tokens(settings, build)
        if not _agree(found, build, settings, special):
            return None
        declared = _declared(backend, found, settings, special)
    except Exception:
        # Whatever is wrong with the files is for transformers to say.
        return None
    return FastTokenizer(backend, name=name, **declared)


Build = Callable[[Mapping[str, Any], Mapping[str, str], Callable[[str], int]], tokenizers.Tokenizer]
"""Makes the tokenizer of a class without its vocabulary, of settings, special tokens and ids."""


def _bert(
    settings: Mapping[str, Any], special: Mapping[str, str], id_of: Callable[[str], int]
) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordPiece({}, unk_token=special["unk"]))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##")
    cls, sep = special["cls"], special["sep"]
    made.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, id_of(cls)), (sep, id_of(sep))],
    )
    return made


def _roberta(
    settings: Mapping[str, Any], special: Mapping[str, str], id_of: Callable[[str], int]
) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(
        models.BPE({}, [], continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False)
    )
    joins = settings.get("add_prefix_space", False)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=joins)
    made.decoder = decoders.ByteLevel()
    cls, sep = special["cls"], special["sep"]
    made.post_processor = processors.RobertaProcessing(
        (sep, id_of(sep)), (cls, id_of(cls)), settings.get("trim_offsets", True), joins
    )
    return made


def _xlm_roberta(
    settings: Mapping[str, Any], special: Mapping[str, str], id_of: Callable[[str], int]
) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.Unigram([("a", 0.0)] * 4, unk_id=3, byte_fallback=False))
    scheme = "always" if settings.get("add_prefix_space", True) else "never"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme),
        ]
    )
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme=scheme)
    bos, eos = special["bos"], special["eos"]
    made.post_processor = processors.TemplateProcessing(
        single=[bos, "$A", eos],
        pair=[bos, "$A", eos, eos, "$B", eos],
        special_tokens=[(bos, id_of(bos)), (eos, id_of(eos))],
    )
    return made


_BUILDERS: Mapping[str, Build] = {
    "BertTokenizer": _bert,
    "DistilBertTokenizer": _bert,
    "RobertaTokenizer": _roberta,
    "XLMRobertaTokenizer": _xlm_roberta,
}
_BERT_SPECIAL = {name: f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
_ROBERTA_SPECIAL = {
    **{"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>"},
    **{"unk": "<unk>", "pad": "<pad>", "mask": "<mask>"},
}


def _settings(folder: Path) -> dict[str, Any]:
    """What ``tokenizer_config.json`` says, and where it is of an older kind its second file.

    Raises:
        OSError, ValueError: a file is damaged.
    """
    file = folder / "tokenizer_config.json"
    settings: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
    if (folder / "added_tokens.json").is_file():
        settings["added_tokens_file"] = True
    older = folder / "special_tokens_map.json"
    if "added_tokens_decoder" not in settings and older.is_file():
        settings |= json.loads(older.read_bytes())
    return settings


def _class_name(folder: Path, settings: Mapping[str, Any]) -> str:
    config = json.loads((folder / "config.json").read_bytes())
    declared = settings.get("tokenizer_class") or config.get("tokenizer_class")
    own = _CLASSES_BY_TYPE.get(config.get("model_type"), "")
    # A class of another family may be known to be a mistake, or not.
    return str(declared or own).removesuffix("Fast") if own else ""


def _special_tokens(settings: Mapping[str, Any], build: Build) -> dict[str, Any]:
    """Special tokens by name, as text or with their flags."""
    special: dict[str, Any] = dict(_BERT_SPECIAL if build is _bert else _ROBERTA_SPECIAL)
    for name in _SPECIAL:
        if settings.get(f"{name}_token") is not None:
            special[name] = settings[f"{name}_token"]
    return special


def _agree(
    found: Mapping[str, Any], build: Build, settings: Mapping[str, Any], special: Mapping[str, Any]
) -> bool:
    """Whether the ready-made tokenizer is the one that the settings describe."""
    added = {token["content"]: token for token in found["added_tokens"]}
    texts = {name: _text(token) for name, token in special.items()}
    for name, token in special.items():
        own = added.get(texts[name])
        if own is None or not own["special"]:
            return False
        if isinstance(token, dict) and any(own[flag] != token.get(flag, False) for flag in _FLAGS):
            return False
    listed = settings.get("added_tokens_decoder")
    if listed is not None:
        expected = {int(id_): token for id_, token in listed.items()}
        if expected != {
            token["id"]: {key: value for key, value in token.items() if key != "id"}
            for token in found["added_tokens"]
        }:
            return False
    known = json.loads(build(settings, texts, lambda text: int(added[text]["id"])).to_str())
    parts = ["pre_tokenizer", "post_processor", "decoder"]
    if build is _xlm_roberta:
        normalizer = found["normalizer"]
        if normalizer is not None and normalizer["type"] != "Precompiled":
            return False
    else:
        parts.append("normalizer")
    learned = ("vocab", "merges")
    return all(found[part] == known[part] for part in parts) and all(
        found["model"].get(key) == value
        for key, value in known["model"].items()
        if key not in learned
    )


def _declared(
    backend: tokenizers.Tokenizer,
    found: Mapping[str, Any],
    settings: Mapping[str, Any],
    special: Mapping[str, Any],
) -> Declared:
    padding = found["padding"] or {}
    side = settings.get("padding_side") or str(padding.get("direction", "right")).lower()
    limit = settings.get("model_max_length", settings.get("max_len"))
    pad_id = backend.token_to_id(_text(special["pad"]))
    return Declared(
        pad_id=0 if pad_id is None else pad_id,
        pads_left=side == "left",
        max_tokens=int(limit) if limit and limit < _NO_LIMIT else None,
        unknown_id=backend.token_to_id(_text(special["unk"])),
    )


def _text(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
