"""Whole documents tokenized piece by piece, and the offsets of their tokens."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from support.texts import HOSTILE_TEXTS, SCRIPTS, long_text
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.encoders.tokenizers.stream import joined
from longbert.errors import ModelError

Models = Callable[..., Path]

FAST_FAMILIES = (
    *("bert", "bert-cased", "bert-chinese", "albert", "roberta", "distilbert", "electra", "mpnet"),
    *("deberta-v2", "deberta-v3", "xlm-roberta", "modernbert"),
)
IN_PIECES = (*FAST_FAMILIES, "line breaks", "minilm")


# A word of 3,000 characters is as odd as one of 100,000.
TEXTS = {hostile.name: hostile.text[:3_000] for hostile in HOSTILE_TEXTS}


@lru_cache
def load(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@lru_cache
def byte_level(
    *, normalizer: str = "NFC", add_prefix_space: bool = False, added: tuple[Any, ...] = ()
) -> Any:
    """A byte-level BPE that has merged line breaks with each other and with their neighbours."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = getattr(normalizers, normalizer)()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    lines = "a \r\n\r\n b \r\n\n c\t\r\n d  \r\r\n \n\n e\n\n\nf " * 50
    backend.train_from_iterator([lines, long_text(300)], trainer)
    backend.add_tokens([tokenizers.AddedToken(**dict(token)) for token in added])
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.fixture(scope="session")
def reference_of(models: Models, minilm: Path) -> Callable[[str], Any]:
    def reference(name: str) -> Any:
        if name == "line breaks":
            return byte_level()
        return load(minilm if name == "minilm" else models(name))

    return reference


@pytest.fixture(scope="session")
def tokenizer_of(reference_of: Callable[[str], Any]) -> Callable[[str], FastTokenizer]:
    @lru_cache
    def tokenizer(name: str) -> FastTokenizer:
        return FastTokenizer.from_transformers(reference_of(name), name=name)

    return tokenizer


def in_pieces(reference: Any, *, chars: int, at_once: int = 64) -> FastTokenizer:
    """A tokenizer that cuts texts far shorter than it would by itself."""
    tokenizer = FastTokenizer.from_transformers(reference, name="in pieces")
    tokenizer.piece_chars = chars
    tokenizer.pieces_at_once = at_once
    return tokenizer


def added(content: str, **options: bool) -> tuple[tuple[str, Any], ...]:
    return (("content", content), *options.items())


def equal(found: TokenizedText, expected: TokenizedText) -> bool:
    return all(
        np.array_equal(getattr(found, name), getattr(expected, name))
        for name in ("ids", "offsets", "starts_word", "is_unknown")
    )


FRAGMENTS = (
    *("\n", "\n", "\r\n", "\r\n", "\r", " ", "  ", "\t", "\u00a0", "\u2028", "\x85", "\x0b"),
    *("a", "B", "7", "word", "Rotterdam", "it's", "'s", "Cafe\u0301", "\u0301", "é", "ﬁ", "ΑΣ"),
    *("😀", "👩\u200d🚀", "北京", "서울", "\u1109\u1165", "שלום", "\x00", "\ufeff", "\u200b"),
    *("[MASK]", "<mask>", "[SEP]", "<s>", "[UNK]", "##ing", "Ġx", "▁", "-", "(", ".", '"'),
)
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@pytest.mark.parametrize("name", IN_PIECES)
def test_pieces_give_the_tokens_of_the_whole(
    reference_of: Callable[[str], Any], tokenizer_of: Callable[[str], FastTokenizer], name: str
) -> None:
    whole = tokenizer_of(name)
    pieces = in_pieces(reference_of(name), chars=1, at_once=3)

    @given(text=TEXT)
    def check(text: str) -> None:
        assert len(text) < whole.piece_chars
        assert equal(pieces.tokenize(text), whole.tokenize(text))

    check()


@pytest.mark.parametrize("name", IN_PIECES)
def test_a_text_that_comes_in_pieces_has_the_tokens_of_the_whole(
    reference_of: Callable[[str], Any], tokenizer_of: Callable[[str], FastTokenizer], name: str
) -> None:
    whole = tokenizer_of(name)
    cut = in_pieces(reference_of(name), chars=4, at_once=2)

    @given(text=TEXT, sizes=st.lists(st.integers(0, 9), max_size=20))
    def check(text: str, sizes: list[int]) -> None:
        stream = cut.stream()
        borders = [0, *np.minimum(np.cumsum([0, *sizes]), len(text)).tolist(), len(text)]
        parts = [stream.add(text[start:stop]) for start, stop in pairwise(borders)]
        assert equal(joined([*parts, stream.finish()]), whole.tokenize(text))

    check()


def test_a_stream_keeps_no_more_than_a_piece(models: Models) -> None:
    stream = in_pieces(load(models("bert")), chars=50).stream()
    n_tokens = 0
    for number in range(100):
        n_tokens += len(stream.add(f"some words in line {number}\n"))
        reached = 50 + 2 * 25
        assert n_tokens >= 5 * (number + 1) - reached
    assert n_tokens < 100 * 30


# All that a normaliser may change, and some others.
LETTERS = [
    char
    for place, char in enumerate(filter(str.isalnum, map(chr, range(sys.maxunicode + 1))))
    if place % 97 == 0 or {unicodedata.normalize("NFKD", char), char.lower()} != {char}
]


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_PIECES)
def test_any_letter_may_stand_at_a_cut(
    reference_of: Callable[[str], Any], tokenizer_of: Callable[[str], FastTokenizer], name: str
) -> None:
    pieces = in_pieces(reference_of(name), chars=1)
    for start in range(0, len(LETTERS), 500):
        text = "".join(f"a{one} {one}\n{one}b\r\n{one} b " for one in LETTERS[start : start + 500])
        assert equal(pieces.tokenize(text), tokenizer_of(name).tokenize_pieces(text, [0]))


@pytest.mark.parametrize("name", IN_PIECES)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_long_texts_are_cut_at_their_lines(
    reference_of: Callable[[str], Any],
    tokenizer_of: Callable[[str], FastTokenizer],
    name: str,
    line_break: str,
) -> None:
    text = line_break.join([*long_text(400).split(" "), *SCRIPTS, "", "", "end"])
    watched = Watched(reference_of(name))

    assert equal(in_pieces(watched, chars=100).tokenize(text), tokenizer_of(name).tokenize(text))
    assert sum(watched.sizes) == len(text)
    assert len(watched.sizes) > len(text) / 200


class Watched:
    """A tokenizer, and at the same time its backend, that notes how long its texts are."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        backend = self.tokenizer.backend_tokenizer
        return getattr(backend if hasattr(backend, name) else self.tokenizer, name)

    @property
    def backend_tokenizer(self) -> Watched:
        return self

    def encode_batch(self, texts: list[str], **options: Any) -> Any:
        self.sizes.extend(map(len, texts))
        return self.tokenizer.backend_tokenizer.encode_batch(texts, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"add_prefix_space": True}, "one\ntwo"),
        ({"normalizer": "Strip"}, "one\ntwo"),
        ({"added": (added("[X]", rstrip=True),)}, "[X]\ntwo"),
        ({"added": (added("two", lstrip=True),)}, "one\r\ntwo"),
        ({"added": (added("e\nt"),)}, "one\ntwo"),
    ],
)
def test_tokenizers_that_see_across_lines_get_the_whole_text(
    options: dict[str, Any], text: str
) -> None:
    reference = byte_level(**options)
    tokenizer = FastTokenizer.from_transformers(reference, name="model")
    whole = tokenizer.tokenize(text)
    assert not tokenizer.can_be_cut
    assert equal(in_pieces(reference, chars=1).tokenize(text), whole)


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_tokens_are_those_of_transformers(models: Models, family: str) -> None:
    reference = load(models(family))
    tokenizer = FastTokenizer.from_transformers(reference, name=family)
    for text in (long_text(200), *SCRIPTS, *TEXTS.values()):
        expected = reference(text)["input_ids"]
        found = [*tokenizer.prefix, *tokenizer.tokenize(text).ids.tolist(), *tokenizer.suffix]
        assert found == expected


def is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc", "Me") or 0x1160 <= ord(char) <= 0x11FF


def cluster(text: str, start: int, end: int) -> str:
    """A slice with the whole of the base letters and marks that it touches."""
    while 0 < start < len(text) and is_mark(text[start]):
        start -= 1
    while end < len(text) and is_mark(text[end]):
        end += 1
    return text[start:end]


def bytes_of(token: str) -> bytes:
    """The bytes that a byte-level token stands for, without the white space around them."""
    return b"".join(decode_bytes().get(char, b" ") for char in token).strip()


@lru_cache
def decode_bytes() -> dict[str, bytes]:
    """GPT-2's names of the 256 bytes."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    names = {chr(byte): bytes([byte]) for byte in visible}
    return names | {chr(256 + i): bytes([byte]) for i, byte in enumerate(others)}


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_offsets_are_where_the_tokens_stand(models: Models, family: str) -> None:
    reference = load(models(family))
    normalizer = reference.backend_tokenizer.normalizer
    normalize = normalizer.normalize_str if normalizer is not None else str
    special = {reference.unk_token_id, *reference.all_special_ids}
    tokenizer = FastTokenizer.from_transformers(reference, name=family)

    for name, text in TEXTS.items():
        tokens = tokenizer.tokenize(text)
        given = reference(text, add_special_tokens=False, return_offsets_mapping=True)

        starts, ends = tokens.offsets[:, 0].tolist(), tokens.offsets[:, 1].tolist()
        assert starts == sorted(starts), name
        limits = [*starts, len(text)][1:]
        for id_, start, end, limit, raw in zip(
            tokens.ids.tolist(), starts, ends, limits, given["offset_mapping"], strict=True
        ):
            assert 0 <= start <= end <= len(text), name
            assert end >= limit or not is_mark(text[end]), f"{name}: a mark is left behind"
            assert text[start:end] == text[start:end].strip(), name
            if start == end:
                assert not text[slice(*raw)].strip(), name
                assert end == raw[1], name
                continue
            token, seen = reference.convert_ids_to_tokens(id_), normalize(cluster(text, start, end))
            if id_ in special:
                continue
            if family in ("roberta", "modernbert"):
                assert bytes_of(token) in seen.encode(), name
            elif "continuing_subword_prefix" in repr(reference.backend_tokenizer.model):
                assert token.removeprefix("##") == normalize(text[start:end]).strip(), name
            else:
                assert token.replace("▁", "") in seen.replace("▁", ""), name


def test_characters_dropped_at_the_start_shift_no_offsets(models: Models) -> None:
    for family in ("xlm-roberta", "albert"):
        tokenizer = FastTokenizer.from_transformers(load(models(family)), name=family)
        text = "\x01\x02London \x03and\x04 Kyoto"
        spans = tokenizer.tokenize(text).offsets.tolist()
        assert {"London": 2, "and": 10, "Kyoto": 15}.items() <= {
            word: min(start for start, end in spans if start < text.index(word) + 1 < end + 1)
            for word in ("London", "and", "Kyoto")
        }.items()
        assert len(tokenizer.tokenize("\x01\x02")) == 0


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert"])
def test_a_final_accent_belongs_to_its_word(models: Models, family: str) -> None:
    text = "Jose\u0301 \u1109\u1165\u110b\u116e\u11af Zu\u0308rich"
    offsets = (
        FastTokenizer.from_transformers(load(models(family)), name=family).tokenize(text).offsets
    )
    held = {char for start, end in offsets.tolist() for char in range(start, end)}
    assert held >= {i for i, char in enumerate(text) if char != " "}


def test_doubled_quotes_are_whole(models: Models) -> None:
    text = "``Who'' said so? ``It isn't''"
    offsets = (
        FastTokenizer.from_transformers(load(models("albert")), name="albert")
        .tokenize(text)
        .offsets
    )
    held = {char for start, end in offsets.tolist() for char in range(start, end)}
    assert held == {i for i, char in enumerate(text) if char != " "}


def test_unknown_tokens_are_flagged(models: Models) -> None:
    tokenizer = FastTokenizer.from_transformers(load(models("bert")), name="bert")
    text = "a \U0002a6d6 b [UNK] " + "x" * 101

    tokens = tokenizer.tokenize(text)

    unknown = tokens.offsets[tokens.is_unknown].tolist()
    assert [text[start:end] for start, end in unknown] == ["\U0002a6d6", "[UNK]", "x" * 101]
    assert tokens.starts_word[tokens.is_unknown].all()
    assert (
        not FastTokenizer.from_transformers(byte_level(), name="bytes")
        .tokenize(text)
        .is_unknown.any()
    )


def test_an_unknown_token_inside_a_word_begins_one_as_in_transformers(models: Models) -> None:
    tokenizer = FastTokenizer.from_transformers(load(models("xlm-roberta")), name="xlm-roberta")
    tokens = tokenizer.tokenize("for\U0002a6d6ms")
    assert tokens.is_unknown.sum() == 1
    assert tokens.starts_word[tokens.is_unknown].all()


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_words_of_a_wordpiece_vocabulary(models: Models, family: str) -> None:
    tokenizer = FastTokenizer.from_transformers(load(models(family)), name=family)
    text = "Unexpectedly, Rotterdam's harbour-master (北京) refused."
    tokens = tokenizer.tokenize(text)
    assert len(tokens) > tokens.starts_word.sum()
    starts = tokens.offsets[tokens.starts_word, 0].tolist()
    words = [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    assert [word.strip() for word in words] == [
        *("Unexpectedly", ",", "Rotterdam", "'", "s", "harbour", "-", "master"),
        *("(", "北", "京", ")", "refused", "."),
    ]


@pytest.mark.parametrize("family", ["roberta", "modernbert", "xlm-roberta", "deberta-v3"])
def test_words_of_other_vocabularies_are_what_white_space_surrounds(
    models: Models, family: str
) -> None:
    tokenizer = FastTokenizer.from_transformers(load(models(family)), name=family)
    text = "Unexpectedly, Rotterdam's\nharbour-master\u00a0(x)\trefused."
    tokens = tokenizer.tokenize(text)
    assert len(tokens) > tokens.starts_word.sum()
    # Some count the white space before a word as a part of its first token.
    begun = [text[start:].split()[0] for start in tokens.offsets[tokens.starts_word, 0].tolist()]
    assert list(dict.fromkeys(begun)) == text.split()


@pytest.mark.parametrize("family", FAST_FAMILIES)
def test_empty_texts_have_no_tokens(models: Models, family: str) -> None:
    tokens = FastTokenizer.from_transformers(load(models(family)), name=family).tokenize("")
    assert len(tokens) == 0
    assert tokens.offsets.shape == (0, 2)
    assert tokens.starts_word.shape == tokens.is_unknown.shape == (0,)


def test_what_windows_need_of_a_tokenizer(models: Models) -> None:
    expected = {
        "bert": ("[CLS]", "[SEP]"),
        "roberta": ("<s>", "</s>"),
        "albert": ("[CLS]", "[SEP]"),
    }
    for family, (first, last) in expected.items():
        reference = load(models(family))
        tokenizer = FastTokenizer.from_transformers(reference, name=family)
        assert tokenizer.prefix == (reference.convert_tokens_to_ids(first),)
        assert tokenizer.suffix == (reference.convert_tokens_to_ids(last),)
        assert tokenizer.pad_id == reference.pad_token_id
        assert tokenizer.max_tokens == 512
        assert tokenizer.n_ids == len(reference)
        assert not tokenizer.pads_left


def test_no_declared_limit_is_no_limit(models: Models) -> None:
    tokenizer = FastTokenizer.from_transformers(
        load(models("bert", declare_limit=False)), name="bert"
    )
    assert tokenizer.max_tokens is None


def test_digests_tell_tokenizers_apart(models: Models) -> None:
    digests = {
        FastTokenizer.from_transformers(
            AutoTokenizer.from_pretrained(models(family)), name="x"
        ).digest
        for family in ("bert", "bert-cased", "roberta", "xlm-roberta", "bert")
    }
    assert len(digests) == 4


def test_a_tokenizer_without_offsets_is_refused(models: Models) -> None:
    with pytest.raises(ModelError, match="tiny: its tokenizer BertweetTokenizer is written in Py"):
        FastTokenizer.from_transformers(load(models("bertweet")), name="tiny")
