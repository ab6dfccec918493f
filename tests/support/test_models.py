"""The models of the tests are what they claim to be; slow checks have no place here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from .models import CLASSIFY_LABELS, FAMILIES, NER_LABELS, build_model, limit
from .texts import HOSTILE_TEXTS, SCRIPTS, long_text

Models = Callable[..., Path]
WITHOUT_POSITIONS = ("deberta-v2", "deberta-v3", "modernbert")
"""Relative or rotary positions: nothing stops them at the limit they were trained for."""


@pytest.mark.parametrize("family", FAMILIES)
def test_loads_with_the_three_auto_classes(models: Models, family: str) -> None:
    base = AutoModel.from_pretrained(models(family, backbone_seed=3))
    backbone = _without_pooler(base)
    for task, cls, seed, names in (
        ("classify", AutoModelForSequenceClassification, 1, CLASSIFY_LABELS),
        ("ner", AutoModelForTokenClassification, 2, NER_LABELS),
    ):
        folder = models(family, task=task, seed=seed, backbone_seed=3)
        model, info = cls.from_pretrained(folder, output_loading_info=True)
        assert not any(info.values())
        assert tuple(model.config.id2label.values()) == names
        assert _without_pooler(model.base_model).keys() == backbone.keys()
        for name, weight in _without_pooler(model.base_model).items():
            assert torch.equal(weight, backbone[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_takes_as_many_tokens_as_declared(models: Models, family: str) -> None:
    sizes = {"max_position_embeddings": 256} if family == "modernbert" else {}
    folder = models(family, **sizes)
    model = AutoModel.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    n_tokens = limit(family, model.config)
    assert tokenizer.model_max_length == n_tokens

    ids = torch.full((1, n_tokens + 1), tokenizer.unk_token_id)
    with torch.no_grad():
        hidden = model(input_ids=ids[:, :-1]).last_hidden_state
        assert hidden.shape == (1, n_tokens, model.config.hidden_size)
        if family not in WITHOUT_POSITIONS:
            with pytest.raises((RuntimeError, IndexError)):
                model(input_ids=ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokenizer_knows_its_texts(models: Models, family: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(models(family))
    assert tokenizer.is_fast == (family != "bertweet")
    text = long_text(300, seed=9)
    # One line: BERTweet takes a line break for an unknown character.
    ids = tokenizer(" ".join(text.split()), add_special_tokens=False)["input_ids"]
    assert ids.count(tokenizer.unk_token_id) < len(ids) / 50
    assert max(ids) < AutoModel.from_pretrained(models(family)).config.vocab_size

    if not tokenizer.is_fast:
        assert tokenizer.tokenize("Rotterdam") != ["Rotterdam@@"]
        assert tokenizer.decode(tokenizer("the budget")["input_ids"][1:-1]) == "the budget"
        return
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    covered = np.zeros(len(text), dtype=bool)
    for start, end in encoded["offset_mapping"]:
        assert 0 <= start <= end <= len(text)
        covered[start:end] = True
    missed = "".join(character for character, hit in zip(text, covered, strict=True) if not hit)
    assert missed.strip() == ""


def test_chinese_is_read_character_by_character(models: Models) -> None:
    tokenizer = AutoTokenizer.from_pretrained(models("bert-chinese"))
    assert tokenizer.tokenize("北京大学") == ["北", "京", "大", "学"]


def test_sentencepiece_normaliser_survives_loading(models: Models) -> None:
    tokenizer = AutoTokenizer.from_pretrained(models("xlm-roberta"))
    normalise = tokenizer.backend_tokenizer.normalizer.normalize_str
    assert normalise("ﬁn\u00a0① Zu\u0308rich\u200b｡\x07") == "fin 1 Zürich 。"


@pytest.mark.parametrize("family", ["bert", "bertweet", "xlm-roberta", "modernbert"])
def test_same_arguments_give_the_same_bytes(tmp_path: Path, family: str) -> None:
    one = _digests(build_model(tmp_path / "one", family, task="ner", seed=5))
    two = _digests(build_model(tmp_path / "two", family, task="ner", seed=5))
    other = _digests(build_model(tmp_path / "other", family, task="ner", seed=6))
    assert one == two
    assert {name for name in one if one[name] != other[name]} == {"model.safetensors"}


@pytest.mark.parametrize("dialect", ["classic", "v6"])
@pytest.mark.parametrize(("pooling", "normalize"), [("mean", True), ("cls", False), ("max", True)])
def test_sentence_transformers_reads_it(
    models: Models, pooling: str, normalize: bool, dialect: str
) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder = models(
        "bert",
        sentence_transformers={
            "pooling": pooling,
            "normalize": normalize,
            "max_seq_length": 48,
            "prompts": {"query": "find: ", "document": ""},
            "dialect": dialect,
        },
    )
    encoder = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert encoder.max_seq_length == 48
    assert encoder.prompts["query"] == "find: "

    text = long_text(100)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(text, truncation=True, max_length=48, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder)(**batch).last_hidden_state[0]
    pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
    wanted = pooled / pooled.norm() if normalize else pooled
    np.testing.assert_allclose(encoder.encode(text), wanted.numpy(), atol=1e-5)


def test_settings_reach_the_files(models: Models) -> None:
    folder = models(
        "distilbert",
        task="classify",
        labels=("a", "b", "c"),
        problem_type="multi_label_classification",
        hidden_size=64,
        declare_limit=False,
    )
    config = json.loads((folder / "config.json").read_text())
    assert (config["dim"], config["problem_type"]) == (64, "multi_label_classification")
    assert list(config["label2id"]) == ["a", "b", "c"]
    assert "model_max_length" not in json.loads((folder / "tokenizer_config.json").read_text())


def test_outputs_differ_visibly(models: Models) -> None:
    folder = models("bert", task="ner")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(long_text(100), return_tensors="pt")).logits[0]
    assert len(logits.argmax(1).unique()) >= 3
    assert logits.std() > 0.3


def test_unknown_family_and_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="family must be one of"):
        build_model(tmp_path, "gpt")
    with pytest.raises(ValueError, match="task must be one of"):
        build_model(tmp_path, "bert", task="translate")


def test_texts() -> None:
    assert long_text(500, seed=1) == long_text(500, seed=1) != long_text(500, seed=2)
    assert len(long_text(1234).split()) == 1234
    names = [hostile.name for hostile in HOSTILE_TEXTS]
    assert len(set(names)) == len(names)
    for text in (*SCRIPTS, *(hostile.text for hostile in HOSTILE_TEXTS)):
        assert text.strip()
        text.encode()


def _without_pooler(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: w for name, w in model.state_dict().items() if "pooler" not in name}


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
