"""Invariant 3, offsets: they count the characters of the caller's own text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.encoding import encode, hostile_documents, load

from longbert.core.stitching import ScoredRun
from longbert.encoders.heads.token_classification import EntityPartial

Models = Callable[..., Path]

PREFIX_FREE = ("O", "PER", "LOC", "ORG", "DATE")


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "modernbert", "deberta-v3"])
def test_invariant_3_offsets_of_entities_and_passages(models: Models, family: str) -> None:
    folder = models(family, task="ner", labels=PREFIX_FREE)
    encoder = load(ner=folder, window=21, overlap=8, passage=5)
    n_entities = 0
    for result in encode(encoder, hostile_documents(500), 5):
        text = result.document.text
        last_end = 0
        for entity in result.entities:
            assert last_end <= entity.char_start < entity.char_end <= len(text)
            assert entity.text == text[entity.char_start : entity.char_end].strip()
            last_end = entity.char_end
        for passage in result.passages:
            assert passage.text == text[passage.char_start : passage.char_end]
        n_entities += len(result.entities)
    assert n_entities > 100


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert"])
def test_invariant_3_offsets_of_known_names(models: Models, family: str) -> None:
    labels = ("O", "NAME")
    encoder = load(ner=models(family, task="ner", labels=labels), window=64)
    (pass_,) = encoder.models.passes
    (head,) = pass_.heads
    names = ["Jose\u0301", "Zu\u0308rich", "Åsa", "\u1109\u1165\u110b\u116e\u11af", "北"]
    for before in ("", "\x01\x7f ", "\ufeff ", "a\x00 ", "\u0301 ", "👩\u200d🚀 ", "\r\n"):
        text = before + " ".join(names)
        tokens = pass_.tokenizer.tokenize(text)
        found = set()
        # Every second word is a name, then all the others.
        for remainder in (0, 1):
            is_name = tokens.starts_word.cumsum() % 2 == remainder
            scores = np.stack([~is_name, is_name], axis=1).astype(np.float32)
            partial = EntityPartial((ScoredRun(0, scores),))
            entities = head.finish(text, tokens, partial).entities
            found |= {entity.text for entity in entities}
        assert found >= set(names), ascii(before)
