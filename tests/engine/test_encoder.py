"""Documents of many windows, put together by hand from the plain models of transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.texts import long_text
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

import longbert
from longbert.core.entity_decoding import decode_entities
from longbert.core.tag_scheme import TagScheme
from longbert.records import DocumentResult

Build = Callable[..., Path]

TEXT = long_text(130, seed=12)
SIZE, OVERLAP, PASSAGE = 22, 7, 6
N_SPECIAL = 2


@dataclass
class Windows:
    """A document cut by hand.

    Attributes:
        starts: first content token of each window.
        owners: the window with most context around each token.
    """

    tokenizer: Any
    ids: list[int]
    offsets: np.ndarray
    starts: list[int]
    owners: list[int]

    @classmethod
    def cut(cls, folder: Path) -> Windows:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoded = tokenizer(TEXT, add_special_tokens=False, return_offsets_mapping=True)
        ids = encoded["input_ids"]
        last = len(ids) - SIZE
        starts = [*range(0, last, SIZE - OVERLAP), last]
        assert len(starts) > 8

        def context(window: int, token: int) -> int:
            start = starts[window]
            return min(token - start, start + SIZE - 1 - token)

        owners = [
            max(range(len(starts)), key=lambda window, token=token: context(window, token))
            for token in range(len(ids))
        ]
        return cls(tokenizer, ids, np.array(encoded["offset_mapping"]), starts, owners)

    def outputs(self, model: Any, output: str) -> list[np.ndarray]:
        """What a model gives for each window alone. Shape of each: (positions, width)."""
        found = []
        for start in self.starts:
            content = self.ids[start : start + SIZE]
            first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
            with torch.no_grad():
                given = model(input_ids=torch.tensor([[first, *content, last]]))
            found.append(given[output][0].numpy())
        return found

    def owned(self, outputs: list[np.ndarray]) -> np.ndarray:
        """Each token's output in the window that owns it. Shape: (n_tokens, width)."""
        rows = [
            outputs[window][1 + token - self.starts[window]]
            for token, window in enumerate(self.owners)
        ]
        return np.stack(rows)

    @property
    def counts(self) -> np.ndarray:
        """Tokens that each window owns, as weights. Shape: (n_windows, 1)."""
        return np.bincount(self.owners)[:, None]


def encode(**settings: Any) -> DocumentResult:
    common = {"embed": "none", "window": SIZE + N_SPECIAL, "overlap": OVERLAP, "passage": PASSAGE}
    return longbert.load(**{**common, "precision": "float32", **settings})(TEXT)


def passage_vectors(result: DocumentResult) -> np.ndarray:
    vectors = [passage.embedding for passage in result.passages]
    return np.stack([vector for vector in vectors if vector is not None])


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_mean_pooled_vectors(models: Build, family: str) -> None:
    folder = models(family)
    windows = Windows.cut(folder)
    outputs = windows.outputs(AutoModel.from_pretrained(folder).eval(), "last_hidden_state")

    result = encode(embed=str(folder))

    assert (result.n_tokens, result.n_windows) == (len(windows.ids), len(windows.starts))
    states = windows.owned(outputs)
    specials = [outputs[0][:1], outputs[-1][-1:]]
    assert result.embedding == pytest.approx(
        np.concatenate([states, *specials]).mean(axis=0), abs=1e-5
    )
    firsts = range(0, len(windows.ids), PASSAGE)
    assert passage_vectors(result) == pytest.approx(
        np.stack([states[first : first + PASSAGE].mean(axis=0) for first in firsts]), abs=1e-5
    )
    # White space before a passage belongs to the one before it.
    starts = [int(windows.offsets[first, 0]) for first in firsts]
    assert [passage.char_start for passage in result.passages] == [
        len(TEXT) - len(TEXT[start:].lstrip()) for start in starts
    ]


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_vectors_of_other_poolings(models: Build, pooling: str) -> None:
    files = {"pooling": pooling, "normalize": False}
    folder = models("bert", sentence_transformers=files)
    windows = Windows.cut(folder)
    model = AutoModel.from_pretrained(folder).eval()
    outputs = windows.outputs(model, "last_hidden_state")

    result = encode(embed=str(folder))

    if pooling == "cls":
        firsts = np.stack([states[0] for states in outputs])
        expected = (firsts * windows.counts).sum(axis=0) / len(windows.ids)
    else:
        expected = np.concatenate(outputs).max(axis=0)
    assert result.embedding == pytest.approx(expected, abs=1e-5)
    first, last = windows.tokenizer.cls_token_id, windows.tokenizer.sep_token_id
    alone = []
    for start in range(0, len(windows.ids), PASSAGE):
        ids = torch.tensor([[first, *windows.ids[start : start + PASSAGE], last]])
        with torch.no_grad():
            states = model(input_ids=ids).last_hidden_state[0].numpy()
        alone.append(states[0] if pooling == "cls" else states.max(axis=0))
    assert passage_vectors(result) == pytest.approx(np.stack(alone), abs=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "vote"])
def test_classes(models: Build, pooling: str) -> None:
    folder = models("bert", task="classify", labels=("a", "b", "c"))
    windows = Windows.cut(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    logits = np.stack(windows.outputs(model, "logits"))

    result = encode(classify=str(folder), classify_pooling=pooling)

    votes = [windows.counts[logits.argmax(axis=1) == label].sum() for label in range(3)]
    pooled = {
        "mean": (logits * windows.counts).sum(axis=0) / len(windows.ids),
        "max": logits.max(axis=0),
        "first": logits[0],
        "vote": np.log(np.array(votes) + 0.5),
    }[pooling]
    expected = np.exp(pooled) / np.exp(pooled).sum()
    assert [row.score for row in result.classifications] == pytest.approx(expected, abs=1e-5)
    assert [row.predicted for row in result.classifications].index(True) == expected.argmax()


def test_classes_of_each_window(models: Build) -> None:
    folder = models("bert", task="classify", labels=("a", "b", "c"))
    windows = Windows.cut(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    logits = np.stack(windows.outputs(model, "logits"))

    assert encode(classify=str(folder)).window_scores == ()
    rows = encode(classify=str(folder), window_scores=True).window_scores

    assert [(row.window, row.label) for row in rows] == [
        (window, label) for window in range(len(windows.starts)) for label in "abc"
    ]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert [row.score for row in rows] == pytest.approx(expected.ravel(), abs=1e-5)
    # What a window owns begins with its first token and ends where the next window's begins.
    firsts = [windows.offsets[windows.owners.index(i), 0] for i in range(len(windows.starts))]
    assert [row.char_start for row in rows[::3]] == [0, *firsts[1:]]
    assert [row.char_end for row in rows[::3]] == [*firsts[1:], len(TEXT)]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_classes_of_the_first_and_last_tokens(models: Build, family: str) -> None:
    folder = models(family, task="classify", labels=("a", "b", "c"))
    windows = Windows.cut(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    n_first = (SIZE + 2) // 4
    ends = [*windows.ids[:n_first], *windows.ids[n_first - SIZE :]]
    assert len(ends) == SIZE < len(windows.ids)
    tokenizer = windows.tokenizer
    ids = torch.tensor([[tokenizer.cls_token_id, *ends, tokenizer.sep_token_id]])
    with torch.no_grad():
        expected = model(input_ids=ids).logits[0].softmax(-1).numpy()

    result = encode(classify=str(folder), classify_pooling="head+tail", window_scores=True)

    assert [row.score for row in result.classifications] == pytest.approx(expected, abs=1e-5)
    assert [(row.char_start, row.char_end) for row in result.window_scores] == 3 * [(0, len(TEXT))]
    # No other head reads what lies between, and the count says so.
    assert 0 < result.n_chars_covered < len(TEXT)
    assert result.n_windows == 1


@pytest.mark.parametrize("stitching", ["average", "taper"])
def test_entities_from_all_windows_of_a_token(models: Build, stitching: str) -> None:
    folder = models("bert", task="ner")
    windows = Windows.cut(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    totals = np.zeros((len(windows.ids), 7))
    weights = np.zeros((len(windows.ids), 1))
    for start, logits in zip(windows.starts, windows.outputs(model, "logits"), strict=True):
        content = logits[1:-1]
        for position, row in enumerate(np.exp(content) / np.exp(content).sum(1, keepdims=True)):
            distance = min(position, len(content) - 1 - position)
            weight = 1 if stitching == "average" else 1 + distance
            totals[start + position] += weight * row
            weights[start + position] += weight

    options = {"entity_strategy": "simple", "entity_decoding": "viterbi"}
    result = encode(ner=str(folder), entity_stitching=stitching, **options)

    expected = decode_entities(
        (totals / weights).astype(np.float32),
        windows.offsets,
        np.ones(len(totals), bool),
        text=TEXT,
        scheme=TagScheme.from_id2label(model.config.id2label, source="bert"),
        strategy="simple",
        decoding="viterbi",
    )
    assert [(e.label, e.char_start, e.char_end) for e in result.entities] == [
        (e.span.label, e.span.char_start, e.span.char_end) for e in expected
    ]
    assert result.entities != encode(ner=str(folder), **options).entities


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_entities(models: Build, family: str) -> None:
    folder = models(family, task="ner")
    windows = Windows.cut(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    logits = windows.owned(windows.outputs(model, "logits"))

    result = encode(ner=str(folder), entity_strategy="simple")

    expected = decode_entities(
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        windows.offsets,
        np.ones(len(logits), bool),
        text=TEXT,
        scheme=TagScheme.from_id2label(model.config.id2label, source=family),
        strategy="simple",
    )
    assert [(e.label, e.char_start, e.char_end) for e in result.entities] == [
        (e.span.label, e.span.char_start, e.span.char_end) for e in expected
    ]
    assert [e.score for e in result.entities] == pytest.approx(
        [e.score for e in expected], abs=1e-5
    )
    # Some entities cross the border of two windows' owned tokens.
    borders = [
        windows.offsets[token, 0]
        for token in range(1, len(windows.owners))
        if windows.owners[token] != windows.owners[token - 1]
    ]
    assert any(e.char_start < border < e.char_end for e in result.entities for border in borders)
