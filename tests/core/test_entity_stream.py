"""Entities of tokens that come in pieces, against those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.config import ENTITY_DECODINGS, ENTITY_STRATEGIES
from longbert.core.crf import LineEnds, crf_stream, ends_at_line_breaks
from longbert.core.entity_decoding import decode_entities, entity_stream
from longbert.core.entity_stream import BestLabels, EntityStream, FoundEntity
from longbert.core.tag_scheme import TagScheme
from longbert.core.text_stream import TextStream

SCHEMES = (
    ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES")),
    ("O", "PER", "LOC"),
)


@dataclass(frozen=True)
class Drawn:
    """Tokens of a text with scores, and places to cut them at."""

    text: str
    scores: np.ndarray
    offsets: np.ndarray
    starts_word: np.ndarray
    scheme: TagScheme
    cuts: Sequence[int]


@st.composite
def cut_tokens(draw: st.DrawFn, schemes: Sequence[tuple[str, ...]] = SCHEMES) -> Drawn:
    labels = draw(st.sampled_from(schemes))
    generator = np.random.default_rng(draw(st.integers(0, 999)))
    n_tokens = int(generator.integers(0, 60))
    starts_word = generator.random(n_tokens) < 0.7
    ends = np.cumsum(generator.integers(1, 4, n_tokens) + starts_word)
    starts = np.append(0, ends[:-1])[:n_tokens] + starts_word
    # Few values, so that ties and long entities are common; some tokens share characters.
    scores = generator.choice([0.0, 0.25, 0.5, 1.0], (n_tokens, len(labels)))
    starts = np.maximum(0, starts - (generator.random(n_tokens) < 0.1))
    n_chars = int(ends[-1]) + 3 if n_tokens else 3
    return Drawn(
        text="".join(generator.choice([*"abc \n"], n_chars)),
        scores=scores.astype(np.float32),
        offsets=np.stack([starts, ends], axis=1).astype(np.int64),
        starts_word=starts_word,
        scheme=TagScheme.from_id2label(dict(enumerate(labels)), source="test"),
        cuts=np.sort(generator.integers(0, n_tokens + 1, generator.integers(0, 8))).tolist(),
    )


def streamed(stream: EntityStream, drawn: Drawn) -> list[FoundEntity]:
    """What a stream finds in pieces of a text that is released as soon as it may be."""
    text = TextStream()
    found = []
    for start, stop in pairwise([0, *drawn.cuts, len(drawn.scores)]):
        if start < stop:
            text.add(drawn.text[len(text) : int(drawn.offsets[:stop, 1].max())])
            piece = slice(start, stop)
            found += stream.add(
                text, drawn.scores[piece], drawn.offsets[piece], drawn.starts_word[piece]
            )
            # A token may begin one character before the one ahead of it has ended.
            first = stream.first_char
            text.release(len(text) - 1 if first is None else min(first, len(text) - 1))
    text.add(drawn.text[len(text) :])
    return found + stream.finish(text)


def bits(found: Sequence[FoundEntity]) -> list[Any]:
    return [(one.span, one.row.tobytes()) for one in found]


def same_however_cut(make: Callable[[TagScheme], EntityStream], drawn: Drawn) -> None:
    whole = streamed(make(drawn.scheme), replace(drawn, cuts=()))
    assert bits(streamed(make(drawn.scheme), drawn)) == bits(whole)


@pytest.mark.parametrize("strategy", ENTITY_STRATEGIES)
@pytest.mark.parametrize("decoding", ENTITY_DECODINGS)
def test_cuts_anywhere_change_no_entity(
    strategy: str, decoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BestLabels, "most_held", 4)

    @given(cut_tokens())
    def check(drawn: Drawn) -> None:
        same_however_cut(
            lambda scheme: entity_stream(scheme, strategy=strategy, decoding=decoding), drawn
        )

    check()


@given(cut_tokens(SCHEMES[:1]), st.integers(0, 99))
def test_cuts_anywhere_change_no_entity_of_learned_transitions(drawn: Drawn, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(0, 1, (5, 5)).astype(np.float32)
    same_however_cut(
        lambda scheme: crf_stream(scheme, replace(scheme.transitions(), scores=scores)), drawn
    )


@given(cut_tokens())
def test_a_table_of_paths_finds_what_the_best_labels_are(drawn: Drawn) -> None:
    """Where the best labels of all words are allowed, whether or not they are held until then."""
    options: dict[str, Any] = {
        "text": drawn.text,
        "scheme": drawn.scheme,
        "strategy": "first",
        "decoding": "viterbi",
    }
    held = decode_entities(drawn.scores, drawn.offsets, drawn.starts_word, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BestLabels, "most_held", -1)
        decoded = decode_entities(drawn.scores, drawn.offsets, drawn.starts_word, **options)
    assert decoded == held


@given(cut_tokens())
def test_cuts_anywhere_change_no_end_of_a_line(drawn: Drawn) -> None:
    lines, text = LineEnds(), TextStream()
    found = []
    for piece in np.split(drawn.offsets, drawn.cuts):
        if len(piece):
            text.add(drawn.text[len(text) : int(piece[:, 1].max())])
        found += lines.add(text, piece).tolist()
        text.release(lines.first_char)
    assert found == ends_at_line_breaks(drawn.text, drawn.offsets).tolist()


@pytest.mark.parametrize("decoding", ENTITY_DECODINGS)
def test_only_what_may_still_change_is_held_back(
    decoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BestLabels, "most_held", 50)
    scheme = TagScheme.from_id2label(dict(enumerate(SCHEMES[0])), source="test")
    stream = entity_stream(scheme, strategy="first", decoding=decoding)
    labels = np.array([0, 0, 1, 2, 0, 3, 0])
    text = TextStream()
    n_found = 0
    for piece in range(100):
        starts = 2 * np.arange(7) + 14 * piece
        text.add("a " * 7)
        scores = np.eye(5, dtype=np.float32)[labels] * 0.9 + 0.02
        offsets = np.stack([starts, starts + 1], axis=1)
        n_found += len(stream.add(text, scores, offsets, np.ones(7, dtype=np.bool_)))
        assert stream.first_char is not None
        if piece > 10:
            assert len(text) - stream.first_char <= 2 * 14
        text.release(stream.first_char)
    assert n_found + len(stream.finish(text)) == 200
