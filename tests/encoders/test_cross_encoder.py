"""Scores of pairs against sentence-transformers, and against pairs scored alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.texts import long_text

from longbert.encoders.cross_encoder import CrossEncoder, load_cross_encoder
from longbert.errors import ConfigError, InputError, ModelError

Build = Callable[..., Path]

QUERY = "where is the new office of the company in Berlin?"
PASSAGES = ["The office is in Berlin.", long_text(30, seed=3), "No.", long_text(12, seed=4)]


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The precision of the reference, whatever is fast here."""
    monkeypatch.setattr(
        "longbert.encoders.cross_encoder.choose_precision", lambda name, device: torch.float32
    )


def one_label(models: Build, family: str, **config: int) -> Path:
    return models(family, task="classify", labels=("LABEL_0",), **config)


def reference(folder: Path, pairs: list[tuple[str, str]]) -> np.ndarray:
    from sentence_transformers import CrossEncoder as Reference

    model = Reference(str(folder), device="cpu", local_files_only=True)
    return np.asarray(model.predict(pairs, activation_fn=torch.nn.Identity()))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta-v3", "electra"])
def test_scores_are_those_of_sentence_transformers(models: Build, family: str) -> None:
    folder = one_label(models, family)

    found = load_cross_encoder(str(folder)).scores(QUERY, PASSAGES)

    expected = reference(folder, [(QUERY, passage) for passage in PASSAGES])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(found) > 1e-3


def test_the_types_of_the_two_texts_count(models: Build) -> None:
    model = load_cross_encoder(str(one_label(models, "bert")))
    template = model.template

    assert (template.first_type, template.second_type) == (0, 1)
    assert [types for _, types in (template.middle + template.suffix)] == [0, 1]


def test_a_score_does_not_depend_on_the_other_passages(models: Build) -> None:
    model = load_cross_encoder(str(one_label(models, "bert")))

    together = model.scores(QUERY, PASSAGES)

    assert [model.scores(QUERY, [one])[0] for one in PASSAGES] == together.tolist()
    assert model.scores(QUERY, []).tolist() == []


def words_of_one_token(model: CrossEncoder, n: int) -> list[str]:
    tokenize = model.backbone.tokenizer.tokenize
    words = [word for word in long_text(400, seed=9).split() if len(tokenize(word)) == 1]
    return words[:n]


def test_a_long_passage_scores_what_its_best_window_does(models: Build) -> None:
    model = load_cross_encoder(str(one_label(models, "bert", max_position_embeddings=40)))
    words = words_of_one_token(model, 60)
    size = 40 - 3 - len(model.backbone.tokenizer.tokenize("in Berlin?"))
    starts = [*range(0, 60 - size, size - size // 4), 60 - size]

    alone = model.scores("in Berlin?", [" ".join(words[one : one + size]) for one in starts])

    assert len(alone) == 3
    assert model.scores("in Berlin?", [" ".join(words)])[0] == alone.max()


def test_of_a_long_query_all_windows_count(models: Build) -> None:
    model = load_cross_encoder(str(one_label(models, "bert", max_position_embeddings=43)))
    words = words_of_one_token(model, 70)
    query, passage = words[:60], " ".join(words[60:])
    parts = [" ".join(query[one : one + 20]) for one in (0, 20, 40)]

    expected = sum(float(model.scores(one, [passage])[0]) for one in parts) / len(parts)

    assert model.scores(" ".join(query), [passage])[0] == np.float32(expected)


def test_several_labels_need_one_named(models: Build) -> None:
    folder = models("bert", task="classify", labels=("no", "perhaps", "yes"))

    with pytest.raises(ConfigError, match=r"3 labels \(no, perhaps, yes\).*--rerank-label yes"):
        load_cross_encoder(str(folder))
    with pytest.raises(ConfigError, match="did you mean 'yes'"):
        load_cross_encoder(str(folder), label="yess")

    found = {
        label: load_cross_encoder(str(folder), label=label).scores(QUERY, PASSAGES)
        for label in ("no", "perhaps", "yes")
    }
    # Log-odds are the logits of the probabilities, which add up to 1.
    probabilities = sum(1 / (1 + np.exp(-scores)) for scores in found.values())
    np.testing.assert_allclose(probabilities, 1, rtol=1e-5)
    expected = reference(folder, [(QUERY, passage) for passage in PASSAGES])
    assert (
        found["yes"].argsort().tolist()
        == torch.softmax(torch.tensor(expected), 1).numpy()[:, 2].argsort().tolist()
    )


def test_what_is_no_cross_encoder_is_refused(models: Build) -> None:
    with pytest.raises(ModelError, match="--rerank needs a checkpoint of ForSequenceClass"):
        load_cross_encoder(str(models("bert")))
    with pytest.raises(InputError, match="nothing to search for"):
        load_cross_encoder(str(one_label(models, "bert"))).scores(" \u200b", ["a"])
