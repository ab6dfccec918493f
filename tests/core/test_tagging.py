"""Labels of tokens from spans, against a slow version, and back again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.work import counted, work_of

from longbert.core.entity_decoding import decode_entities
from longbert.core.tag_scheme import TagScheme
from longbert.core.tagging import bio_labels, tag_tokens
from longbert.records import LabelledSpan

LABELS = bio_labels(["LOC", "PER", "LOC"])
SCHEME = TagScheme.from_id2label(dict(enumerate(LABELS)), source="test")

TEXT = "x" * 100


@st.composite
def tokens(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of tokens of at least a character, apart or not, and which begin a word."""
    n_tokens = draw(st.integers(0, 12))
    steps = st.tuples(st.integers(0, 2), st.integers(1, 3))
    at, spans, starts = 0, [], []
    for gap, length in draw(st.lists(steps, min_size=n_tokens, max_size=n_tokens)):
        spans.append((at + gap, at + gap + length))
        at = spans[-1][1]
        starts.append(draw(st.booleans()))
    return np.array(spans, dtype=np.int64).reshape(-1, 2), np.array(starts, dtype=np.bool_)


def words_of(offsets: np.ndarray, starts_word: np.ndarray) -> list[list[int]]:
    """Tokens of each word."""
    words: list[list[int]] = []
    for token in range(len(offsets)):
        if starts_word[token] or not words:
            words.append([])
        words[-1].append(token)
    return words


def slow_tags(spans: list[LabelledSpan], offsets: np.ndarray, starts_word: np.ndarray) -> list[str]:
    """Word by word: the first span with which it shares a character."""
    tags: list[str] = []
    begun: set[LabelledSpan] = set()
    known = sorted(span for span in spans if span.label in ("LOC", "PER"))
    for word in words_of(offsets, starts_word):
        chars = set(range(offsets[word[0], 0], offsets[word[-1], 1]))
        tag = "O"
        for span in known:
            if chars & set(range(span.char_start, span.char_end)):
                tag = f"{'I' if span in begun else 'B'}-{span.label}"
                begun.add(span)
                break
        tags += [tag] * len(word)
    return tags


@given(tokens(), st.data())
def test_tags_are_those_of_the_words_one_by_one(
    drawn: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    offsets, starts_word = drawn
    borders = sorted(data.draw(st.sets(st.integers(0, 30), max_size=10)))
    spans = []
    for start, stop in zip(borders[::2], borders[1::2], strict=False):
        spans.append(LabelledSpan(start, stop, data.draw(st.sampled_from(["LOC", "PER", "DATE"]))))
    before = starts_word.copy()
    tags = tag_tokens(reversed(spans), offsets, starts_word, labels=LABELS)
    assert [LABELS[tag] for tag in tags] == slow_tags(spans, offsets, starts_word)
    assert starts_word.tolist() == before.tolist()
    # What the labels of words may be is what the scheme allows.
    first_tokens = [word[0] for word in words_of(offsets, starts_word)]
    assert SCHEME.transitions().allow(tags[first_tokens])


@given(tokens(), st.data(), st.sampled_from(["greedy", "viterbi"]))
def test_spans_of_whole_words_come_back(
    drawn: tuple[np.ndarray, np.ndarray], data: st.DataObject, decoding: str
) -> None:
    offsets, starts_word = drawn
    words = words_of(offsets, starts_word)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=6)))
    spans: list[LabelledSpan] = []
    for first, stop in pairwise(cuts):
        kind = data.draw(st.sampled_from(["LOC", "PER", None]))
        if kind is not None:
            begin, end = offsets[words[first][0], 0], offsets[words[stop - 1][-1], 1]
            spans.append(LabelledSpan(int(begin), int(end), kind))
    tags = tag_tokens(spans, offsets, starts_word, labels=LABELS)
    scores = np.eye(len(LABELS), dtype=np.float32)[tags]
    found = decode_entities(
        scores,
        offsets,
        starts_word,
        text=TEXT,
        scheme=SCHEME,
        strategy="first",
        decoding=decoding,
    )
    assert [one.span for one in found] == spans


def tags_of(spans: list[tuple[int, int, str]], *words: tuple[int, int]) -> list[str]:
    offsets = np.array(words, dtype=np.int64)
    labelled = [LabelledSpan(*span) for span in spans]
    tags = tag_tokens(labelled, offsets, np.ones(len(words), dtype=np.bool_), labels=LABELS)
    return [LABELS[tag] for tag in tags]


def test_spans_that_end_within_a_word_are_widened() -> None:
    words = (0, 4), (5, 9), (10, 14)
    assert tags_of([(2, 6, "PER")], *words) == ["B-PER", "I-PER", "O"]
    assert tags_of([(6, 7, "PER")], *words) == ["O", "B-PER", "O"]
    # White space alone belongs to no word.
    assert tags_of([(4, 5, "PER"), (9, 10, "LOC"), (14, 90, "LOC")], *words) == ["O"] * 3


def test_a_word_of_two_spans_goes_to_the_first() -> None:
    words = (0, 4), (5, 9), (10, 14)
    assert tags_of([(7, 14, "LOC"), (0, 6, "PER")], *words) == ["B-PER", "I-PER", "B-LOC"]
    assert tags_of([(5, 6, "PER"), (7, 8, "LOC")], *words) == ["O", "B-PER", "O"]


def test_types_beyond_the_labels_are_left_out() -> None:
    assert tags_of([(0, 4, "DATE"), (2, 9, "PER")], (0, 4), (5, 9)) == ["B-PER", "I-PER"]


def test_no_tokens_and_no_spans() -> None:
    nothing = np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.bool_)
    assert tag_tokens([LabelledSpan(0, 3, "PER")], *nothing, labels=LABELS).shape == (0,)
    assert tags_of([], (0, 4), (5, 9)) == ["O", "O"]


@pytest.mark.parametrize(
    ("types", "labels"),
    [
        (["B", "A", "B"], ("O", "B-A", "I-A", "B-B", "I-B")),
        (["É", "Z"], ("O", "B-Z", "I-Z", "B-É", "I-É")),
        ([], ("O",)),
    ],
)
def test_labels_of_types(types: list[str], labels: tuple[str, ...]) -> None:
    assert bio_labels(types) == labels


def test_work_grows_in_proportion_to_the_document() -> None:
    def work(n_words: int) -> int:
        offsets = counted(np.array([[3 * word, 3 * word + 2] for word in range(n_words)]))
        spans = [LabelledSpan(at, at + 5, "PER") for at in range(0, 3 * n_words, 9)]
        starts_word = counted(np.ones(n_words, np.bool_))
        return work_of(lambda: tag_tokens(spans, offsets, starts_word, labels=LABELS))

    # A little more than in proportion, for what is looked up among more words.
    assert work(2_000) < 4.5 * work(500)
