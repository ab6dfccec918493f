"""What is shown of a document: its best passages, widened to the borders of sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from longbert.arrays import FloatArray, IntArray
from longbert.core.ranking import MEAN_OF, ScoredPassage, Span, join_neighbours, top_passages
from longbert.core.sentences import sentence_spans, strongest, widened
from longbert.index.lexical.analysis import analyse
from longbert.index.lexical.words import characters_of, words_of
from longbert.index.snapshot import IndexSnapshot
from longbert.index.texts import read_texts

WIDENED_CHARS = 400
"""That an excerpt may grow on either side."""

_NEIGHBOURS = 2
"""Passages that are read before and after one that is shown."""

_TITLE_CHARS = 80

_HEADING = re.compile(r"^#{1,6}\s+")

_MARKED_FROM = 0.3
"""Least weight of a word that is marked, as a share of the query's weightiest: most stop words have
less, without a list of them for each language."""


@dataclass(frozen=True, slots=True)
class HitPassage:
    """A stretch of a document that fits the query.

    Attributes:
        char_start, char_end: half-open, in code points of the document's text.
        text: the document's text at that span.
        words: where the words of the query stand in ``text``, half-open.
        strongest: the sentence of ``text`` with most of them; None without any.
        is_cut: whether its first sentence begins before it, and its last one ends behind it.
    """

    char_start: int
    char_end: int
    score: float
    text: str
    words: tuple[tuple[int, int], ...] = ()
    strongest: tuple[int, int] | None = None
    is_cut: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found.

    Attributes:
        rank: counts from 1.
        passages: that fit best, best first.
        title: its first line.
        n_chars: of its text.
    """

    rank: int
    document_id: str
    score: float
    passages: tuple[HitPassage, ...]
    title: str = ""
    n_chars: int = 0


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is shown of one document; see :class:`Hit`."""

    title: str
    n_chars: int
    passages: tuple[HitPassage, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that a query found.

    Attributes:
        document: its position.
        scores: of its passages, by ordinal. Shape: (passages,).
        weights: of the words of the query, by number.
    """

    document: int
    scores: FloatArray
    weights: Mapping[int, float]


def read_excerpts(snapshot: IndexSnapshot, documents: Sequence[Wanted]) -> list[Excerpt]:
    """Read the best passages of some documents, all together."""
    # The lexical index is not read where there is no word to mark.
    languages = snapshot.words.languages if any(one.weights for one in documents) else ()
    plans = []
    for found in documents:
        scores = found.scores
        rows, _ = snapshot.rows_of(np.array([found.document], np.int64))
        best = top_passages(scores, np.arange(len(rows)), MEAN_OF)
        near = {int(one) + step for one in best for step in range(-_NEIGHBOURS, _NEIGHBOURS + 1)}
        read = sorted({one for one in (0, *near) if 0 <= one < len(rows)})
        plans.append((rows, found, best, read))
    wanted = [int(rows[one]) for rows, _, _, read in plans for one in read]
    texts = read_texts(snapshot, wanted)
    excerpts = []
    for rows, found, best, read in plans:
        own = {one: texts[int(rows[one])] for one in read}
        starts, ends = snapshot.spans(found.document)
        spans = join_neighbours(
            ScoredPassage(int(one), int(starts[one]), int(ends[one]), float(found.scores[one]))
            for one in best
        )
        passages = _without_overlap([_widened(span, own, starts) for span in spans])
        excerpts.append(
            Excerpt(
                title=_first_line(own.get(0, "")),
                n_chars=int(ends[-1]) if len(ends) else 0,
                passages=tuple(_marked(one, found.weights, languages) for one in passages),
            )
        )
    return excerpts


def _widened(span: Span, texts: Mapping[int, str], starts: IntArray) -> HitPassage:
    """A span widened to the borders of sentences, as far as these can be seen."""
    first, last = span.first_ordinal, span.last_ordinal
    while first - 1 in texts and span.first_ordinal - first < _NEIGHBOURS:
        first -= 1
    while last + 1 in texts and last - span.last_ordinal < _NEIGHBOURS:
        last += 1
    around = "".join(texts[one] for one in range(first, last + 1))
    base = int(starts[first])
    begin, stop = widened(
        around, span.char_start - base, span.char_end - base, limit_chars=WIDENED_CHARS
    )
    sentences = sentence_spans(around)
    # A sentence at either end of what was read may go on beyond it.
    begins = {one for one, _ in sentences[first > 0 :]}
    ends = {one for _, one in sentences[: len(sentences) - (last + 1 < len(starts))]}
    return HitPassage(
        char_start=base + begin,
        char_end=base + stop,
        score=span.score,
        text=around[begin:stop],
        is_cut=(begin < stop and begin not in begins, begin < stop and stop not in ends),
    )


def _without_overlap(passages: Sequence[HitPassage]) -> list[HitPassage]:
    """Join those that widening made touch; best first."""
    joined: list[HitPassage] = []
    for one in sorted(passages, key=lambda one: one.char_start):
        if not joined or one.char_start > joined[-1].char_end:
            joined.append(one)
            continue
        before = joined[-1]
        joined[-1] = replace(
            before,
            char_end=max(before.char_end, one.char_end),
            score=max(before.score, one.score),
            text=before.text + one.text[before.char_end - one.char_start :],
            is_cut=(before.is_cut[0], max(before, one, key=lambda one: one.char_end).is_cut[1]),
        )
    return sorted(joined, key=lambda one: (-one.score, one.char_start))


def _marked(
    passage: HitPassage, weights: Mapping[int, float], languages: Sequence[str]
) -> HitPassage:
    text = passage.text
    least = _MARKED_FROM * max(weights.values(), default=0.0)
    found = [*words_of(text), *characters_of(text)] if weights else []
    places = [(begin, begin + len(word)) for begin, word in found]
    gains = np.zeros(len(places))
    for language in languages if places else ():
        own = analyse(text, language=language)
        terms = [*own.terms.tolist(), *own.character_terms.tolist()]
        gains = np.maximum(gains, [weights.get(term, 0.0) for term in terms])
    sentences = sentence_spans(text)
    place = strongest(
        # A sum that does not depend on the order, which a set does not keep from run to run.
        math.fsum(
            gain
            for gain, word in {
                (gain, text[begin:end].casefold())
                for gain, (begin, end) in zip(gains.tolist(), places, strict=True)
                if first <= begin < last
            }
        )
        for first, last in sentences
    )
    return replace(
        passage,
        words=tuple(
            where
            for where, gain in zip(places, gains.tolist(), strict=True)
            if gain > 0 and gain >= least
        ),
        strongest=None if place is None else sentences[place],
    )


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    # Without the mark that Markdown puts before a heading.
    line = " ".join(_HEADING.sub("", lines[0]).split()) if lines else ""
    return line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1].rstrip() + "…"
