"""Decoding and scores by sequences, against all sequences written out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.work import counted, work_of

from longbert.core.crf import (
    WRAPPED_LINE_CHARS,
    decode_crf,
    ends_at_line_breaks,
    masked_emissions,
)
from longbert.core.entity_stream import entity_runs
from longbert.core.tag_scheme import TagScheme
from longbert.core.viterbi import Transitions
from longbert.records import LabelledSpan, ScoredSpan

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
SCHEME = TagScheme.from_id2label(dict(enumerate(LABELS)), source="test")
KINDS = (None, "LOC", "PER")
TEXT = "x" * 100


def transitions_of(scores: np.ndarray) -> Transitions:
    return replace(SCHEME.transitions(), scores=scores)


def is_allowed(labels: tuple[int, ...]) -> bool:
    return all(
        LABELS[after][0] != "I" or LABELS[before][2:] == LABELS[after][2:]
        for before, after in pairwise((0, *labels))
    )


def sequence_score(emissions: np.ndarray, scores: np.ndarray, labels: tuple[int, ...]) -> float:
    total = sum(float(emissions[word, label]) for word, label in enumerate(labels))
    return total + sum(float(scores[a, b]) for a, b in pairwise(labels))


def draw_numbers(seed: int, n_words: int, *, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Emissions that favour entities, and transitions."""
    generator = np.random.default_rng(seed)
    emissions = generator.normal(0, scale, (n_words, len(LABELS)))
    scores = generator.normal(0, 1, (len(LABELS), len(LABELS)))
    return emissions.astype(np.float32), scores.astype(np.float32)


def words_apart(n_words: int) -> tuple[np.ndarray, np.ndarray]:
    starts = 3 * np.arange(n_words, dtype=np.int64)
    return np.stack([starts, starts + 2], axis=1), np.ones(n_words, dtype=np.bool_)


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 5), st.sampled_from([0.5, 1.0, 3.0]))
def test_entities_and_scores_are_those_of_all_sequences(
    seed: int, n_words: int, temperature: float
) -> None:
    emissions, scores = draw_numbers(seed, n_words)
    offsets, starts_word = words_apart(n_words)
    found = decode_crf(
        emissions,
        offsets,
        starts_word,
        text=TEXT,
        scheme=SCHEME,
        transitions=transitions_of(scores),
        temperature=temperature,
    )
    allowed = [
        labels for labels in product(range(len(LABELS)), repeat=n_words) if is_allowed(labels)
    ]
    totals = {labels: sequence_score(emissions, scores, labels) for labels in allowed}
    best = max(allowed, key=lambda labels: totals[labels])
    runs = list(zip(*entity_runs(np.array(best), SCHEME), strict=True))
    assert [one.span for one, _ in found] == [
        LabelledSpan(3 * first, 3 * stop - 1, LABELS[best[first]][2:]) for first, stop in runs
    ]
    for (one, logits), (first, stop) in zip(found, runs, strict=True):
        others = []
        for kind in KINDS:
            begin = 0 if kind is None else LABELS.index(f"B-{kind}")
            inside = 0 if kind is None else LABELS.index(f"I-{kind}")
            own = (begin, *[inside] * (stop - first - 1))
            others.append(totals[best[:first] + own + best[stop:]])
        expected = np.array(others)
        assert logits - logits[0] == pytest.approx(expected - expected[0], abs=1e-4)
        powers = np.exp((expected - expected.max()) / temperature)
        place = KINDS.index(one.span.label)
        assert one.score == pytest.approx(powers[place] / powers.sum(), abs=1e-4)
        # The best sequence is at least as good as any with another type in its place.
        assert 1 / len(KINDS) - 1e-6 <= one.score <= 1


@given(seeds, st.integers(1, 12), st.data())
def test_the_first_token_of_a_word_stands_for_it(
    seed: int, n_tokens: int, data: st.DataObject
) -> None:
    emissions, scores = draw_numbers(seed, n_tokens)
    offsets, _ = words_apart(n_tokens)
    drawn = data.draw(st.lists(st.booleans(), min_size=n_tokens, max_size=n_tokens))
    starts_word = np.array(drawn)
    options = {
        "text": TEXT,
        "scheme": SCHEME,
        "transitions": transitions_of(scores),
        "temperature": 1.0,
    }
    found = decode_crf(emissions, offsets, starts_word, **options)
    assert starts_word.tolist() == drawn
    words = np.flatnonzero([True, *drawn[1:]])
    last = np.append(words[1:], n_tokens) - 1
    joined = np.stack([offsets[words, 0], offsets[last, 1]], axis=1)
    expected = decode_crf(emissions[words], joined, np.ones(len(words), np.bool_), **options)
    assert [span for span, _ in found] == [span for span, _ in expected]
    for (_, logits), (_, others) in zip(found, expected, strict=True):
        assert logits.tobytes() == others.tobytes()


@given(seeds)
def test_a_high_temperature_makes_all_alternatives_alike(seed: int) -> None:
    emissions, scores = draw_numbers(seed, 6)
    offsets, starts_word = words_apart(6)
    spans: list[list[float]] = []
    for temperature in (0.01, 1.0, 1e6):
        found = decode_crf(
            emissions,
            offsets,
            starts_word,
            text=TEXT,
            scheme=SCHEME,
            transitions=transitions_of(scores),
            temperature=temperature,
        )
        spans.append([one.score for one, _ in found])
    cold, usual, hot = map(np.array, spans)
    assert (cold >= usual - 1e-6).all()
    assert (usual >= hot - 1e-6).all()
    assert hot == pytest.approx(1 / len(KINDS), abs=1e-3)
    assert ((cold > 0) & (cold <= 1)).all()


def test_emissions_beyond_the_range_of_exp() -> None:
    emissions = np.array([[0, 5e4, 0, 0, 0], [0, 0, -5e4, 0, 0]], dtype=np.float32)
    offsets, starts_word = words_apart(2)
    zeros = np.zeros((len(LABELS), len(LABELS)), np.float32)
    ((one, logits),) = decode_crf(
        emissions,
        offsets,
        starts_word,
        text=TEXT,
        scheme=SCHEME,
        transitions=transitions_of(zeros),
        temperature=0.1,
    )
    assert one == ScoredSpan(LabelledSpan(0, 2, "LOC"), 1.0)
    assert np.isfinite(logits).all()


def test_nothing_and_entities_without_a_character() -> None:
    zeros = np.zeros((len(LABELS), len(LABELS)), np.float32)
    options = {
        "text": TEXT,
        "scheme": SCHEME,
        "transitions": transitions_of(zeros),
        "temperature": 1.0,
    }
    none = np.empty((0, len(LABELS)), np.float32)
    nowhere = np.empty((0, 2), np.int64), np.empty(0, np.bool_)
    assert decode_crf(none, *nowhere, **options) == []
    emissions = np.array([[0, 9, 0, 0, 0], [0, 0, 0, 9, 0]], dtype=np.float32)
    offsets = np.array([[2, 2], [2, 4]])
    ((one, _),) = decode_crf(emissions, offsets, np.array([True, True]), **options)
    assert one.span == LabelledSpan(2, 4, "PER")


# Line breaks ------------------------------------------------------------------------------------


def slow_ends(text: str, offsets: np.ndarray) -> list[bool]:
    """Token by token: the lines that end between it and what came before."""
    lines = text.split("\n")
    starts = [0]
    for line in lines[:-1]:
        starts.append(starts[-1] + len(line) + 1)
    breaks = [(start - 1, len(lines[n])) for n, start in enumerate(starts[1:])]
    ends = []
    reached = -1
    for start in offsets[:, 0].tolist():
        between = [length for at, length in breaks if reached <= at < max(start, reached)]
        ends.append(len(between) > 1 or any(n < WRAPPED_LINE_CHARS for n in between))
        reached = max(start, reached)
    return ends


@st.composite
def lines_of_text(draw: st.DrawFn) -> str:
    line = st.one_of(
        st.text("ab .", max_size=6),
        st.integers(WRAPPED_LINE_CHARS - 3, WRAPPED_LINE_CHARS + 2).map(
            lambda n: "ab " * 9 + "x" * (n - 27)
        ),
        st.integers(WRAPPED_LINE_CHARS - 3, WRAPPED_LINE_CHARS + 2).map(lambda n: " " * n),
    )
    pieces = draw(
        st.lists(st.tuples(line, st.sampled_from(["\n", "\r\n", "\n\n", " "])), max_size=8)
    )
    return "".join(piece + end for piece, end in pieces) + draw(line)


@given(lines_of_text(), st.booleans())
def test_line_breaks_against_line_by_line(text: str, with_space: bool) -> None:
    # Tokens of characters; byte-level tokenizers give white space spans, too.
    spans = [(i, i + 1) for i, char in enumerate(text) if with_space or not char.isspace()]
    offsets = np.array(spans, dtype=np.int64).reshape(-1, 2)
    found = ends_at_line_breaks(text, offsets)
    assert found.dtype == np.bool_
    assert found.tolist() == slow_ends(text, offsets)


@given(lines_of_text(), st.data())
def test_line_breaks_with_tokens_that_step_back(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    offsets = np.array([(at, at) for at in places], dtype=np.int64).reshape(-1, 2)
    assert ends_at_line_breaks(text, offsets).tolist() == slow_ends(text, offsets)


LONG = "word " * 10 + "end"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("no break at all", ""),
        ("one\ntwo\r\nthree", "two three"),
        ("\none two\n", "one"),
        ("\r\n\r\none\n\n\n", "one"),
        (f"{LONG}\nnext", ""),
        (f"{LONG}\r\nnext", ""),
        (f"{LONG}\n\nnext", "next"),
        (f"{LONG}\r\n\r\nnext", "next"),
        (f"{LONG}\n{' ' * 60}\nnext", "next"),
        (f"{LONG}\nshort\nnext", "next"),
        (f"short\n{LONG}\nnext", "word"),
    ],
)
def test_examples_of_line_breaks(text: str, words: str) -> None:
    starts = [i for i, char in enumerate(text) if char.isalpha() and not text[i - 1 : i].isalpha()]
    offsets = np.array([(at, at + 1) for at in starts], dtype=np.int64).reshape(-1, 2)
    ends = ends_at_line_breaks(text, offsets)
    found = [text[at:].split()[0] for at, end in zip(starts, ends, strict=True) if end]
    assert " ".join(found) == words


@given(seeds, st.lists(st.booleans(), min_size=1, max_size=6))
def test_no_entity_goes_on_where_one_must_end(seed: int, drawn: list[bool]) -> None:
    emissions, scores = draw_numbers(seed, len(drawn), scale=4.0)
    # Continuing is what all words would like.
    emissions[:, [2, 4]] += 5
    stops = np.array(drawn)
    masked = masked_emissions(emissions, stops, SCHEME)
    for word, label in np.ndindex(masked.shape):
        if stops[word] and LABELS[label][0] == "I":
            assert masked[word, label] < emissions.min() - 1000
        else:
            assert masked[word, label] == emissions[word, label]
    assert masked.dtype == np.float32
    offsets, starts_word = words_apart(len(drawn))
    found = decode_crf(
        masked,
        offsets,
        starts_word,
        text=TEXT,
        scheme=SCHEME,
        transitions=transitions_of(scores),
        temperature=1.0,
    )
    for one, logits in found:
        assert not stops[one.span.char_start // 3 + 1 : (one.span.char_end + 1) // 3].any()
        assert np.isfinite(logits).all()
        assert 0 < one.score <= 1


@pytest.mark.parametrize("pattern", [["B-PER", "I-PER", "O"], ["I-PER"]])
def test_work_grows_in_proportion_to_the_document(pattern: list[str]) -> None:
    """Many short entities, and a single one as long as the document."""

    def work(n_words: int) -> int:
        tags = [LABELS.index(pattern[word % len(pattern)]) for word in range(n_words)]
        tags[0] = LABELS.index("B-PER")
        emissions = counted(9 * np.eye(len(LABELS), dtype=np.float32)[tags])
        offsets, starts_word = words_apart(n_words)
        return work_of(
            lambda: decode_crf(
                emissions,
                counted(offsets),
                counted(starts_word),
                text="ab " * n_words,
                scheme=SCHEME,
                transitions=transitions_of(np.zeros((len(LABELS), len(LABELS)), np.float32)),
                temperature=1.0,
            )
        )

    assert work(2_000) < 4.2 * work(500)
