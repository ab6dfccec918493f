"""Entities against the rules written out word by word, and against the tags they came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.work import counted, work_of

from longbert.config import ENTITY_DECODINGS, ENTITY_STRATEGIES
from longbert.core.entity_decoding import decode_entities
from longbert.core.tag_scheme import TagScheme
from longbert.errors import ModelError
from longbert.records import LabelledSpan, ScoredSpan

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
BIO_UNDERSCORE = ("B_PER", "I_PER", "O", "B_LOC", "I_LOC")
IOB1 = ("I-PER", "I-LOC", "O", "B-LOC")
BIOES = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES"))
BILOU = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BILU"))
BMES = ("O", *(f"{prefix}_{kind}" for kind in ("PER", "LOC") for prefix in "BMES"))
PLAIN = ("O", "PER", "LOC")
HYPHENATED = ("O", "NON-PER", "LOC")
TEXT = "x" * 200
SCHEMES = (BIO, BIO_UNDERSCORE, IOB1, BIOES, BILOU, BMES, PLAIN, HYPHENATED)


def scheme_of(labels: Sequence[str]) -> TagScheme:
    return TagScheme.from_id2label(dict(enumerate(labels)), source="model")


@st.composite
def scored_tokens(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Scores, offsets and word starts of a document, and the labels."""
    labels = draw(st.sampled_from(SCHEMES))
    n_tokens = draw(st.integers(0, 14))
    # Few values, so that ties and long entities are common.
    score = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    row = st.lists(score, min_size=len(labels), max_size=len(labels))
    scores = draw(st.lists(row, min_size=n_tokens, max_size=n_tokens))
    starts_word = draw(st.lists(st.booleans(), min_size=n_tokens, max_size=n_tokens))
    offsets, end = [], 0
    for starts in starts_word:
        start = end + 1 if starts else end
        end = start + draw(st.integers(1, 3))
        offsets.append([start, end])
    return (
        np.array(scores, np.float32).reshape(n_tokens, len(labels)),
        np.array(offsets, np.int64).reshape(n_tokens, 2),
        np.array(starts_word, bool),
        labels,
    )


def slow_decode(
    scores: np.ndarray,
    offsets: np.ndarray,
    starts_word: np.ndarray,
    labels: tuple[str, ...],
    strategy: str,
) -> list[ScoredSpan]:
    words: list[list[int]] = []
    for token in range(len(scores)):
        if token == 0 or starts_word[token] or strategy == "simple":
            words.append([])
        words[-1].append(token)

    has_prefixes = labels not in (PLAIN, HYPHENATED)
    spans: list[ScoredSpan] = []
    members: list[float] = []
    previous = "O"
    for word in words:
        rows = [scores[token].tolist() for token in word]
        if strategy in ("simple", "first"):
            row = rows[0]
        elif strategy == "average":
            row = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        else:
            row = max(rows, key=max)
        label = labels[row.index(max(row))]

        prefix, kind = (label[0], label[2:]) if has_prefixes and label != "O" else ("I", label)
        last = (previous[0], previous[2:]) if has_prefixes and previous != "O" else ("I", previous)
        continues = kind == last[1] and prefix not in "BSU" and last[0] not in "ESLU"
        if label != "O":
            start, end = int(offsets[word[0], 0]), int(offsets[word[-1], 1])
            if continues:
                members.append(max(row))
                start = spans.pop().span.char_start
            else:
                members = [max(row)]
            spans.append(ScoredSpan(LabelledSpan(start, end, kind), sum(members) / len(members)))
        previous = label
    return spans


def same(found: list[ScoredSpan], expected: list[ScoredSpan]) -> bool:
    return [e.span for e in found] == [e.span for e in expected] and [
        e.score for e in found
    ] == pytest.approx([e.score for e in expected], rel=1e-6)


@given(scored_tokens(), st.sampled_from(ENTITY_STRATEGIES))
def test_entities_equal_the_rules_written_out(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]], strategy: str
) -> None:
    scores, offsets, starts_word, labels = drawn

    found = decode_entities(
        scores, offsets, starts_word, text=TEXT, scheme=scheme_of(labels), strategy=strategy
    )

    assert same(found, slow_decode(scores, offsets, starts_word, labels, strategy))


@st.composite
def true_entities(draw: st.DrawFn) -> tuple[int, list[tuple[str, int, int]]]:
    """A number of words, and entities among them: type, first word, word after the last."""
    entities, word = [], draw(st.integers(0, 2))
    for kind in draw(st.lists(st.sampled_from(["PER", "LOC"]), max_size=6)):
        stop = word + draw(st.integers(1, 4))
        entities.append((kind, word, stop))
        word = stop + draw(st.integers(0, 2))
    return word + 1, entities


def tags(n_words: int, entities: list[tuple[str, int, int]], labels: tuple[str, ...]) -> list[str]:
    """Entities as an annotator writes them in the scheme of ``labels``."""
    found = ["O"] * n_words
    mark = next(label for label in labels if label.endswith("LOC"))[1]
    last_kind, last_stop = "", -1
    for kind, start, stop in entities:
        inner = "M" if labels == BMES else "I"
        prefixes = ["B", *inner * (stop - start - 1)]
        if labels == IOB1 and (kind, start) != (last_kind, last_stop):
            prefixes[0] = "I"
        if labels in (BIOES, BILOU, BMES):
            prefixes[-1] = "L" if labels == BILOU else "E"
            if stop - start == 1:
                prefixes = ["U" if labels == BILOU else "S"]
        found[start:stop] = [f"{prefix}{mark}{kind}" for prefix in prefixes]
        last_kind, last_stop = kind, stop
    return found


@given(true_entities(), st.sampled_from([BIO, BIO_UNDERSCORE, IOB1, BIOES, BILOU, BMES]))
def test_tagged_entities_come_back(
    drawn: tuple[int, list[tuple[str, int, int]]], labels: tuple[str, ...]
) -> None:
    n_words, entities = drawn
    if labels == IOB1:
        # These labels have no B-PER: no two persons may touch.
        labels = (*IOB1, "B-PER")
    tagged = tags(n_words, entities, IOB1 if labels[:4] == IOB1 else labels)
    scores = np.eye(len(labels), dtype=np.float32)[[labels.index(tag) for tag in tagged]]
    offsets = np.array([[4 * word, 4 * word + 3] for word in range(n_words)])

    found = decode_entities(
        scores,
        offsets,
        np.ones(n_words, bool),
        text=TEXT,
        scheme=scheme_of(labels),
        strategy="first",
    )

    assert found == [
        ScoredSpan(LabelledSpan(4 * start, 4 * stop - 1, kind), 1.0)
        for kind, start, stop in entities
    ]


@pytest.mark.parametrize(
    ("labels", "name", "types"),
    [
        (BIO, "BIO", (None, "PER", "PER", "LOC", "LOC")),
        (BIO_UNDERSCORE, "BIO", ("PER", "PER", None, "LOC", "LOC")),
        (IOB1, "IOB1", ("PER", "LOC", None, "LOC")),
        (BIOES, "BIOES", (None, *["PER"] * 4, *["LOC"] * 4)),
        (BILOU, "BIOES", (None, *["PER"] * 4, *["LOC"] * 4)),
        (BMES, "BIOES", (None, *["PER"] * 4, *["LOC"] * 4)),
        (PLAIN, "plain", (None, "PER", "LOC")),
        (HYPHENATED, "plain", (None, "NON-PER", "LOC")),
        (("O", "B-first-name", "I-first-name"), "BIO", (None, "first-name", "first-name")),
        (("O", "B-PER", "date"), "plain", (None, "B-PER", "date")),
        (("O", "B-PER", "I-PER", "[CLS]", "X", "<pad>"), "BIO", (None, "PER", "PER", *[None] * 3)),
    ],
)
def test_schemes(labels: tuple[str, ...], name: str, types: tuple[str | None, ...]) -> None:
    scheme = scheme_of(labels)
    assert (scheme.name, scheme.types) == (name, types)


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1"), ("B-PER", "I-PER"), ("O",), ("O", "O")])
def test_labels_that_tag_nothing_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as raised:
        scheme_of(labels)
    message = str(raised.value)
    assert message.startswith(f"model: the labels {', '.join(labels)} are no tagging scheme")
    assert message.endswith("Set id2label in the model's config.json")


def test_a_label_without_the_prefix_of_the_others_is_refused() -> None:
    with pytest.raises(ModelError, match="the label 'LOC' has no prefix, but others have"):
        scheme_of(("O", "B-PER", "I-PER", "LOC"))


def test_a_first_token_inside_a_word_begins_one() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)
    found = decode_entities(
        scores,
        np.array([[0, 2], [2, 5]]),
        np.array([False, False]),
        text=TEXT,
        scheme=scheme_of(("O", "PER")),
        strategy="first",
    )
    assert [one.span for one in found] == [LabelledSpan(0, 5, "PER")]


@pytest.mark.parametrize("decoding", ENTITY_DECODINGS)
@pytest.mark.parametrize("strategy", ENTITY_STRATEGIES)
@pytest.mark.parametrize("pattern", [["B-PER", "I-PER", "O"], ["I-PER"], ["B-PER", "I-LOC"]])
def test_work_grows_in_proportion_to_the_document(
    pattern: list[str], strategy: str, decoding: str
) -> None:
    """Many short entities, a single one as long as the document, and sequences to be mended."""

    def work(n_words: int) -> int:
        tags = [BIO.index(pattern[word % len(pattern)]) for word in range(n_words)]
        scores = counted(np.eye(len(BIO), dtype=np.float32)[tags])
        offsets = counted(np.array([[3 * word, 3 * word + 2] for word in range(n_words)]))
        return work_of(
            lambda: decode_entities(
                scores,
                offsets,
                counted(np.ones(n_words, np.bool_)),
                text="ab " * n_words,
                scheme=scheme_of(BIO),
                strategy=strategy,
                decoding=decoding,
            )
        )

    assert work(2_000) < 4.2 * work(500)
