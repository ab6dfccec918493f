"""Windows of the same tokens within a unit: encoded once, with the rows that each has by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.texts import long_text
from torch import Tensor

from longbert.config import ModelConfig
from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import WindowBatch
from longbert.encoders.models import Models, load_models
from longbert.engine.encode import encode_documents
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def loaded(models: Build) -> Models:
    return load_models(
        ModelConfig(
            embed=str(models("bert", backbone_seed=4)),
            classify=(str(models("bert", task="classify", backbone_seed=4)),),
            ner=(str(models("bert", task="ner", backbone_seed=4)),),
            window=32,
            passage=10,
            precision="float32",
            # Fewer rows than there are equal windows.
            batch_tokens=128,
            window_scores=True,
        )
    )


@pytest.fixture
def n_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each batch that goes through the encoder."""
    found = []
    hidden_states = Backbone.hidden_states

    def counted(self: Backbone, batch: WindowBatch, **options: Any) -> tuple[Tensor, ...]:
        found.append(len(batch.input_ids))
        return hidden_states(self, batch, **options)

    monkeypatch.setattr(Backbone, "hidden_states", counted)
    return found


def encode(models: Models, texts: Sequence[str]) -> list[Any]:
    """Results of a unit, comparable to the bit."""
    documents = [Document(f"d{n}", text) for n, text in enumerate(texts)]
    found = []
    for result in encode_documents(models, documents, passage_tokens=10):
        assert isinstance(result, DocumentResult)
        assert result.embedding is not None
        vectors = [p.embedding.tobytes() for p in result.passages if p.embedding is not None]
        plain = replace(result, document=Document("", ""), embedding=None, passages=())
        found.append((plain, result.embedding.tobytes(), vectors))
    return found


def test_equal_texts_have_the_rows_of_one(loaded: Models, n_rows: list[int]) -> None:
    # Templates: a short one often, a long one twice, and texts that begin like others.
    short, long, other = (long_text(n, seed=n) for n in (12, 60, 61))
    texts = [short, long, *[short] * 9, other, long, f"{short} {short}", long_text(13, seed=12)]
    expected = {text: encode(loaded, [text])[0] for text in dict.fromkeys(texts)}
    n_alone = sum(n_rows)
    n_rows.clear()
    found = encode(loaded, texts)
    for text, result in zip(texts, found, strict=True):
        assert result == expected[text]
    assert sum(n_rows) == n_alone
    assert max(n_rows) <= 128 // 16


def test_a_text_that_repeats_itself_has_windows_of_its_own(
    loaded: Models, n_rows: list[int]
) -> None:
    """Its windows have the same tokens, but lie at different places."""
    word = long_text(1, seed=3).split()[0]
    whole = encode(loaded, [" ".join([word] * 200)])
    assert sum(n_rows) < whole[0][0].n_windows
    (result,) = whole
    assert len({tuple(one.score for one in result[0].window_scores)}) == 1
    assert result[0].n_chars_covered == result[0].n_chars
