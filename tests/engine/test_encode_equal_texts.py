"""Documents of the same text in a unit: encoded once, with the rows that each has by itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.texts import long_text
from torch import Tensor

from longbert.config import ModelConfig
from longbert.core.windows import Window
from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.models import load_models
from longbert.engine.batches import DocumentState, Slot
from longbert.engine.encode import encode_documents
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]


def comparable(result: Any) -> Any:
    """A result, comparable to the bit."""
    assert isinstance(result, DocumentResult)
    assert result.embedding is not None
    vectors = [one.embedding.tobytes() for one in result.passages if one.embedding is not None]
    plain = replace(result, embedding=None, passages=())
    return plain, result.embedding.tobytes(), vectors


def test_equal_texts_are_encoded_once(models: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_models(
        ModelConfig(
            embed=str(models("bert", backbone_seed=4)),
            classify=(str(models("bert", task="classify", backbone_seed=4)),),
            ner=(str(models("bert", task="ner", backbone_seed=4)),),
            window=32,
            passage=10,
            precision="float32",
            window_scores=True,
        )
    )
    n_rows = []
    hidden_states = Backbone.hidden_states

    def counted(self: Backbone, batch: WindowBatch, **options: Any) -> tuple[Tensor, ...]:
        n_rows.append(len(batch.input_ids))
        return hidden_states(self, batch, **options)

    monkeypatch.setattr(Backbone, "hidden_states", counted)
    short, long = long_text(12, seed=12), long_text(60, seed=60)
    texts = [short, long, *[short] * 9, f"{short} {short}", long, " "]
    documents = [Document(f"d{n}", text, {"n": str(n)}) for n, text in enumerate(texts)]

    alone, rows_of = [], {}
    for one in documents:
        n_rows.clear()
        alone += encode_documents(loaded, [one], passage_tokens=10)
        rows_of[one.text] = sum(n_rows)
    n_rows.clear()
    together = list(encode_documents(loaded, documents, passage_tokens=10))

    assert list(map(comparable, together[:-1])) == list(map(comparable, alone[:-1]))
    assert str(together[-1]) == str(alone[-1])
    assert sum(n_rows) == sum(rows_of.values())


def test_each_text_is_given_once_while_others_are_encoded(models: Build) -> None:
    loaded = load_models(ModelConfig(embed=str(models("bert")), window=32, passage=10))
    texts = [long_text(12, seed=seed) for seed in (1, 2, 1)] + [" "]
    documents = [Document(f"d{n}", text) for n, text in enumerate(texts)]
    given: list[str] = []

    results = encode_documents(loaded, documents, passage_tokens=10, meanwhile=given.append)

    assert not given
    next(results)
    assert sorted(given) == sorted(texts[:2])
    list(results)
    assert len(given) == 2


def test_windows_go_with_the_last_reference_to_them() -> None:
    state = DocumentState(Document("a", "text"))
    window = TokenWindow(np.zeros(1, np.int32), Window(0, 1, 0, 1), is_first=True, is_last=True)
    state.slots = [Slot(state, window)]
    document = weakref.ref(state)
    gc.disable()
    try:
        assert len(state.release()) == 1
        assert not state.slots
        del state
        assert document() is None
    finally:
        gc.enable()
