"""Entities decoded from the same label scores as the pipeline of transformers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.texts import long_text
from transformers import pipeline
from transformers.pipelines.token_classification import AggregationStrategy

from longbert.config import ENTITY_STRATEGIES
from longbert.core.entity_decoding import TagScheme, decode_entities
from longbert.encoders.tokenizers.fast import FastTokenizer

Models = Callable[..., Path]

SCHEMES = {
    "BIO": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "IOB1": ("I-PER", "I-LOC", "O", "B-LOC", "B-PER"),
    "BIO_": ("O", "B_PER", "I_PER", "B_LOC", "I_LOC"),
    "no inner label": ("O", "B-PER", "B-LOC"),
    "prefix-free": ("O", "PER", "LOC"),
    "of one type": ("PER", "O"),
}
TEXT = " ".join(long_text(60, seed=3).split())


@pytest.fixture(scope="module")
def pipeline_of(models: Models) -> Callable[[str], Any]:
    @lru_cache
    def build(family: str) -> Any:
        return pipeline("token-classification", model=str(models(family, task="ner")), device="cpu")

    return build


@pytest.mark.parametrize("family", ["bert", "bert-cased", "roberta"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_entities_equal_those_of_the_pipeline(
    pipeline_of: Callable[[str], Any], family: str, data: st.DataObject
) -> None:
    reference = pipeline_of(family)
    scheme = data.draw(st.sampled_from(sorted(SCHEMES)), "scheme")
    strategy = data.draw(st.sampled_from(ENTITY_STRATEGIES), "strategy")
    labels = SCHEMES[scheme]
    tokens = FastTokenizer(reference.tokenizer, name=family).tokenize(TEXT)
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    rows = np.random.default_rng(seed).dirichlet([0.4] * len(labels), len(tokens))
    scores = rows.astype(np.float32)
    # Longer entities than chance makes.
    repeats = data.draw(st.integers(1, 4), "repeats")
    scores = np.repeat(scores[::repeats], repeats, axis=0)[: len(tokens)]

    found = decode_entities(
        scores,
        tokens.offsets,
        tokens.starts_word,
        scheme=TagScheme.from_id2label(dict(enumerate(labels)), source="model"),
        strategy=strategy,
    )

    reference.model.config.id2label = {i: label.replace("_", "-") for i, label in enumerate(labels)}
    aggregation = AggregationStrategy(strategy)
    gathered = reference.gather_pre_entities(
        TEXT,
        tokens.ids,
        scores,
        [tuple(span) for span in tokens.offsets.tolist()],
        np.zeros(len(tokens)),
        aggregation,
    )
    expected = [
        entity
        for entity in reference.aggregate(gathered, aggregation)
        if entity["entity_group"] != "O" and entity["start"] < entity["end"]
    ]
    assert [(e.label, e.char_start, e.char_end) for e in found] == [
        (entity["entity_group"], entity["start"], entity["end"]) for entity in expected
    ]
    assert [entity.score for entity in found] == pytest.approx(
        [entity["score"] for entity in expected], rel=1e-5
    )
