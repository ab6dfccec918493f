"""Tokenizers read from their files, against those that transformers loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.texts import SCRIPTS, long_text
from transformers import AutoTokenizer

from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.encoders.tokenizers.files import read_tokenizer
from longbert.encoders.tokenizers.load import load_tokenizer

Build = Callable[..., Path]

FAMILIES = {
    "bert": {},
    "bert-cased": {},
    "bert-chinese": {},
    "distilbert": {},
    "electra": {},
    "roberta": {"tokenizer": {"add_prefix_space": True}},
    "xlm-roberta": {},
}
ATTRIBUTES = ("prefix", "suffix", "pad_id", "pads_left", "max_tokens", "n_ids", "digest")
TEXTS = (*SCRIPTS, long_text(300), "", "[CLS] a [MASK] <s> b</s>", "Ünïcode  \t\n\u3000 ﬁ")


def reference_of(folder: Path) -> FastTokenizer:
    return FastTokenizer.from_transformers(AutoTokenizer.from_pretrained(folder), name="model")


def check_same(folder: Path) -> None:
    own, reference = read_tokenizer(folder, name="model"), reference_of(folder)
    assert own is not None
    for name in ATTRIBUTES:
        assert getattr(own, name) == getattr(reference, name), name
    for text in TEXTS:
        found, expected = own.tokenize(text), reference.tokenize(text)
        assert found.ids.tolist() == expected.ids.tolist()
        assert found.offsets.tolist() == expected.offsets.tolist()
        assert found.is_unknown.tolist() == expected.is_unknown.tolist()


def change(folder: Path, file: str, **settings: Any) -> None:
    path = folder / file
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | settings))


@pytest.fixture
def copy(models: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models("bert"), tmp_path / "model"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("declares", [True, False])
def test_every_family(models: Build, family: str, declares: bool) -> None:
    check_same(models(family, declare_limit=declares))
    if FAMILIES[family]:
        check_same(models(family, **FAMILIES[family]))


def test_the_packaged_model(minilm: Path) -> None:
    check_same(minilm)


@pytest.mark.parametrize(
    "settings",
    [
        {"padding_side": "left"},
        {"model_max_length": 1_000_000_000_000},
        {"tokenizer_class": "BertTokenizerFast"},
        {"tokenizer_class": None},
        {"clean_up_tokenization_spaces": True, "never_split": None, "do_basic_tokenize": True},
        {"mask_token": {"__type": "AddedToken", "content": "[MASK]", "lstrip": False}},
    ],
)
def test_settings_that_are_followed(copy: Path, settings: dict[str, Any]) -> None:
    change(copy, "tokenizer_config.json", **settings)
    check_same(copy)


def test_padding_of_the_file_is_followed(copy: Path) -> None:
    padding = {
        **{"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
    }
    change(copy, "tokenizer.json", padding=padding)
    check_same(copy)
    own = read_tokenizer(copy, name="model")
    assert own is not None
    assert own.pads_left


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        # The settings win over the file in transformers, so the file is not used.
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"strip_accents": True}),
        ("tokenizer_config.json", {"tokenize_chinese_chars": False}),
        ("tokenizer_config.json", {"unk_token": "[MASK]"}),
        ("tokenizer_config.json", {"sep_token": "[END]"}),
        ("tokenizer_config.json", {"mask_token": {"content": "[MASK]", "lstrip": True}}),
        ("tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"}),
        ("tokenizer_config.json", {"extra_special_tokens": ["[ONE]"]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {}}),
        ("tokenizer_config.json", {"split_special_tokens": True}),
        ("special_tokens_map.json", {"cls_token": "[BEGIN]"}),
        ("added_tokens.json", {"[ONE]": 7}),
        ("tokenizer.json", {"normalizer": None}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "WhitespaceSplit"}}),
        ("config.json", {"model_type": "albert"}),
    ],
)
def test_files_that_do_not_agree_are_left_to_transformers(
    copy: Path, file: str, settings: dict[str, Any]
) -> None:
    change(copy, file, **settings)
    assert read_tokenizer(copy, name="model") is None


def test_what_is_left_to_transformers_is_loaded(copy: Path) -> None:
    change(copy, "tokenizer_config.json", do_lower_case=False)
    loaded = load_tokenizer(copy, name="model")
    assert loaded.digest == reference_of(copy).digest


def test_a_vocabulary_without_the_file_is_left_to_transformers(copy: Path) -> None:
    vocabulary = json.loads((copy / "tokenizer.json").read_text())["model"]["vocab"]
    (copy / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    (copy / "tokenizer.json").unlink()
    assert read_tokenizer(copy, name="model") is None
    assert load_tokenizer(copy, name="model").digest == reference_of(copy).digest
