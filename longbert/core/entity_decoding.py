"""Entities from label scores per token, decoded once over the whole document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.viterbi import Transitions, best_labels
from longbert.core.words import first_tokens, word_spans
from longbert.errors import ModelError

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


@dataclass(frozen=True, slots=True)
class EntitySpan:
    """An entity's type, score and characters, half-open."""

    label: str
    char_start: int
    char_end: int
    score: float


def decode_entities(
    scores: FloatArray,
    offsets: IntArray,
    starts_word: BoolArray,
    *,
    scheme: TagScheme,
    strategy: str,
    decoding: str = "greedy",
) -> list[EntitySpan]:
    """Read entities off the label scores of a whole document.

    First each word gets a label: with ``simple`` every token is a word of its own; with
    ``first`` the first token of a word decides, with ``average`` the mean of its tokens'
    scores, with ``max`` the token with the highest score. With ``greedy`` decoding that is the
    word's best label, with ``viterbi`` its label in the best sequence that the scheme allows for
    the whole document. Then neighbouring words of one type are joined, unless a label begins or
    ends an entity. An entity's score is the mean over its words. Greedily decoded, these are the
    rules of the token-classification pipeline of Hugging Face transformers, and of seqeval in
    its lenient mode, extended to labels that end an entity.
    An entity without a character, which the pipeline returns, too, is left out.

    Args:
        scores: probabilities. Shape: (n_tokens, n_labels).
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: whether a token begins a word. Shape: (n_tokens,).
        scheme: what the labels mean.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``.
        decoding: one of ``longbert.config.ENTITY_DECODINGS``.
    """
    if not len(scores):
        return []
    word_starts = np.arange(len(scores)) if strategy == "simple" else first_tokens(starts_word)
    words = _word_scores(scores, word_starts, strategy)
    greedy = decoding == "greedy"
    labels = words.argmax(axis=1) if greedy else best_labels(words, scheme.transitions())
    label_scores = words[np.arange(len(words)), labels]
    char_starts, char_ends = word_spans(offsets, word_starts)
    return [
        EntitySpan(
            label=str(scheme.types[labels[first]]),
            char_start=int(char_starts[first]),
            char_end=int(char_ends[stop - 1]),
            score=float(label_scores[first:stop].mean()),
        )
        for first, stop in entity_runs(labels, scheme)
        # Of white space alone; byte-level tokenizers leave it out of their spans.
        if char_starts[first] < char_ends[stop - 1]
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


def entity_runs(labels: IntArray, scheme: TagScheme) -> Iterator[tuple[int, int]]:
    """Half-open runs of words that make one entity.

    Args:
        labels: of the words, in a scheme.
        scheme: what they mean.
    """
    first: int | None = None
    previous = -1
    for word, label in enumerate(labels.tolist()):
        continues = (
            first is not None
            and scheme.types[label] == scheme.types[previous]
            and not scheme.begins[label]
            and not scheme.ends[previous]
        )
        if not continues:
            if first is not None:
                yield first, word
            first = None if scheme.types[label] is None else word
        previous = label
    if first is not None:
        yield first, len(labels)


def _has_prefix(label: str) -> bool:
    return len(label) > 2 and label[0] in _PREFIXES and label[1] in "-_"


def _has_pair(prefixed: set[str]) -> bool:
    """Whether some type has a label for its first word and one for another."""
    kinds = [
        {label[2:] for label in prefixed if label[0] in letters} for letters in ("BSU", "IMEL")
    ]
    return bool(kinds[0] & kinds[1])
