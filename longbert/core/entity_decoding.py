"""Entities from label scores per token, decoded once over the whole document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.spans import settle
from longbert.core.viterbi import Transitions, best_labels
from longbert.core.words import first_tokens, hull, word_spans
from longbert.errors import ModelError
from longbert.records import LabelledSpan, ScoredSpan

OUTSIDE = "O"

_BEGIN = frozenset("BSU")
_END = frozenset("ESLU")
_PREFIXES = frozenset("BIESLUM")
_SPECIAL = frozenset({"pad", "cls", "sep", "mask", "unk", "s", "/s", "x", "start", "end"})
"""Names that training code gives to positions without a label."""


@dataclass(frozen=True)
class TagScheme:
    """What the labels of a tagging head mean.

    Attributes:
        name: ``BIO``, ``IOB1`` (told by a type that has I but no B), ``BIOES``, or ``plain`` for
            labels without prefixes.
        types: the entity type of each label; None for the label outside all entities.
        begins: whether a label always begins an entity.
        ends: whether a label always ends one.
    """

    name: str
    types: tuple[str | None, ...]
    begins: tuple[bool, ...]
    ends: tuple[bool, ...]

    @classmethod
    def from_id2label(cls, id2label: Mapping[int, str], *, source: str) -> TagScheme:
        """Recognise the scheme of a model's ``id2label``.

        BIO, IOB1 and BIOES (also as BILOU and BMES) with ``-`` or ``_`` behind the prefix, beside
        which labels of special tokens count as outside; plain types where none of them has the
        prefixes of a scheme.

        Args:
            id2label: labels by index, from 0 without gaps.
            source: the model's name, for messages.

        Raises:
            ModelError: there is no label ``O``, or nothing but that, or only some labels carry
                prefixes.
        """
        labels = [id2label[index] for index in range(len(id2label))]
        inside = [label for label in labels if label != OUTSIDE]
        if len(inside) == len(labels) or not inside:
            raise ModelError(
                f"{source}: the labels {', '.join(labels[:8])} are no tagging scheme: one of them "
                f"must be {OUTSIDE!r} and the others entity types, with or without B-, I-, E-, S-. "
                "Set id2label in the model's config.json"
            )
        prefixed = {label for label in inside if _has_prefix(label)}
        if len(prefixed) < len(inside) and not _has_pair(prefixed):
            types = tuple(None if label == OUTSIDE else label for label in labels)
            never = (False,) * len(labels)
            return cls("plain", types, never, never)
        unprefixed = [label for label in inside if label not in prefixed]
        unknown = [label for label in unprefixed if label.strip("[]<>").lower() not in _SPECIAL]
        if unknown:
            raise ModelError(
                f"{source}: the label {unknown[0]!r} has no prefix, but others have, such as "
                f"{min(prefixed)!r}, so they are no tagging scheme: give all of them one, or none, "
                "in the id2label of the model's config.json"
            )
        prefixes = [label[0] if label in prefixed else OUTSIDE for label in labels]
        types = tuple(label[2:] if label in prefixed else None for label in labels)
        if not set(prefixes) <= {"B", "I", OUTSIDE}:
            name = "BIOES"
        elif {types[i] for i, prefix in enumerate(prefixes) if prefix == "B"} >= set(types) - {
            None
        }:
            name = "BIO"
        else:
            name = "IOB1"
        return cls(
            name=name,
            types=types,
            begins=tuple(prefix in _BEGIN for prefix in prefixes),
            ends=tuple(prefix in _END for prefix in prefixes),
        )

    def transitions(self) -> Transitions:
        """Which labels the scheme allows to follow which.

        BIO: I only within an entity of its type. BIOES: moreover, an entity that was begun by B
        is ended by E. IOB1, where I begins entities, too, and plain labels: anything.
        """
        same = np.array([[one == other for other in self.types] for one in self.types])
        inside = np.array([kind is not None for kind in self.types])
        begins, ends = np.array(self.begins), np.array(self.ends)
        anything = np.ones(len(self.types), dtype=np.bool_)
        if self.name in ("plain", "IOB1"):
            return Transitions(anything, np.ones_like(same), anything)
        continues, is_open = inside & ~begins, inside & ~ends
        fits = ~continues | (is_open[:, None] & same)
        if self.name == "BIO":
            return Transitions(~continues, fits, anything)
        return Transitions(~continues, fits & (~is_open[:, None] | continues), ~is_open)


def decode_entities(
    scores: FloatArray,
    offsets: IntArray,
    starts_word: BoolArray,
    *,
    text: str,
    scheme: TagScheme,
    strategy: str,
    decoding: str = "greedy",
) -> list[ScoredSpan]:
    """Read entities off the label scores of a whole document.

    First each word gets a label: with ``simple`` every token is a word of its own; with
    ``first`` the first token of a word decides, with ``average`` the mean of its tokens'
    scores, with ``max`` the token with the highest score. With ``greedy`` decoding that is the
    word's best label, with ``viterbi`` its label in the best sequence that the scheme allows for
    the whole document. Then neighbouring words of one type are joined, unless a label begins or
    ends an entity. An entity's score is the mean over its words. Greedily decoded, these are the
    rules of the token-classification pipeline of Hugging Face transformers, and of seqeval in
    its lenient mode, extended to labels that end an entity.

    Unlike the pipeline's, an entity has no white space at its ends and shares no character with
    another: see :func:`longbert.core.spans.settle`.

    Args:
        scores: probabilities. Shape: (n_tokens, n_labels).
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: whether a token begins a word. Shape: (n_tokens,).
        text: the document.
        scheme: what the labels mean.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``.
        decoding: one of ``longbert.config.ENTITY_DECODINGS``.

    Returns:
        In the order of the text.
    """
    if not len(scores):
        return []
    word_starts = np.arange(len(scores)) if strategy == "simple" else first_tokens(starts_word)
    words = _word_scores(scores, word_starts, strategy)
    greedy = decoding == "greedy"
    labels = words.argmax(axis=1) if greedy else best_labels(words, scheme.transitions())
    label_scores = words[np.arange(len(words)), labels]
    firsts, stops = entity_runs(labels, scheme)
    return [
        ScoredSpan(
            LabelledSpan(start, end, str(scheme.types[labels[firsts[run]]])),
            score=float(label_scores[firsts[run] : stops[run]].mean()),
        )
        for run, start, end in settled_runs(text, *word_spans(offsets, word_starts), firsts, stops)
    ]


def _word_scores(scores: FloatArray, word_starts: IntArray, strategy: str) -> FloatArray:
    """Label scores of each word. Shape: (n_words, n_labels)."""
    if strategy in ("simple", "first"):
        return scores[word_starts]
    n_tokens = np.diff(np.append(word_starts, len(scores)))
    if strategy == "average":
        sums: FloatArray = np.add.reduceat(scores, word_starts, axis=0)
        return sums / n_tokens.astype(np.float32)[:, None]
    best = scores.max(axis=1)
    highest = np.repeat(np.maximum.reduceat(best, word_starts), n_tokens)
    # The first token that reaches its word's highest score, as max() of Python finds it.
    candidates = np.flatnonzero(best == highest)
    return scores[candidates[np.searchsorted(candidates, word_starts)]]


def entity_runs(labels: IntArray, scheme: TagScheme) -> tuple[IntArray, IntArray]:
    """Half-open runs of words that make one entity, in order.

    Args:
        labels: of the words, in a scheme. Shape: (n_words,).
        scheme: what they mean.

    Returns:
        First words, and the words after the last ones. Shape of each: (n_entities,).
    """
    if not len(labels):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(scheme.types))}
    kinds = np.array([numbers[kind] for kind in scheme.types])[labels]
    is_inside = np.array([kind is not None for kind in scheme.types])[labels]
    breaks = np.ones(len(labels) + 1, dtype=np.bool_)
    breaks[1:-1] = (
        (kinds[1:] != kinds[:-1])
        | np.array(scheme.begins)[labels[1:]]
        | np.array(scheme.ends)[labels[:-1]]
    )
    # The label outside has neither beginnings nor ends, so its words stay in one run.
    return np.flatnonzero(breaks[:-1] & is_inside), np.flatnonzero(breaks[1:] & is_inside) + 1


def settled_runs(
    text: str, begins: IntArray, ends: IntArray, firsts: IntArray, stops: IntArray
) -> Iterator[tuple[int, int, int]]:
    """What runs of words are left with once each character belongs to the first that claims it.

    Args:
        text: the document.
        begins, ends: of the words. Shape of each: (n_words,).
        firsts, stops: half-open runs of words, in order. Shape of each: (n_runs,).

    Yields:
        Number, first character and end of each run that has a character left; sorted, apart from
        each other, without white space at either end.
    """
    if not len(firsts):
        return
    # Every second run is what lies between two entities; where that is nothing, numpy takes the
    # one word there, which is as good.
    borders = np.stack([firsts, stops], axis=1).ravel()
    is_last = stops[-1] == len(begins)
    starts, limits = (
        one[::2].tolist() for one in hull(begins, ends, borders[:-1] if is_last else borders)
    )
    for run, span in enumerate(settle(text, zip(starts, limits, strict=True))):
        if span is not None:
            yield run, *span


def _has_prefix(label: str) -> bool:
    return len(label) > 2 and label[0] in _PREFIXES and label[1] in "-_"


def _has_pair(prefixed: set[str]) -> bool:
    """Whether some type has a label for its first word and one for another."""
    kinds = [
        {label[2:] for label in prefixed if label[0] in letters} for letters in ("BSU", "IMEL")
    ]
    return bool(kinds[0] & kinds[1])
