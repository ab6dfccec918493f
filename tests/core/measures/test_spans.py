"""Entities on character spans, against tokens counted by seqeval's rules and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.measures.spans import (
    NO_LABEL,
    EntityError,
    entity_errors,
    entity_measures,
    flatten_spans,
)
from longbert.errors import ConfigError
from longbert.records import LabelledSpan

LABELS = ("LOC", "ORG", "PER")

spans = st.builds(
    lambda start, n, label: LabelledSpan(start, start + n, label),
    st.integers(0, 12),
    st.integers(1, 4),
    st.sampled_from(LABELS),
)
any_spans = st.lists(spans, max_size=8)
flat_spans = any_spans.map(lambda given: flatten_spans(given)[0])
documents = st.lists(st.tuples(flat_spans, flat_spans), min_size=1, max_size=5)


def span(start, stop, label="PER"):
    return LabelledSpan(start, stop, label)


def overlap(one, other):
    return min(one.char_end, other.char_end) - max(one.char_start, other.char_start)


def iob2(document):
    """A tag for each character."""
    tags = ["O"] * 20
    for one in document:
        tags[one.char_start] = f"B-{one.label}"
        for place in range(one.char_start + 1, one.char_end):
            tags[place] = f"I-{one.label}"
    return tags


def entities_of_tags(tags):
    """What IOB2 tags say in strict mode: an entity begins with B and goes on with I."""
    found = set()
    for start, tag in enumerate(tags):
        if tag.startswith("B-"):
            stop = start + 1
            while stop < len(tags) and tags[stop] == f"I-{tag[2:]}":
                stop += 1
            found.add((start, stop, tag[2:]))
    return found


@given(documents)
def test_counts_as_strict_tags_of_characters(pairs):
    found = entity_measures(*zip(*pairs, strict=True))
    gold, predicted = (
        {(i, *one) for i, pair in enumerate(pairs) for one in entities_of_tags(iob2(pair[side]))}
        for side in range(2)
    )
    n_right = len(gold & predicted)
    assert found.precision == (n_right / len(predicted) if predicted else 0)
    assert found.recall == (n_right / len(gold) if gold else 0)
    total = len(gold) + len(predicted)
    assert found.f1.value == pytest.approx(2 * n_right / total if total else 0)
    each = []
    for one in found.per_label:
        g, p = ({x for x in side if x[-1] == one.label} for side in (gold, predicted))
        assert (one.n_gold, one.n_predicted, one.n_correct) == (len(g), len(p), len(g & p))
        each.append(2 * len(g & p) / (len(g) + len(p)))
    assert found.macro_f1.value == pytest.approx(np.mean(each) if each else 0)


@given(documents)
def test_confusion_and_errors_add_up(pairs):
    found = entity_measures(*zip(*pairs, strict=True), labels=LABELS)
    content = found.to_json()
    assert content["confusion"]["labels"] == [*LABELS, NO_LABEL]
    assert found.confusion[:-1].sum(axis=1).tolist() == [one.n_gold for one in found.per_label]
    of_predicted = found.confusion[:, :-1].sum(axis=0).tolist()
    assert of_predicted == [one.n_predicted for one in found.per_label]
    assert np.diag(found.confusion)[:-1].tolist() == [one.n_correct for one in found.per_label]
    kinds = found.n_errors
    n_gold, n_predicted, n_right = (
        sum(getattr(one, name) for one in found.per_label)
        for name in ("n_gold", "n_predicted", "n_correct")
    )
    pairs_ = kinds["wrong border"] + kinds["wrong label"]
    assert n_right + kinds["missed"] + pairs_ == n_gold
    assert n_right + kinds["spurious"] + pairs_ == n_predicted


@given(any_spans, any_spans)
def test_each_span_is_in_at_most_one_error_and_no_pair_is_overlooked(gold, predicted):
    errors = entity_errors(gold, predicted)
    for name, side, other in (("gold", gold, predicted), ("predicted", predicted, gold)):
        involved = [one for error in errors if (one := getattr(error, name)) is not None]
        assert sorted(involved) == sorted(set(side) - set(other))
    for error in errors:
        if error.kind == "wrong label":
            assert overlap(error.gold, error.predicted) > 0
            assert error.gold.label != error.predicted.label
            assert (error.gold.char_start, error.gold.char_end) == (
                error.predicted.char_start,
                error.predicted.char_end,
            )
        elif error.kind == "wrong border":
            assert error.gold.label == error.predicted.label
            assert overlap(error.gold, error.predicted) > 0
    missed = [error.gold for error in errors if error.kind == "missed"]
    spurious = [error.predicted for error in errors if error.kind == "spurious"]
    for one in missed:
        for other in spurious:
            same_span = (one.char_start, one.char_end) == (other.char_start, other.char_end)
            assert not same_span
            assert one.label != other.label or overlap(one, other) <= 0
    assert errors == entity_errors(gold[::-1], predicted[::-1])
    assert [error.char_start for error in errors] == sorted(error.char_start for error in errors)


@given(any_spans, any_spans)
def test_wrong_borders_are_paired_best_first(gold, predicted):
    """Take the best of all pairs that are left, again and again."""
    right, found = set(gold), set(predicted)
    missed, spurious = right - found, found - right
    for error in entity_errors(gold, predicted):
        if error.kind == "wrong label":
            missed.remove(error.gold)
            spurious.remove(error.predicted)
    expected = set()
    while True:
        pairs = [
            (-overlap(one, other), one, other)
            for one in missed
            for other in spurious
            if one.label == other.label and overlap(one, other) > 0
        ]
        if not pairs:
            break
        _, one, other = min(pairs)
        missed.remove(one)
        spurious.remove(other)
        expected.add((one, other))
    borders = {
        (error.gold, error.predicted)
        for error in entity_errors(gold, predicted)
        if error.kind == "wrong border"
    }
    assert borders == expected


def test_the_four_kinds_of_error():
    gold = [span(0, 5), span(10, 15), span(20, 25, "ORG"), span(30, 35), span(40, 45)]
    predicted = [span(0, 5), span(10, 17), span(20, 25, "LOC"), span(41, 44, "ORG"), span(50, 55)]
    assert entity_errors(gold, predicted) == (
        EntityError("wrong border", span(10, 15), span(10, 17)),
        EntityError("wrong label", span(20, 25, "ORG"), span(20, 25, "LOC")),
        EntityError("missed", span(30, 35), None),
        EntityError("missed", span(40, 45), None),
        EntityError("spurious", None, span(41, 44, "ORG")),
        EntityError("spurious", None, span(50, 55)),
    )
    found = entity_measures([gold], [predicted])
    assert found.n_errors == {"missed": 2, "spurious": 2, "wrong border": 1, "wrong label": 1}
    assert found.f1.value == pytest.approx(0.2)


def test_documents_without_entities_are_right():
    found = entity_measures([[], []], [[], []])
    assert (found.precision, found.recall, found.f1.value) == (0, 0, 0)
    assert found.confusion.tolist() == [[0]]


def test_sides_of_different_length():
    with pytest.raises(ConfigError, match="1 and 0 documents"):
        entity_measures([[]], [])


@given(any_spans)
def test_flattening_as_one_span_after_the_other(given_spans):
    kept = []
    for one in sorted(given_spans, key=lambda s: (-(s.char_end - s.char_start), s.char_start)):
        if all(overlap(one, other) <= 0 for other in kept):
            kept.append(one)
    assert flatten_spans(given_spans) == (tuple(sorted(kept)), len(given_spans) - len(kept))


def test_flattening_keeps_the_longest_then_the_earlier_then_the_first_named():
    assert flatten_spans([span(0, 3), span(2, 8), span(7, 9)]) == ((span(2, 8),), 2)
    assert flatten_spans([span(2, 4), span(0, 3), span(1, 3)]) == ((span(0, 3),), 2)
    assert flatten_spans([span(0, 3), span(1, 3)]) == ((span(0, 3),), 1)
    both = [span(0, 3, "PER"), span(0, 3, "LOC")]
    assert flatten_spans(both)[0] == (both[0],)
    assert flatten_spans(both[::-1])[0] == (both[1],)
    assert flatten_spans([span(0, 3), span(3, 5)]) == ((span(0, 3), span(3, 5)), 0)
