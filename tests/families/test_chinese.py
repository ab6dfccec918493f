"""Chinese end to end: no white space, one token a character, full-width punctuation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import command, problems, rows
from support.texts import SCRIPTS
from transformers import AutoTokenizer, pipeline

import longbert
from longbert.config import ENTITY_STRATEGIES
from longbert.encoders.tokenizers.fast import FastTokenizer

Models = Callable[..., Path]

KNOWN = sorted({char for line in SCRIPTS for char in line if "\u4e00" <= char <= "\u9fff"})
"""Ideographs of the vocabulary."""
UNKNOWN = "\U0002a6d6龘"
PUNCTUATION = "，。！？：；（）「」《》、……——"
MIXED = (
    "BERT",
    "iPhone15",
    "2024年",
    "Ｆｕｌｌ",
    "①",
    "３０％",
    "😀",
    "👩\u200d🚀",
    "e\u0301",
    "O2O",
)


def chinese(n_sentences: int, *, seed: int, line_break: str = "\r\n") -> str:
    """Sentences without white space, in lines of some of them."""
    draw = random.Random(seed)
    parts: list[str] = []
    for sentence in range(1, n_sentences + 1):
        parts += draw.choices(KNOWN, k=draw.randint(4, 30))
        parts += draw.choice(MIXED), *draw.choices(KNOWN, k=3), draw.choice(PUNCTUATION)
        if sentence % 5 == 0:
            parts += draw.choice(UNKNOWN), "\u3000", line_break
    return "".join(parts)


TEXT = chinese(60, seed=3)


@dataclass(frozen=True)
class Done:
    """A run of the installed command over the text.

    Attributes:
        raw: offsets of the tokens as the library itself gives them.
    """

    output: Path
    ner: Path
    raw: list[tuple[int, int]]
    n_unknown: int

    def rows(self, table: str) -> list[dict[str, Any]]:
        return rows(self.output, table)


@pytest.fixture(scope="module")
def done(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Done:
    place = tmp_path_factory.mktemp("chinese")
    options = {"backbone_seed": 2}
    embed = models("bert-chinese", sentence_transformers={"max_seq_length": 64}, **options)
    ner = models("bert-chinese", task="ner", seed=4, **options)
    classify = models("bert-chinese", task="classify", seed=5, **options)
    (place / "文档.txt").write_bytes(TEXT.encode())
    result = command(
        *("run", "--input", place / "文档.txt", "--output", place / "out", "--runner", "none"),
        *("--embed", embed, "--classify", classify, "--ner", ner, "--precision", "float32"),
        *("--passage", "20", "--entity-strategy", "first"),
    )
    assert result.returncode == 0, result.stderr
    tokenizer = AutoTokenizer.from_pretrained(ner)
    encoded = tokenizer(TEXT, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    unknown = [
        end - start
        for id_, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if id_ == tokenizer.unk_token_id
    ]
    return Done(place / "out", ner, encoded["offset_mapping"], sum(unknown))


def test_the_document_is_whole(done: Done) -> None:
    (document,) = done.rows("documents")
    assert document["document_id"] == "文档.txt"
    assert document["n_chars"] == document["n_chars_covered"] == len(TEXT)
    assert document["n_tokens"] == len(done.raw)
    assert document["n_windows"] > 10
    assert problems(done.output) == []
    assert done.rows("errors") == []
    assert len(done.rows("classifications")) == 2


def test_unknown_characters_are_counted(done: Done) -> None:
    (document,) = done.rows("documents")
    assert document["n_chars_unknown"] == done.n_unknown
    assert done.n_unknown >= sum(TEXT.count(char) for char in UNKNOWN) >= 12


def test_passages_begin_where_their_tokens_do(done: Done) -> None:
    passages = done.rows("passages")
    assert "".join(passage["text"] for passage in passages) == TEXT
    starts = [0, *(done.raw[token][0] for token in range(20, len(done.raw), 20))]
    assert [passage["char_start"] for passage in passages] == starts
    ends = [passage["char_end"] for passage in passages]
    assert ends == [*starts[1:], len(TEXT)]
    for passage in passages:
        assert passage["text"] == TEXT[passage["char_start"] : passage["char_end"]]


def test_entities_stand_where_they_say(done: Done) -> None:
    entities = done.rows("entities")
    assert len(entities) > 20
    starts, ends = {start for start, _ in done.raw}, {end for _, end in done.raw}
    # An accent of its own character, which the library leaves out, belongs to its letter.
    ends |= {end + 1 for end in ends if TEXT[end : end + 1] == "\u0301"}
    for entity in entities:
        start, end = entity["char_start"], entity["char_end"]
        assert entity["text"] == TEXT[start:end] != ""
        assert start in starts
        assert end in ends
    for left, right in pairwise(entities):
        assert left["char_end"] <= right["char_start"]


def test_an_ideograph_is_a_word_of_its_own(models: Models) -> None:
    folder = models("bert-chinese")
    tokens = FastTokenizer.from_transformers(
        AutoTokenizer.from_pretrained(folder), name="x"
    ).tokenize(TEXT)
    starts = set(tokens.offsets[tokens.starts_word, 0].tolist())
    for i, char in enumerate(TEXT):
        if "\u4e00" <= char <= "\u9fff" or char in PUNCTUATION:
            assert i in starts, TEXT[i - 2 : i + 2]
    assert len(starts) < len(tokens)


@pytest.mark.parametrize("strategy", ENTITY_STRATEGIES)
def test_entities_are_those_of_the_pipeline(models: Models, done: Done, strategy: str) -> None:
    text = chinese(4, seed=9, line_break="\n")
    reference = pipeline("token-classification", model=str(done.ner), device="cpu")
    expected = reference(text, aggregation_strategy=strategy)
    found = longbert.load(
        embed="none", ner=str(done.ner), entity_strategy=strategy, precision="float32"
    )(text)
    assert found.n_windows == 1
    assert len(expected) > 5
    assert [(one.label, one.char_start, one.char_end) for one in found.entities] == [
        (entity["entity_group"], entity["start"], entity["end"]) for entity in expected
    ]
    scores = np.array([one.score for one in found.entities])
    assert scores == pytest.approx([entity["score"] for entity in expected], rel=1e-5)
