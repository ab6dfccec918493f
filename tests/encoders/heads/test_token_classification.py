"""Entities of every kind of tokenizer, however they are decoded: whole, apart, and exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.models import FAMILIES
from support.texts import HOSTILE_TEXTS, SCRIPTS, long_text
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longbert.config import ENTITY_DECODINGS, ENTITY_STITCHINGS, ENTITY_STRATEGIES
from longbert.core.spans import span_problems
from longbert.core.windows import split_windows
from longbert.core.words import reached_before
from longbert.encoders.heads.token_classification import EntityHead
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer
from longbert.encoders.tokenizers.load import wrap_tokenizer
from longbert.encoders.tokenizers.prompts import PromptedTokenizer
from longbert.records import Entity

Models = Callable[..., Path]

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
PLAIN = ("O", "PER", "LOC")
BIOES = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES"))

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "bertweet, normalizing": {"tokenizer": {"normalization": True}},
    "phobert": {"tokenizer": {"tokenizer_class": "PhobertTokenizer"}},
    "roberta, space first": {"tokenizer": {"add_prefix_space": True}},
}
NAMES = (
    *FAMILIES,
    *OPTIONS,
    *(
        "byte fallback",
        "no pre-tokenizer",
        "spaced tokens",
        "xlm-roberta, prompt",
        "roberta, prompt",
    ),
)


@lru_cache
def byte_fallback() -> Any:
    """SentencePiece's BPE, which spells letters it does not know in bytes."""
    backend = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    known = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=known, show_progress=False)
    backend.train_from_iterator([long_text(400)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


@lru_cache
def no_pre_tokenizer() -> Any:
    """A byte-level BPE whose tokens may reach over white space, line feeds and words."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    lines = [long_text(300), "of the \n\n  of the\u3000of the\u00a0 of the " * 30]
    backend.train_from_iterator(lines, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def with_spaced_tokens(tokenizer: Any) -> Any:
    """Added tokens that hold white space or take it in on either side."""
    tokenizer.add_tokens(
        [
            tokenizers.AddedToken("New York"),
            tokenizers.AddedToken("[L]", lstrip=True),
            tokenizers.AddedToken("[R]", rstrip=True),
            tokenizers.AddedToken("\u3000"),
        ]
    )
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer_of(models: Models) -> Callable[[str], Tokenizer]:
    @lru_cache
    def build(name: str) -> Tokenizer:
        if name == "byte fallback":
            return wrap_tokenizer(byte_fallback(), name=name)
        if name == "no pre-tokenizer":
            return wrap_tokenizer(no_pre_tokenizer(), name=name)
        if name == "spaced tokens":
            folder = models("xlm-roberta")
            return wrap_tokenizer(
                with_spaced_tokens(AutoTokenizer.from_pretrained(folder)), name=name
            )
        family, _, what = name.partition(", ")
        if what == "prompt":
            return PromptedTokenizer(build(family), "passage: ")
        folder = models("bertweet" if name == "phobert" else family, **OPTIONS.get(name, {}))
        return wrap_tokenizer(AutoTokenizer.from_pretrained(folder), name=name)

    return build


SPACES = (
    *(" ", " ", "  ", "\n", "\r\n", "\t", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\u00a0"),
    *("\u1680", "\u2003", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"),
)
UNSEEN = (
    "\x00",
    "\x07",
    "\x7f",
    "\u00ad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u2060",
    "\ufeff",
)
FRAGMENTS = (
    *SPACES,
    *UNSEEN,
    *("a", "B", "7", "word", "Rotterdam", "it's", "New York", "[L]", "[R]", "x", "İzmir", "Iğdır"),
    *(
        "e\u0301",
        "\u0301",
        "Z\u0335\u0321",
        "é",
        "Å",
        "ﬁ",
        "½",
        "…",
        "㎏",
        "\ufdfa",
        "①",
        "ΑΣ",
        "ẞ",
    ),
    *("😀", "👩\u200d🚀", "🇫🇷", "👍🏽", "北京", "\u3000王", "서울", "\u1109\u1165", "ｶﾞ", "龘"),
    *("שלום", "مرحبا", "\u202bעם\u202c", "क्षि", "ศาล", "\U0002a6d6", "\ufffd", "\ue000"),
    *("[MASK]", "<mask>", "[SEP]", "<s>", "<unk>", "[UNK]", "##ing", "Ġx", "▁", "@@", "</w>"),
    *("@user", "http://t.co/a", "&amp;", "&nbsp;", "&#x110000;", "!!!!", ":)", "``", "''", "."),
)
TEXT = st.lists(
    st.sampled_from(FRAGMENTS) | st.characters(exclude_categories=["Cs"]), max_size=25
).map("".join)


class Fake:
    """A tagger by name; its logits are given to the head, not asked of it."""

    digest = "fake"
    needs_all_layers = needs_word_shapes = False
    temperature = 1.0

    def __init__(self, labels: Sequence[str], transitions: Any = None) -> None:
        self.id2label = dict(enumerate(labels))
        self.transitions = transitions

    def content_logits(self, states: Any, batch: Any) -> Any:
        raise NotImplementedError


def entities_of(
    head: EntityHead,
    text: str,
    tokens: TokenizedText,
    logits: np.ndarray,
    *,
    size: int,
    overlap: int,
) -> tuple[Entity, ...]:
    """As a run finds them, window by window."""
    generator = np.random.default_rng(0)
    partials = []
    for window in split_windows(len(tokens), size=size, overlap=overlap):
        own = logits[window.start : window.stop]
        # Windows disagree where they overlap.
        noise = generator.normal(0, 0.3, own.shape)
        partials.append(head.partial_of((own + noise).astype(np.float32), window))
    return head.finish(text, tokens, head.merge(partials)).entities


def check(text: str, entities: Sequence[Entity]) -> None:
    reached = 0
    for entity in entities:
        assert reached <= entity.char_start < entity.char_end <= len(text)
        assert text[entity.char_start : entity.char_end] == entity.text
        assert not entity.text[0].isspace()
        assert not entity.text[-1].isspace()
        reached = entity.char_end
    rows = [(entity.char_start, entity.char_end, entity.text) for entity in entities]
    assert not list(span_problems(text, rows))


def logits_of(seed: int, n_tokens: int, n_labels: int, *, repeats: int) -> np.ndarray:
    """Labels outside of entities are rare, and some entities long."""
    logits = np.random.default_rng(seed).normal(0, 2, (n_tokens, n_labels))
    logits[:, 0] -= 1
    return np.repeat(logits[::repeats], repeats, axis=0)[:n_tokens]


drawn_settings = st.builds(
    SimpleNamespace,
    labels=st.sampled_from([LABELS, PLAIN, BIOES]),
    strategy=st.sampled_from(ENTITY_STRATEGIES),
    stitching=st.sampled_from(ENTITY_STITCHINGS),
    decoding=st.sampled_from(ENTITY_DECODINGS),
    is_learned=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    repeats=st.integers(1, 4),
    size=st.integers(2, 12),
)


def check_entities(tokenizer: Tokenizer, text: str, drawn: Any) -> int:
    """Decode random logits of a text, and say how many entities there are."""
    tokens = tokenizer.tokenize(text)
    if not len(tokens):
        return 0
    check_tokens(text, tokens)
    labels = LABELS if drawn.is_learned else drawn.labels
    generator = np.random.default_rng(drawn.seed)
    transitions = generator.normal(0, 1, (len(labels), len(labels))).astype(np.float32)
    head = EntityHead(
        Fake(labels, transitions if drawn.is_learned else None),
        name="fake",
        strategy=drawn.strategy,
        stitching=drawn.stitching,
        decoding=None if drawn.is_learned else drawn.decoding,
    )
    logits = logits_of(drawn.seed, len(tokens), len(labels), repeats=drawn.repeats)
    entities = entities_of(
        head, text, tokens, logits, size=drawn.size, overlap=generator.integers(drawn.size)
    )
    check(text, entities)
    return len(entities)


def check_tokens(text: str, tokens: TokenizedText) -> None:
    """No token has white space at its ends, and no two words share a character."""
    for start, end in tokens.offsets.tolist():
        assert 0 <= start <= end <= len(text)
        assert text[start:end] == text[start:end].strip()
    is_inside = tokens.offsets[:, 0] < reached_before(tokens.offsets)
    assert not (is_inside & tokens.starts_word)[1:].any()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, drawn=drawn_settings)
def test_entities_are_whole_apart_and_exact(
    tokenizer_of: Callable[[str], Tokenizer], name: str, text: str, drawn: Any
) -> None:
    check_entities(tokenizer_of(name), text, drawn)


@pytest.mark.parametrize("strategy", ENTITY_STRATEGIES)
@pytest.mark.parametrize("name", NAMES)
def test_entities_of_hostile_texts(
    tokenizer_of: Callable[[str], Tokenizer], name: str, strategy: str
) -> None:
    n_entities = 0
    for number, text in enumerate([*(one.text[:300] for one in HOSTILE_TEXTS), *SCRIPTS]):
        drawn = SimpleNamespace(
            labels=(LABELS, PLAIN, BIOES)[number % 3],
            strategy=strategy,
            stitching=ENTITY_STITCHINGS[number % len(ENTITY_STITCHINGS)],
            decoding=ENTITY_DECODINGS[number % len(ENTITY_DECODINGS)],
            is_learned=number % 5 == 0,
            seed=number,
            repeats=1 + number % 3,
            size=9,
        )
        n_entities += check_entities(tokenizer_of(name), text, drawn)
    assert n_entities > 100
