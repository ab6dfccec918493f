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
from support.hf_entities import entity_pipeline, promised
from support.texts import SCRIPTS, long_text
from transformers.pipelines.token_classification import AggregationStrategy

from longbert.config import ENTITY_STRATEGIES
from longbert.core.entity_decoding import decode_entities
from longbert.core.tag_scheme import TagScheme
from longbert.core.words import reached_before
from longbert.encoders.tokenizers.fast import FastTokenizer

Models = Callable[..., Path]

# Of each kind of tokenizer: WordPiece, byte-level BPE with and without spaces in its spans,
# Unigram with and without spaces in its spans.
FAMILIES = ("bert", "bert-cased", "roberta", "modernbert", "xlm-roberta", "albert", "deberta-v3")
SCHEMES = {
    "BIO": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "IOB1": ("I-PER", "I-LOC", "O", "B-LOC", "B-PER"),
    "BIO_": ("O", "B_PER", "I_PER", "B_LOC", "I_LOC"),
    "no inner label": ("O", "B-PER", "B-LOC"),
    "prefix-free": ("O", "PER", "LOC"),
    "of one type": ("PER", "O"),
}
# Without marks after letters, which belong to the letters here and not there, and without Hangul,
# which the pipeline takes for parts of words where a tokenizer decomposes it.
TEXT = " ".join([*long_text(60, seed=3).split(), *SCRIPTS[:7], "½ of Žilina — 王 ﬁn"])


@pytest.fixture(scope="module")
def pipeline_of(models: Models) -> Callable[[str, bool], Any]:
    @lru_cache
    def build(family: str, words_apart: bool) -> Any:
        return entity_pipeline(models(family, task="ner"), words_apart=words_apart)

    return build


def check(data: st.DataObject, reference: Any, family: str, text: str) -> None:
    """Decode drawn scores both ways."""
    scheme = data.draw(st.sampled_from(sorted(SCHEMES)), "scheme")
    strategy = data.draw(st.sampled_from(ENTITY_STRATEGIES), "strategy")
    labels = SCHEMES[scheme]
    tokens = FastTokenizer.from_transformers(reference.tokenizer, name=family).tokenize(text)
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
        text=text,
        scheme=TagScheme.from_id2label(dict(enumerate(labels)), source="model"),
        strategy=strategy,
    )

    reference.model.config.id2label = {i: label.replace("_", "-") for i, label in enumerate(labels)}
    aggregation = AggregationStrategy(strategy)
    encoded = reference.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    gathered = reference.gather_pre_entities(
        text,
        tokens.ids,
        scores,
        encoded["offset_mapping"],
        np.zeros(len(tokens)),
        aggregation,
    )
    entities = reference.aggregate(gathered, aggregation)
    expected = list(promised(text, [one for one in entities if one["entity_group"] != "O"]))
    assert [(one.span.label, one.span.char_start, one.span.char_end) for one in found] == [
        (label, start, end) for label, start, end, _ in expected
    ]
    assert [one.score for one in found] == pytest.approx(
        [score for *_, score in expected], rel=1e-5
    )


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_entities_equal_those_of_the_pipeline_but_for_shared_characters(
    pipeline_of: Callable[[str, bool], Any], family: str, data: st.DataObject
) -> None:
    check(data, pipeline_of(family, True), family, TEXT)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_entities_equal_those_of_the_pipeline_but_for_white_space(
    pipeline_of: Callable[[str, bool], Any], family: str, data: st.DataObject
) -> None:
    """The pipeline as it is, on words of which no two tokens share a character."""
    reference = pipeline_of(family, False)
    tokenizer = FastTokenizer.from_transformers(reference.tokenizer, name=family)

    def is_apart(word: str) -> bool:
        offsets = tokenizer.tokenize(word).offsets
        return bool((offsets[:, 0] >= reached_before(offsets)).all())

    words = [word for word in long_text(100, seed=3).split() if is_apart(word)]
    assert len(words) > 50
    check(data, reference, family, " ".join(words))
