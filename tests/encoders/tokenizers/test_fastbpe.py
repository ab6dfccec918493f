"""Tokenizers in Python that take a text word by word, aligned to the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.texts import HOSTILE_TEXTS, SCRIPTS, long_text
from transformers import AutoTokenizer, CanineTokenizer, PhobertTokenizer

from longbert.core.coverage import count_covered_chars, count_unknown_chars
from longbert.core.windows import split_windows
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.encoders.tokenizers.fastbpe import FastBpeTokenizer
from longbert.encoders.tokenizers.load import wrap_tokenizer
from longbert.encoders.tokenizers.stream import joined
from longbert.errors import ModelError

Models = Callable[..., Path]

KINDS = ("plain", "tweets", "phobert")
TEXTS = {hostile.name: hostile.text[:2_000] for hostile in HOSTILE_TEXTS}
LINES = (*SCRIPTS[:4], "Maria met 王伟 in Zürich", "well-known #tags", "😀", "one word", "e\u0301")
TWEET = (
    "@ana it's 5 p.m., we can't see http://t.co/x1?y=2 &amp; &lt;b&gt; www.x.org !!!!!! "
    "cannot wait… #soon 😀😀😀😀😀 020 123 4567 ’quote’ . . . :-) <3"
)


@pytest.fixture(scope="session")
def reference_of(models: Models) -> Callable[[str], Any]:
    @lru_cache
    def load(kind: str) -> Any:
        folder = models("bertweet", tokenizer={"normalization": kind == "tweets"})
        if kind == "phobert":
            return PhobertTokenizer(str(folder / "vocab.txt"), str(folder / "bpe.codes"))
        return AutoTokenizer.from_pretrained(folder)

    return load


@pytest.fixture(scope="session")
def tokenizer_of(reference_of: Callable[[str], Any]) -> Callable[[str], FastBpeTokenizer]:
    @lru_cache
    def load(kind: str) -> FastBpeTokenizer:
        tokenizer = wrap_tokenizer(reference_of(kind), name=kind)
        assert isinstance(tokenizer, FastBpeTokenizer)
        return tokenizer

    return load


def ids_of(reference: Any, text: str) -> list[int]:
    ids: list[int] = reference(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def check(text: str, tokens: TokenizedText) -> None:
    """Spans are in order and within the text, and no visible character is left out."""
    offsets = tokens.offsets
    assert offsets.shape == (len(tokens), 2)
    if not len(tokens):
        return
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    for start, end in offsets.tolist():
        assert text[start:end] == text[start:end].strip()
        assert start < end or text[start - 1].isspace()
    assert (offsets[1:] >= offsets[:-1]).all()
    assert offsets[0, 0] >= 0
    assert offsets[-1, 1] <= len(text)
    assert tokens.starts_word[0]
    # What is rewritten to several tokens is one word, whatever they are.
    is_first = np.append(True, offsets[1:, 0] >= np.maximum.accumulate(offsets[:-1, 1]))
    assert tokens.starts_word[tokens.is_unknown & is_first].all()
    assert not tokens.starts_word[~is_first].any()
    for size, overlap in ((1, 0), (7, 3)):
        windows = split_windows(len(tokens), size=size, overlap=overlap)
        assert count_covered_chars(text, offsets, windows) == len(text)


FRAGMENTS = (
    *(" ", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028", "\x1c", "\x00", "\u200b", "\ufeff"),
    *("a", "B", "7", "word", "Rotterdam", "it's", "can't", "cannot", "'ll", "e\u0301", "\u0301"),
    *("😀", "👩\u200d🚀", "北京", "서울", "\u1109\u1165", "שלום", "ﬁ", "\U0002a6d6", "…", "’"),
    *("<mask>", "<s>", "<unk>", "@@", "@@ ", "</w>", "@user", "http://t.co/a", "www.", "#tag"),
    *("&amp;", "&nbsp;", "&#x110000;", "&#9;", "&#128512;", "&x;", "&", ";", "5 p.m.", "p . m ."),
    *(".", "!", "!!!!", "(", ":)", "-", "_", "/", "<b>", "020 123 4567", "a.m ", "ai n't "),
)
TEXT = st.lists(st.sampled_from(FRAGMENTS) | st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(text=TEXT.map("".join))
def test_tokens_are_those_of_transformers_and_cover_the_text(
    reference_of: Callable[[str], Any],
    tokenizer_of: Callable[[str], FastBpeTokenizer],
    kind: str,
    text: str,
) -> None:
    tokens = tokenizer_of(kind).tokenize(text)
    assert tokens.ids.tolist() == ids_of(reference_of(kind), text)
    check(text, tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_of_longer_and_odder_texts(
    reference_of: Callable[[str], Any], tokenizer_of: Callable[[str], FastBpeTokenizer], kind: str
) -> None:
    for text in (long_text(300), TWEET, *SCRIPTS, *TEXTS.values()):
        tokens = tokenizer_of(kind).tokenize(text)
        assert tokens.ids.tolist() == ids_of(reference_of(kind), text)
        check(text, tokens)


def slow_pieces(reference: Any, text: str) -> Iterator[tuple[str, int, int]]:
    """Tokens of a text without added tokens, each searched for where the last one ended.

    Line feeds at the end of a word are left out of its span.
    """
    end = 0
    for token in reference.tokenize(text):
        piece = token.removesuffix("@@")
        end = text.index(piece, end) + len(piece)
        start, stop = end - len(piece), end - len(piece) + len(piece.rstrip())
        yield token, *((start, stop) if start < stop else (end, end))


@pytest.mark.parametrize("kind", ["plain", "phobert"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from([f for f in FRAGMENTS if f[0] not in "<@"])).map("".join))
def test_offsets_are_where_the_tokens_stand(
    reference_of: Callable[[str], Any],
    tokenizer_of: Callable[[str], FastBpeTokenizer],
    kind: str,
    text: str,
) -> None:
    tokens = tokenizer_of(kind).tokenize(text)
    expected = list(slow_pieces(reference_of(kind), text))
    assert tokens.offsets.tolist() == [[start, end] for _, start, end in expected]
    continues = [False, *(token.endswith("@@") for token, _, _ in expected)][: len(expected)]
    assert (~tokens.starts_word | tokens.is_unknown).tolist() == [
        is_inside or bool(unknown)
        for is_inside, unknown in zip(continues, tokens.is_unknown, strict=True)
    ]


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=6))
def test_pieces_give_the_tokens_of_the_whole(
    tokenizer_of: Callable[[str], FastBpeTokenizer], kind: str, lines: list[str]
) -> None:
    tokenizer = tokenizer_of(kind)
    whole = tokenizer.tokenize(" ".join(lines))
    parts = [tokenizer.tokenize(line) for line in lines]
    starts = accumulate((len(line) + 1 for line in lines[:-1]), initial=0)
    assert whole.ids.tolist() == np.concatenate([part.ids for part in parts]).tolist()
    shifted = [part.offsets + start for part, start in zip(parts, starts, strict=True)]
    assert whole.offsets.tolist() == np.concatenate(shifted).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_comes_in_pieces_has_the_tokens_of_the_whole(
    tokenizer_of: Callable[[str], FastBpeTokenizer], reference_of: Callable[[str], Any], kind: str
) -> None:
    cut = FastBpeTokenizer(reference_of(kind), name=kind)
    cut.piece_chars = 2

    @given(text=TEXT.map("".join), sizes=st.lists(st.integers(0, 9), max_size=20))
    def check_stream(text: str, sizes: list[int]) -> None:
        stream = cut.stream()
        borders = [0, *np.minimum(np.cumsum([0, *sizes]), len(text)).tolist(), len(text)]
        parts = [stream.add(text[start:stop]) for start, stop in pairwise(borders)]
        found, whole = joined([*parts, stream.finish()]), tokenizer_of(kind).tokenize(text)
        for name in ("ids", "offsets", "starts_word", "is_unknown"):
            assert np.array_equal(getattr(found, name), getattr(whole, name))

    check_stream()


@pytest.mark.parametrize("kind", ["plain", "phobert"])
def test_a_stream_keeps_no_more_than_a_piece(
    tokenizer_of: Callable[[str], FastBpeTokenizer], kind: str
) -> None:
    n_tokens = len(tokenizer_of(kind).stream().add("some words in a line\n" * 2_000))
    assert n_tokens > 0.9 * len(tokenizer_of(kind).tokenize("some words in a line\n" * 2_000))


def test_what_a_tweet_is_rewritten_to(tokenizer_of: Callable[[str], FastBpeTokenizer]) -> None:
    tokens = tokenizer_of("tweets").tokenize(TWEET)
    spans = [TWEET[start:end] for start, end in tokens.offsets.tolist()]
    # All tokens of a rewriting have what it replaced; of six marks the third stands for four.
    for replaced in ("@ana", "http://t.co/x1?y=2", "www.x.org", "…", "&amp;", "&lt;", "!!!!", "’"):
        assert replaced in spans, replaced
    for split in ("cannot", "can't", "p.m"):
        assert split not in spans


def test_references_to_no_character_belong_to_the_token_before(
    tokenizer_of: Callable[[str], FastBpeTokenizer],
) -> None:
    text = "&#x110000; one&nbsp;&#x110000; two &#x110000;\n"
    offsets = tokenizer_of("tweets").tokenize(text).offsets
    held = {char for start, end in offsets.tolist() for char in range(start, end)}
    assert held >= {i for i, char in enumerate(text) if not char.isspace()}
    assert len(tokenizer_of("tweets").tokenize("&#x110000;")) == 0


def test_a_rewriting_that_is_not_known_is_an_error(
    tokenizer_of: Callable[[str], FastBpeTokenizer],
    reference_of: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_of("tweets"), "normalizeTweet", str.upper)
    with pytest.raises(ModelError, match=r"tweets: its tokenizer rewrites tweets .* not known"):
        tokenizer_of("tweets").tokenize("some text")


def test_words_are_kept_and_forgotten(
    reference_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = reference_of("plain")
    pieces_of = reference.bpe
    asked: list[str] = []

    def bpe(word: str) -> str:
        asked.append(word)
        return pieces_of(word)  # type: ignore[no-any-return]

    reference.cache.clear()
    monkeypatch.setattr(reference, "bpe", bpe)
    tokenizer = FastBpeTokenizer(reference, name="plain")
    # From here on it keeps one word of the test's own and four more.
    tokenizer.most_cached = 1
    tokenizer.tokenize("start")
    tokenizer.most_cached = 5
    asked.clear()
    for text in ("one two", "two three", "four one", "five two", "one three"):
        assert tokenizer.tokenize(text).ids.tolist() == ids_of(reference_of("again"), text)
    assert asked == ["one", "two", "three", "four", "five", "two", "one", "three"]
    tokenizer.tokenize("x" * 1000)
    tokenizer.tokenize("x" * 1000)
    assert asked[8:] == ["x" * 1000] * 2, "words as long as this come once only"
    assert not reference.cache, "it never forgets"


def test_unknown_characters_are_counted_alone(
    tokenizer_of: Callable[[str], FastBpeTokenizer],
) -> None:
    text = "Maria \U0002a6d6 met 王\U0002a6d6伟 <unk> then"
    tokens = tokenizer_of("plain").tokenize(text)
    unknown = [text[start:end] for start, end in tokens.offsets[tokens.is_unknown].tolist()]
    assert unknown.count("\U0002a6d6") == 2
    assert "<unk>" in unknown


def test_a_line_feed_right_after_a_word_is_read_as_transformers_reads_it(
    reference_of: Callable[[str], Any], tokenizer_of: Callable[[str], FastBpeTokenizer]
) -> None:
    text = "one word\nand\r\nanother \n"
    tokens = tokenizer_of("plain").tokenize(text)
    assert tokens.ids.tolist() == ids_of(reference_of("plain"), text)
    # The line feed is an unknown token, and no character of a word.
    spans = tokens.offsets.tolist()
    assert not any("\n" in text[start:end] for start, end in spans)
    assert tokens.is_unknown[spans.index([9, 9])]
    assert count_unknown_chars(tokens.offsets, tokens.is_unknown & (tokens.offsets[:, 1] == 9)) == 0
    tweet = tokenizer_of("tweets").tokenize(text).offsets.tolist()
    assert not any("\n" in text[start:end] for start, end in tweet)


@pytest.mark.parametrize("options", [{"lstrip": True}, {"rstrip": True}, {"normalized": False}])
def test_added_tokens_take_white_space_as_in_transformers(
    models: Models, options: dict[str, bool]
) -> None:
    reference = AutoTokenizer.from_pretrained(models("bertweet"))
    reference.add_tokens([tokenizers.AddedToken("[X]", **options)])
    tokenizer = wrap_tokenizer(reference, name="x")
    for text in ("one\n[X]\n two", "[X]", " [X] ", "one [X] [X]\n\n[X]two", "a[X]b", "one\n [X]"):
        tokens = tokenizer.tokenize(text)
        assert tokens.ids.tolist() == ids_of(reference, text), text
        check(text, tokens)
    assert tokenizer.n_ids == len(reference)


def test_added_tokens_that_must_stand_alone_are_refused(models: Models) -> None:
    reference = AutoTokenizer.from_pretrained(models("bertweet"))
    reference.add_tokens([tokenizers.AddedToken("[X]", single_word=True)])
    with pytest.raises(ModelError, match=r"x: .*added token '\[X\]' with single_word"):
        wrap_tokenizer(reference, name="x")


def test_special_tokens_may_be_text(models: Models) -> None:
    reference = AutoTokenizer.from_pretrained(models("bertweet"), split_special_tokens=True)
    tokens = wrap_tokenizer(reference, name="x").tokenize("a <mask> b")
    assert tokens.ids.tolist() == ids_of(reference, "a <mask> b")
    assert len(tokens) > 3


def test_what_windows_need_of_a_tokenizer(
    reference_of: Callable[[str], Any], tokenizer_of: Callable[[str], FastBpeTokenizer]
) -> None:
    for kind in KINDS:
        reference, tokenizer = reference_of(kind), tokenizer_of(kind)
        whole = reference("some text")["input_ids"]
        content = ids_of(reference, "some text")
        assert [*tokenizer.prefix, *content, *tokenizer.suffix] == whole
        assert tokenizer.pad_id == reference.pad_token_id == 1
        assert tokenizer.n_ids == len(reference)
        assert not tokenizer.pads_left
    assert tokenizer_of("plain").max_tokens == 128
    assert tokenizer_of("phobert").max_tokens is None


def test_digests_tell_tokenizers_apart(models: Models) -> None:
    def digest(**options: Any) -> str:
        reference = AutoTokenizer.from_pretrained(models("bertweet"), **options)
        return wrap_tokenizer(reference, name="x").digest

    digests = [digest(), digest(normalization=True), digest(split_special_tokens=True)]
    assert len(set(digests)) == 3
    assert digest() == digests[0]


def test_empty_texts_have_no_tokens(tokenizer_of: Callable[[str], FastBpeTokenizer]) -> None:
    for kind in KINDS:
        for text in ("", " \n\t", "\u00a0"):
            tokens = tokenizer_of(kind).tokenize(text)
            assert len(tokens) == 0
            assert tokens.offsets.shape == (0, 2)
            assert tokens.starts_word.shape == tokens.is_unknown.shape == (0,)


def test_each_tokenizer_has_the_wrapper_that_fits(models: Models) -> None:
    assert isinstance(
        wrap_tokenizer(AutoTokenizer.from_pretrained(models("bert")), name="x"), FastTokenizer
    )
    with pytest.raises(ModelError, match="tiny: its tokenizer CanineTokenizer is written in Pyth"):
        wrap_tokenizer(CanineTokenizer(), name="tiny")
