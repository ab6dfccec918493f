"""Heads that share a pass, and documents that share batches, change nothing of each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.texts import HOSTILE_TEXTS, long_text
from transformers import FNetConfig, FNetModel

from longbert.config import ModelConfig
from longbert.encoders.heads.embedding import MeanEmbeddingHead
from longbert.encoders.heads.sequence_classification import ClassificationHead
from longbert.encoders.heads.token_classification import EntityHead
from longbert.encoders.loaded_models import Models
from longbert.encoders.models import load_models
from longbert.engine.encode import encode_documents
from longbert.errors import ConfigError, DocumentError, ModelError
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]

DOCUMENTS = [
    *(Document(f"long {n}", long_text(n, seed=n)) for n in (1, 3, 9, 20, 45, 120)),
    *(Document(hostile.name, hostile.text[:150]) for hostile in HOSTILE_TEXTS[::3]),
    Document("empty", " \n"),
]


def load(**settings: Any) -> Models:
    common = {"embed": "none", "window": 32, "precision": "float32", "passage": 10}
    return load_models(ModelConfig(**{**common, **settings}))


def encode(models: Models, documents: Sequence[Document]) -> list[DocumentResult | DocumentError]:
    return list(encode_documents(models, documents, passage_tokens=10))


def bits(result: DocumentResult | DocumentError) -> tuple[Any, ...]:
    """All there is of a result, comparable to the bit."""
    if isinstance(result, DocumentError):
        return result.stage, result.error, result.message
    embedding = None if result.embedding is None else result.embedding.tobytes()
    vectors = [
        p.embedding if p.embedding is None else p.embedding.tobytes() for p in result.passages
    ]
    passages = tuple(replace(passage, embedding=None) for passage in result.passages)
    return replace(result, embedding=None, passages=passages), embedding, tuple(vectors)


@pytest.fixture(scope="module")
def three_heads(models: Build) -> dict[str, Any]:
    """Three tasks on one backbone."""
    return {
        "embed": str(models("bert", seed=1, backbone_seed=7)),
        "classify": (str(models("bert", task="classify", seed=2, backbone_seed=7)),),
        "ner": (str(models("bert", task="ner", seed=3, backbone_seed=7)),),
    }


def test_heads_on_one_backbone_share_a_pass(three_heads: dict[str, Any]) -> None:
    together = load(**three_heads)

    (pass_,) = together.passes
    assert [type(head) for head in pass_.heads] == [
        *(MeanEmbeddingHead, ClassificationHead, EntityHead)
    ]
    runs: list[int] = []
    states = pass_.backbone.hidden_states
    pass_.backbone.hidden_states = lambda *args, **options: (  # type: ignore
        runs.append(1),
        states(*args, **options),
    )[1]
    results = encode(together, DOCUMENTS[:6])
    alone = {
        task: encode(load(**{task: name}), DOCUMENTS[:6]) for task, name in three_heads.items()
    }
    assert len(runs) < 20
    for i, result in enumerate(results):
        assert isinstance(result, DocumentResult)
        embedded, classified, tagged = (alone[task][i] for task in ("embed", "classify", "ner"))
        assert isinstance(embedded, DocumentResult)
        assert isinstance(classified, DocumentResult)
        assert isinstance(tagged, DocumentResult)
        assert bits(replace(result, entities=(), classifications=())) == bits(embedded)
        assert result.classifications == classified.classifications
        assert result.entities == tagged.entities
        assert result.classifications
    assert any(isinstance(result, DocumentResult) and result.entities for result in results)


def test_other_backbones_get_passes_and_windows_of_their_own(
    models: Build, three_heads: dict[str, Any]
) -> None:
    other = str(models("roberta", task="ner"))
    same_family = str(models("bert", task="classify", seed=2, backbone_seed=8))
    together = load(
        embed=three_heads["embed"], ner=(*three_heads["ner"], other), classify=(same_family,)
    )

    assert [[type(head) for head in pass_.heads] for pass_ in together.passes] == [
        [MeanEmbeddingHead, EntityHead],
        [ClassificationHead],
        [EntityHead],
    ]
    assert len({pass_.backbone.digest for pass_ in together.passes}) == 3
    document = [DOCUMENTS[5]]
    (result,) = encode(together, document)
    (alone,) = encode(load(ner=(other,)), document)
    (embedded,) = encode(load(embed=three_heads["embed"], ner=three_heads["ner"]), document)
    assert isinstance(result, DocumentResult)
    assert isinstance(alone, DocumentResult)
    assert isinstance(embedded, DocumentResult)
    assert alone.n_tokens != result.n_tokens == embedded.n_tokens
    assert result.n_windows == embedded.n_windows
    assert result.entities == embedded.entities + alone.entities


def test_each_backbone_has_the_window_it_declares(models: Build) -> None:
    embed = str(models("bert", sentence_transformers={"max_seq_length": 40}))
    sharing = str(models("bert", task="ner"))
    other = str(models("roberta", task="ner"))
    loaded = load(embed=embed, ner=(sharing, other), window=None)
    assert [one.window for one in loaded.settings] == [40, 512]
    assert [one.overlap for one in loaded.settings] == [9, 127]
    with pytest.raises(ConfigError, match=r"window must be in \[3, 512\] for embedding, "):
        load(embed=embed, ner=(sharing,), window=513)


@pytest.mark.parametrize("order", [1, -1])
def test_a_shared_window_fits_every_head(models: Build, tmp_path: Path, order: int) -> None:
    """The lowest limit counts, in whatever order the heads are named."""
    wide = models("bert", task="classify", seed=1, backbone_seed=5)
    narrow = tmp_path / "narrow"
    shutil.copytree(models("bert", task="classify", seed=2, backbone_seed=5), narrow)
    file = narrow / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 40}))
    heads = (str(wide), str(narrow))[::order]

    loaded = load(classify=heads, window=None)

    assert [one.window for one in loaded.settings] == [40]
    with pytest.raises(ConfigError, match=r"window must be in \[3, 40\] for .*narrow"):
        load(classify=heads, window=41)


def test_what_is_not_in_use_parts_no_heads(models: Build, tmp_path: Path) -> None:
    """Dropout of training, and settings of heads, leave the backbone what it is."""
    embed = models("bert", backbone_seed=5)
    head = tmp_path / "head"
    shutil.copytree(models("bert", task="classify", backbone_seed=5), head)
    file = head / "config.json"
    other = {
        "hidden_dropout_prob": 0.4,
        "classifier_dropout": 0.3,
        "task_specific_params": {"a": 1},
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | other))

    assert len(load(embed=str(embed), classify=(str(head),)).passes) == 1


def test_padding_on_the_left_moves_no_position(models: Build, tmp_path: Path) -> None:
    """BERT counts positions from the left: padding stands on the right, whatever is declared."""
    folder = models("bert", task="classify")
    left = tmp_path / "left"
    shutil.copytree(folder, left)
    file = left / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": "left"}))

    for document in DOCUMENTS[:3]:
        (wanted,) = encode(load(classify=(str(folder),)), [document])
        (found,) = encode(load(classify=(str(left),)), [document])
        assert isinstance(wanted, DocumentResult)
        assert isinstance(found, DocumentResult)
        scores = [row.score for row in wanted.classifications]
        assert [row.score for row in found.classifications] == scores


def test_a_model_that_reads_padding_is_refused(tmp_path: Path, models: Build) -> None:
    """FNet mixes all positions of a row, padding included."""
    folder = tmp_path / "fnet"
    shutil.copytree(models("bert"), folder)
    n_ids = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
    FNetModel(FNetConfig(vocab_size=n_ids, **sizes)).save_pretrained(folder)

    with pytest.raises(ModelError, match=r"fnet \(fnet\) gives a text other hidden states when"):
        load(embed=str(folder))


@pytest.mark.parametrize(
    ("family", "pooling"), [("bert", "mean"), ("roberta", "cls"), ("modernbert", "max")]
)
def test_documents_alone_and_among_others_give_the_same_bits(
    models: Build, family: str, pooling: str
) -> None:
    files = {"pooling": pooling}
    settings = {
        "embed": str(models(family, backbone_seed=5, sentence_transformers=files)),
        "classify": (str(models(family, task="classify", backbone_seed=5)),),
        "ner": (str(models(family, task="ner", backbone_seed=5)),),
    }
    loaded = load(**settings)
    assert all(one.batch_invariant for one in loaded.settings)
    together = [bits(result) for result in encode(loaded, DOCUMENTS)]
    alone = [bits(result) for document in DOCUMENTS for result in encode(loaded, [document])]
    backwards = [bits(result) for result in encode(loaded, DOCUMENTS[::-1])][::-1]
    assert together == alone == backwards
    for batch_tokens in (1, 100, 50_000):
        passes = tuple(replace(pass_, batch_tokens=batch_tokens) for pass_ in loaded.passes)
        other = replace(loaded, passes=passes)
        assert [bits(result) for result in encode(other, DOCUMENTS)] == together


def test_no_documents_have_no_results(three_heads: dict[str, Any]) -> None:
    assert encode(load(**three_heads), []) == []
