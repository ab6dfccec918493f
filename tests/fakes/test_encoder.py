"""Rows by the encoder that counts are what one gets by hand, token by token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.encoding import token_windows
from support.runs import files_of, problems, rows, run_on, some_texts, write_texts

import longbert
from fakes.encoder import CLASSES, LABELS, FakeTokenizer, fake_models, fake_vectors, window_states
from longbert.config import ModelConfig
from longbert.core.windows import split_windows
from longbert.encoders.batch import TokenWindow
from longbert.engine.encode import encode_documents
from longbert.records import Document, DocumentResult
from longbert.store.filesystem import LocalFileSystem

CONFIG = ModelConfig(
    embed="fake", classify=("tone",), ner=("names",), window=12, overlap=3, passage=4
)
SETTINGS = {
    "embed": "fake",
    "classify": ["tone"],
    "ner": ["names"],
    "window": 12,
    "window_scores": True,
    "unit_bytes": 1500,
}


def states_of(text: str) -> np.ndarray:
    """Each token's state from the window that owns it."""
    tokens = FakeTokenizer().tokenize(text)
    owned = {}
    for window in token_windows(tokens, split_windows(len(tokens), size=10, overlap=3)):
        place = window.window
        states = window_states(window)
        for token in range(place.owned_start, place.owned_stop):
            assert token not in owned
            owned[token] = states[token - place.start]
    return np.array([owned[token] for token in range(len(tokens))])


def test_rows_are_those_by_hand() -> None:
    text = some_texts(1, n_words=70)["00.txt"]
    states = states_of(text)
    spans = FakeTokenizer().tokenize(text).offsets.tolist()

    (result,) = encode_documents(fake_models(CONFIG), [Document("a", text)], passage_tokens=4)

    assert isinstance(result, DocumentResult)
    assert result.n_tokens == len(states) > 50
    assert result.embedding is not None
    assert result.embedding.tolist() == states.mean(axis=0).astype(np.float32).tolist()
    for number, passage in enumerate(result.passages):
        of_passage = states[4 * number : 4 * number + 4]
        assert passage.embedding is not None
        assert passage.embedding.tolist() == of_passage.mean(axis=0).astype(np.float32).tolist()
    n_low = sum(state[0] < 0 for state in states.tolist())
    scores = [(row.label, row.score, row.predicted) for row in result.classifications]
    shares = [n_low / len(states), 1 - n_low / len(states)]
    assert scores == [
        (label, pytest.approx(share), share == max(shares))
        for label, share in zip(CLASSES, shares, strict=True)
    ]
    covered = {}
    for entity in result.entities:
        assert entity.text == text[entity.char_start : entity.char_end] != ""
        for token, (start, end) in enumerate(spans):
            if entity.char_start <= start and end <= entity.char_end:
                covered[token] = entity.label
    wanted = {
        token: LABELS[1 + state[1] % 2]
        for token, state in enumerate(states.tolist())
        if state[0] % 3 == 0
    }
    assert covered == wanted
    assert len(result.entities) > 5


def test_a_whole_run_and_a_search(tmp_path: Path) -> None:
    texts = some_texts(6) | {"empty.txt": " \n"}
    docs = write_texts(tmp_path / "docs", texts)
    for name in ("one", "two"):
        run_on(LocalFileSystem(), docs, tmp_path / name, load=fake_models, **SETTINGS)
    output = tmp_path / "one"
    assert files_of(output) == files_of(tmp_path / "two")
    assert problems(output) == []
    assert len(rows(output, "documents")) == 6
    assert [row["error"] for row in rows(output, "errors")] == ["no_tokens"]
    for table in ("passages", "entities", "classifications", "window_scores"):
        assert rows(output, table), table
    hits = longbert.open(output).like("03.txt", k=3)
    assert len(hits) == 3


def test_every_batch_can_be_watched() -> None:
    seen: list[int] = []

    def watch(windows: list[TokenWindow]) -> None:
        seen.append(len(windows))
        if len(windows) > 1:
            raise MemoryError

    models = fake_models(CONFIG, watch=watch)
    (result,) = encode_documents(models, [Document("a", "a b c " * 20)], passage_tokens=4)
    (undisturbed,) = encode_documents(
        fake_models(CONFIG), [Document("a", "a b c " * 20)], passage_tokens=4
    )
    assert isinstance(result, DocumentResult)
    assert isinstance(undisturbed, DocumentResult)
    assert max(seen) > 1
    assert result.entities == undisturbed.entities
    assert result.n_windows == seen.count(1)


def test_vectors_of_queries_are_those_of_documents() -> None:
    text = "who paid the invoice"
    (result,) = encode_documents(fake_models(CONFIG), [Document("a", text)], passage_tokens=4)
    assert isinstance(result, DocumentResult)
    assert result.embedding is not None
    assert fake_vectors([text, "x"])[0].tolist() == result.embedding.tolist()
