"""Learned heads on a backbone: shared passes, the same rows in any company, and refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.heads import LABELS, build_head, change_config, digest_of
from support.runs import problems, rows, rows_by_document, run, some_texts, write_texts
from support.texts import HOSTILE_TEXTS, long_text

from longbert.config import ENTITY_STITCHINGS, ModelConfig
from longbert.encoders.loaded_models import Models
from longbert.encoders.models import load_models
from longbert.engine.encode import encode_documents
from longbert.errors import ConfigError, DocumentError, ModelError
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]

DOCUMENTS = [
    *(Document(f"long {n}", long_text(n, seed=n)) for n in (1, 3, 9, 45, 120)),
    *(Document(hostile.name, hostile.text[:150]) for hostile in HOSTILE_TEXTS[::4]),
    Document("empty", " \n"),
]


@pytest.fixture(scope="module")
def heads(models: Build, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An embedding model and two heads that read it."""
    backbone = models("bert", seed=1, backbone_seed=7)
    folder = tmp_path_factory.mktemp("heads")
    return {
        "embed": str(backbone),
        "classify": (str(build_head(folder / "mood", backbone, "classify", seed=2)),),
        "ner": (str(build_head(folder / "names", backbone, "ner", seed=3)),),
    }


def load(**settings: Any) -> Models:
    common = {"embed": "none", "window": 32, "precision": "float32", "passage": 10}
    return load_models(ModelConfig(**{**common, **settings}))


def encode(models: Models, documents: Sequence[Document] = DOCUMENTS) -> list[tuple[Any, ...]]:
    """What there is of each document, comparable to the bit."""
    found: list[tuple[Any, ...]] = []
    for result in encode_documents(models, documents, passage_tokens=10):
        if isinstance(result, DocumentError):
            found.append((result.stage, result.error))
            continue
        assert isinstance(result, DocumentResult)
        vector = None if result.embedding is None else result.embedding.tobytes()
        of_windows = [replace(one, head="") for one in result.window_scores]
        found.append((vector, result.entities, result.classifications, of_windows))
    return found


def test_heads_share_the_pass_of_their_backbone(heads: dict[str, Any]) -> None:
    together = load(**heads)
    (pass_,) = together.passes
    assert [head.name for head in pass_.heads] == ["embedding", "mood", "names"]
    found = encode(together)
    embedded, classified, tagged = (encode(load(**{task: heads[task]})) for task in heads)
    assert sum(len(one[1]) for one in tagged if len(one) > 2) > 5
    for whole, *parts in zip(found, embedded, classified, tagged, strict=True):
        if len(whole) == 2:
            assert parts == [whole] * 3
        else:
            assert [part[place] for place, part in zip((0, 2, 1), parts, strict=True)] == [
                *(whole[0], whole[2], whole[1])
            ]
            assert [one.label for one in whole[2]] == list(LABELS["classify"])


def test_a_checkpoint_of_the_same_backbone_shares_the_pass_too(
    models: Build, heads: dict[str, Any]
) -> None:
    checkpoint = str(models("bert", task="classify", seed=2, backbone_seed=7))
    loaded = load(classify=(*heads["classify"], checkpoint), ner=heads["ner"])
    assert len(loaded.passes) == 1
    found = encode(loaded, DOCUMENTS[:5])
    alone = encode(load(classify=heads["classify"]), DOCUMENTS[:5])
    plain = encode(load(classify=(checkpoint,)), DOCUMENTS[:5])
    for whole, learned, other in zip(found, alone, plain, strict=True):
        assert whole[2] == learned[2] + other[2]


@pytest.mark.parametrize("stitching", ENTITY_STITCHINGS)
def test_documents_alone_and_among_others_give_the_same_bits(
    heads: dict[str, Any], stitching: str
) -> None:
    loaded = load(**heads, entity_stitching=stitching, window_scores=True)
    assert all(one.batch_invariant for one in loaded.settings)
    together = encode(loaded)
    assert [row for document in DOCUMENTS for row in encode(loaded, [document])] == together
    assert encode(loaded, DOCUMENTS[::-1])[::-1] == together
    for batch_tokens in (1, 100):
        passes = tuple(replace(pass_, batch_tokens=batch_tokens) for pass_ in loaded.passes)
        assert encode(replace(loaded, passes=passes)) == together


def test_a_run_fills_the_tables(heads: dict[str, Any], tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(3))
    settings = {**heads, "classify": list(heads["classify"]), "ner": list(heads["ner"])}
    run(inputs, tmp_path / "all", **settings, window=32, window_scores=True)
    assert problems(tmp_path / "all") == []
    n_windows = {
        row["document_id"]: row["n_windows"] for row in rows(tmp_path / "all", "documents")
    }
    table = rows(tmp_path / "all", "window_scores")
    assert min(n_windows.values()) > 2
    assert len(table) == 3 * sum(n_windows.values())
    for document_id, n in n_windows.items():
        for window in range(n):
            of_window = [
                row["score"]
                for row in table
                if (row["document_id"], row["window"]) == (document_id, window)
            ]
            assert sum(of_window) == pytest.approx(1, abs=1e-6)
    together = rows_by_document(tmp_path / "all")
    for task, name, key in (("ner", "entities", "ner"), ("classify", "classifications", "mood")):
        output = tmp_path / key
        run(inputs, output, embed="none", **{task: settings[task]}, window=32)
        assert problems(output) == []
        for document_id, of_document in rows_by_document(output).items():
            own = [row for row in together[document_id] if row[0] == name]
            assert [row for row in of_document if row[0] == name] == own
            assert own


# Poolings and decodings -------------------------------------------------------------------------


def scores(models: Models, document: Document) -> list[float]:
    (found,) = encode(models, [document])
    return [row.score for row in found[2]]


def test_poolings_of_a_learned_classifier(heads: dict[str, Any]) -> None:
    classify = heads["classify"]
    poolings = ("learned", "mean", "max", "first", "vote", "head+tail")
    found = {
        pooling: scores(load(classify=classify, classify_pooling=pooling), DOCUMENTS[4])
        for pooling in poolings
    }
    assert len({tuple(one) for one in found.values()}) == len(poolings)
    assert scores(load(classify=classify), DOCUMENTS[4]) == found["learned"]
    assert all(sum(one) == pytest.approx(1, abs=1e-5) for one in found.values())
    # A document of one window is that window.
    for pooling in poolings:
        if pooling != "vote":
            loaded = load(classify=classify, classify_pooling=pooling)
            assert scores(loaded, DOCUMENTS[1]) == scores(load(classify=classify), DOCUMENTS[1])


def test_scores_of_windows_are_those_of_the_first_pooling(heads: dict[str, Any]) -> None:
    loaded = load(classify=heads["classify"], classify_pooling="first", window_scores=True)
    (found,) = encode(loaded, [DOCUMENTS[4]])
    of_first = [one.score for one in found[3] if one.window == 0]
    assert of_first == [row.score for row in found[2]]


def test_a_checkpoint_has_learned_no_pooling(models: Build) -> None:
    checkpoint = str(models("bert", task="classify"))
    with pytest.raises(ConfigError, match="classify_pooling learned needs a head made by longbert"):
        load(classify=(checkpoint,), classify_pooling="learned")


def test_votes_need_a_head_that_chooses_one(heads: dict[str, Any], tmp_path: Path) -> None:
    head = build_head(tmp_path / "many", Path(heads["embed"]), "classify", chooses_one=False)
    (found,) = encode(load(classify=(str(head),)), [DOCUMENTS[4]])
    assert [row.predicted for row in found[2]] == [row.score >= 0.5 for row in found[2]]
    with pytest.raises(ConfigError, match="vote needs a head that chooses one label"):
        load(classify=(str(head),), classify_pooling="vote")


def test_greedy_decoding_is_refused(heads: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="entity_decoding greedy reads each word by itself"):
        load(ner=heads["ner"], entity_decoding="greedy")
    usual, asked = load(ner=heads["ner"]), load(ner=heads["ner"], entity_decoding="viterbi")
    assert encode(usual) == encode(asked)
    assert usual.settings == asked.settings


# Backbones --------------------------------------------------------------------------------------


def test_another_backbone_is_refused(models: Build, heads: dict[str, Any], tmp_path: Path) -> None:
    other = models("bert", seed=1, backbone_seed=8)
    head = build_head(tmp_path / "head", Path(heads["embed"]), "ner")
    change_config(head, backbone=str(other))
    digests = digest_of(Path(heads["embed"]))[:12], digest_of(other)[:12]
    match = rf"trained on the backbone {re.escape(str(other))} with digest {digests[0]}"
    with pytest.raises(ModelError, match=rf"{match}, but .* now has {digests[1]}"):
        load(ner=(str(head),))
    # Whatever the folder is called, the digest tells which model it needs.
    (pass_,) = load(embed=heads["embed"], ner=(str(head),)).passes
    assert len(pass_.heads) == 2


def test_a_backbone_that_is_missing_is_named(heads: dict[str, Any], tmp_path: Path) -> None:
    head = build_head(tmp_path / "head", Path(heads["embed"]), "classify")
    missing = str(tmp_path / "gone")
    change_config(head, backbone=missing)
    with pytest.raises(ModelError, match=re.escape(missing)):
        load(classify=(str(head),))
    assert len(load(embed=heads["embed"], classify=(str(head),)).passes) == 1


@pytest.mark.parametrize(("task", "asked"), [("ner", "classify"), ("classify", "ner")])
def test_a_head_given_for_another_task(heads: dict[str, Any], task: str, asked: str) -> None:
    with pytest.raises(ModelError, match=f"it is a head trained for {task}: give it as --{task}"):
        load(**{asked: heads[task]})
    with pytest.raises(ModelError, match="was given as --embed"):
        load(embed=heads[task][0])


@pytest.mark.parametrize("task", ["ner", "classify"])
def test_trained_layers_make_another_backbone(
    heads: dict[str, Any], tmp_path: Path, task: str
) -> None:
    backbone = Path(heads["embed"])
    frozen = build_head(tmp_path / "frozen", backbone, task, seed=5)
    trained = build_head(tmp_path / "trained", backbone, task, seed=5, n_unfrozen=1)
    names = str(frozen), str(trained)
    together = load(embed=heads["embed"], **{task: names})
    assert [[head.name for head in pass_.heads] for pass_ in together.passes] == [
        ["embedding", "frozen"],
        ["trained"],
    ]
    assert len({pass_.backbone.digest for pass_ in together.passes}) == 2
    # The layers of one do not reach the other.
    embedded = encode(load(embed=heads["embed"]))
    found, first, second = (
        encode(one) for one in (together, load(**{task: names[:1]}), load(**{task: names[1:]}))
    )
    place = 1 if task == "ner" else 2
    for whole, vector, one, other in zip(found, embedded, first, second, strict=True):
        assert whole[0] == vector[0]
        if len(whole) > 2:
            assert whole[place] == one[place] + other[place]
    assert [replace(row, head="") for row in first[4][place]] != [
        replace(row, head="") for row in second[4][place]
    ]


def test_the_window_of_a_head_is_the_one_it_was_trained_on(heads: dict[str, Any]) -> None:
    loaded = load(ner=heads["ner"], window=None)
    assert [one.window for one in loaded.settings] == [40]
    assert json.loads((Path(heads["ner"][0]) / "config.json").read_text())["window"] == 40
