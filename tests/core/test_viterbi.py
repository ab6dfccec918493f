"""Viterbi against all sequences written out, and against the rules of each tagging scheme."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.entity_decoding import decode_entities
from longbert.core.tag_scheme import TagScheme
from longbert.core.viterbi import Transitions, ViterbiDecoder, best_labels
from longbert.records import LabelledSpan

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
IOB1 = ("I-PER", "I-LOC", "O", "B-LOC")
BIOES = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
PLAIN = ("O", "PER", "LOC")
SCHEMES = (BIO, IOB1, BIOES, PLAIN)


def scheme_of(labels: tuple[str, ...]) -> TagScheme:
    return TagScheme.from_id2label(dict(enumerate(labels)), source="model")


def is_allowed(tags: list[str], labels: tuple[str, ...]) -> bool:
    """The scheme's rule for each pair of neighbours, with O before and after."""
    if labels in (PLAIN, IOB1):
        return True
    for before, after in pairwise(["O", *tags, "O"]):
        same_type = before[2:] == after[2:]
        continues, is_open = after[0] in "IE", before[0] in "BI"
        fits = not continues or (is_open and same_type)
        if labels is BIOES:
            fits = fits and (not is_open or continues)
        if not fits:
            return False
    return True


@st.composite
def scores_of_words(draw: st.DrawFn) -> tuple[np.ndarray, tuple[str, ...]]:
    labels = draw(st.sampled_from(SCHEMES))
    n_words = draw(st.integers(0, 4 if labels is BIOES else 5))
    seed = draw(st.integers(0, 2**32 - 1))
    scores = np.random.default_rng(seed).random((n_words, len(labels)), dtype=np.float32)
    zeros = draw(st.lists(st.booleans(), min_size=scores.size, max_size=scores.size))
    # Half of the zeros that were drawn, so that not all sequences are impossible.
    scores[np.array(zeros, bool).reshape(scores.shape) & (scores < 0.5)] = 0
    return scores, labels


@given(scores_of_words())
def test_no_allowed_sequence_has_a_higher_product(
    drawn: tuple[np.ndarray, tuple[str, ...]],
) -> None:
    scores, labels = drawn
    found = best_labels(scores, scheme_of(labels).transitions()).tolist()
    assert is_allowed([labels[label] for label in found], labels)

    def log_product(sequence: tuple[int, ...] | list[int]) -> float:
        chosen = [float(row[label]) for row, label in zip(scores, sequence, strict=True)]
        return sum(np.log(score) if score else -1e4 for score in chosen)

    best = max(
        log_product(sequence)
        for sequence in product(range(len(labels)), repeat=len(scores))
        if is_allowed([labels[label] for label in sequence], labels)
    )
    assert log_product(found) == pytest.approx(best)


@given(scores_of_words(), st.lists(st.integers(0, 5), max_size=4))
def test_cuts_anywhere_change_nothing(
    drawn: tuple[np.ndarray, tuple[str, ...]], cuts: list[int]
) -> None:
    logs, labels = drawn
    learned = np.random.default_rng(len(logs)).normal(size=(len(labels), len(labels)))
    transitions = replace(scheme_of(labels).transitions(), scores=learned.astype(np.float32))
    whole = ViterbiDecoder(transitions)
    whole.feed(logs)
    in_pieces = ViterbiDecoder(transitions)
    for piece in np.split(logs, sorted(cut for cut in cuts if cut <= len(logs))):
        in_pieces.feed(piece)
    assert in_pieces.finish().tolist() == whole.finish().tolist()


def plain_viterbi(rows: np.ndarray, transitions: Transitions) -> list[int]:
    """The textbook's algorithm, element by element."""
    table = np.where(transitions.next, transitions.scores, -np.inf)
    best = np.where(transitions.first, 0.0, -np.inf) + rows[0]
    paths = [[label] for label in range(len(table))]
    for row in rows[1:]:
        came_from = (best[:, None] + table).argmax(axis=0)
        best = (best[:, None] + table).max(axis=0) + row
        paths = [[*paths[before], label] for label, before in enumerate(came_from.tolist())]
    return paths[int((best + np.where(transitions.last, 0.0, -np.inf)).argmax())]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SCHEMES),
    st.sampled_from([0.0, 4.0, 12.0]),
    st.sampled_from([0.0, 1.0, 4.0]),
    st.lists(st.integers(1, 60), max_size=3),
)
def test_what_is_passed_at_once_changes_no_label(
    seed: int, labels: tuple[str, ...], outside: float, learned: float, cuts: list[int]
) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(60, len(labels))) * 4
    scheme = scheme_of(labels)
    rows[generator.random(60) < 0.8, labels.index("O")] += outside
    scores = (generator.normal(size=(len(labels), len(labels))) * learned).astype(np.float32)
    transitions = replace(scheme.transitions(), scores=scores)
    decoder = ViterbiDecoder(transitions)
    found: list[int] = []
    for piece in np.split(rows, sorted(cuts)):
        decoder.feed(piece)
        found += decoder.settled().tolist()
    assert [*found, *decoder.finish().tolist()] == plain_viterbi(rows, transitions)


@pytest.mark.parametrize("cut", range(1, 5))
def test_an_entity_may_begin_before_a_cut_and_be_worth_it_only_behind(cut: int) -> None:
    """Its first three words score less than outside, its last one much more."""
    rows = np.zeros((5, len(BIO)))
    rows[:, 1::2] = -30.0
    rows[:, 2::2] = -3.0
    rows[0, BIO.index("B-PER")] = -5.0
    rows[3, BIO.index("I-PER")] = 20.0
    decoder = ViterbiDecoder(replace(scheme_of(BIO).transitions(), scores=np.zeros((5, 5))))
    for piece in np.split(rows, [cut]):
        decoder.feed(piece)
    assert decoder.finish().tolist() == [1, 2, 2, 2, 0]


@pytest.mark.parametrize("labels", SCHEMES)
def test_transitions_are_those_of_the_scheme(labels: tuple[str, ...]) -> None:
    transitions = scheme_of(labels).transitions()
    for sequence in product(range(len(labels)), repeat=3):
        allowed = is_allowed([labels[label] for label in sequence], labels)
        assert transitions.allow(np.array(sequence)) == allowed, [labels[i] for i in sequence]


def test_an_allowed_greedy_sequence_is_the_best_one() -> None:
    transitions = scheme_of(BIO).transitions()
    scores = np.eye(5, dtype=np.float32)[[0, 1, 2, 0, 3]] * 0.9 + 0.02
    assert best_labels(scores, transitions).tolist() == [0, 1, 2, 0, 3]


def test_viterbi_mends_what_greedy_breaks() -> None:
    """'New York' whose second word is taken for a person: one place, not two entities."""
    scores = np.array([[0.1, 0.0, 0.0, 0.9, 0.0], [0.0, 0.0, 0.55, 0.0, 0.45]], np.float32)
    offsets = np.array([[0, 3], [4, 8]])
    words = np.array([True, True])
    found = {}
    for decoding in ("greedy", "viterbi"):
        spans = decode_entities(
            scores,
            offsets,
            words,
            text="New York",
            scheme=scheme_of(BIO),
            strategy="first",
            decoding=decoding,
        )
        found[decoding] = [one.span for one in spans]
    assert found["greedy"] == [LabelledSpan(0, 3, "LOC"), LabelledSpan(4, 8, "PER")]
    assert found["viterbi"] == [LabelledSpan(0, 8, "LOC")]


def test_free_transitions_are_greedy() -> None:
    anything = np.ones(3, bool)
    free = Transitions(anything, np.ones((3, 3), bool), anything)
    scores = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    assert best_labels(scores, free).tolist() == scores.argmax(axis=1).tolist()
