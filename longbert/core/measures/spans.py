"""Measures of entities on character spans, and what is wrong with each wrong one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from longbert.arrays import IntArray
from longbert.core.measures.counts import (
    GOLD,
    Estimate,
    LabelScores,
    label_scores,
    macro_f1,
    micro_f1,
    precision_recall,
)
from longbert.core.measures.intervals import score_estimates
from longbert.errors import ConfigError
from longbert.records import LabelledSpan

ErrorKind = Literal["missed", "spurious", "wrong border", "wrong label"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("missed", "spurious", "wrong border", "wrong label")

NO_LABEL = "none"
"""Row and column of the confusion for what has no counterpart."""

Spans = Iterable[LabelledSpan]


@dataclass(frozen=True, slots=True)
class EntityError:
    """What is wrong about a span, or a pair of them.

    Attributes:
        gold: None where the error is spurious.
        predicted: None where the error is missed.
    """

    kind: ErrorKind
    gold: LabelledSpan | None
    predicted: LabelledSpan | None

    @property
    def char_start(self) -> int:
        """Where the first span of it begins."""
        return min(span.char_start for span in (self.gold, self.predicted) if span is not None)


@dataclass(frozen=True, slots=True)
class EntityMeasures:
    """Agreement of entities: exact span and label, as seqeval counts in its strict mode.

    Attributes:
        precision, recall, f1: over all labels together (micro).
        macro_f1: mean over the labels that occur, right or predicted.
        confusion: of exact spans, gold by predicted, in the order of ``per_label`` and
            :data:`NO_LABEL` last. Shape: (n_labels + 1, n_labels + 1).
        n_errors: by kind.
    """

    n_documents: int
    precision: float
    recall: float
    f1: Estimate
    macro_f1: Estimate
    per_label: tuple[LabelScores, ...]
    confusion: IntArray
    n_errors: Mapping[ErrorKind, int]

    @property
    def highlights(self) -> Mapping[str, Estimate | None]:
        """The measures over all documents by the names that people see; None: not defined."""
        return {
            "precision": Estimate(self.precision),
            "recall": Estimate(self.recall),
            "F1": self.f1,
            "macro F1": self.macro_f1,
        }

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1.to_json(),
            "macro_f1": self.macro_f1.to_json(),
            "per_label": [one.to_json() for one in self.per_label],
            "confusion": {
                "labels": [*(one.label for one in self.per_label), NO_LABEL],
                "matrix": self.confusion.tolist(),
            },
            "errors": dict(self.n_errors),
        }


def flatten_spans(spans: Spans) -> tuple[tuple[LabelledSpan, ...], int]:
    """Leave out spans that overlap a better one.

    The longest stay first, of equally long ones the earlier, of equal spans the one that is
    named first.

    Returns:
        Those that stay, in the order of the text, and how many were left out.
    """
    given = list(spans)
    starts: list[int] = []
    kept: list[LabelledSpan] = []
    for span in sorted(given, key=lambda one: (one.char_start - one.char_end, one.char_start)):
        # Those kept do not overlap, so only the neighbours can be in the way.
        place = bisect_left(starts, span.char_end)
        if place == 0 or kept[place - 1].char_end <= span.char_start:
            starts.insert(place, span.char_start)
            kept.insert(place, span)
    return tuple(kept), len(given) - len(kept)


def entity_measures(
    gold: Sequence[Spans],
    predicted: Sequence[Spans],
    *,
    labels: Iterable[str] = (),
) -> EntityMeasures:
    """Compare the entities of documents.

    An entity is right if a gold entity of the same document has the same span and label
    (Nakayama 2018, seqeval, ``mode="strict"``, with characters in place of tokens).

    Args:
        gold, predicted: for each document its spans; equal ones count once.
        labels: further labels to list; those that occur are listed in any case.

    Raises:
        ConfigError: the two differ in length or are empty.
    """
    if len(gold) != len(predicted):
        raise ConfigError(
            f"gold and predicted must have one length, got {len(gold)} and {len(predicted)} "
            "documents: give both for the same documents"
        )
    of_gold = [frozenset(spans) for spans in gold]
    of_predicted = [frozenset(spans) for spans in predicted]
    occurring = {span.label for one in (*of_gold, *of_predicted) for span in one}
    names = sorted(occurring | set(labels))
    positions = {label: position for position, label in enumerate(names)}
    counts = np.zeros((len(of_gold), len(names), 3), dtype=np.int64)
    confusion = np.zeros((len(names) + 1, len(names) + 1), dtype=np.int64)
    n_errors: Counter[ErrorKind] = Counter()
    for row, (right, found) in enumerate(zip(of_gold, of_predicted, strict=True)):
        for kind, spans in enumerate((right, found, right & found), start=GOLD):
            for span in spans:
                counts[row, positions[span.label], kind] += 1
        for span in right & found:
            confusion[positions[span.label], positions[span.label]] += 1
        for error in entity_errors(right, found):
            n_errors[error.kind] += 1
            if error.kind == "wrong label" and error.gold and error.predicted:
                confusion[positions[error.gold.label], positions[error.predicted.label]] += 1
                continue
            # Spans of different borders have no counterpart of the same span.
            if error.gold is not None:
                confusion[positions[error.gold.label], -1] += 1
            if error.predicted is not None:
                confusion[-1, positions[error.predicted.label]] += 1
    micro, macro = score_estimates(counts, (micro_f1, macro_f1))
    precision, recall = precision_recall(counts.sum(axis=0))
    return EntityMeasures(
        n_documents=len(of_gold),
        precision=precision,
        recall=recall,
        f1=micro,
        macro_f1=macro,
        per_label=label_scores(counts, names),
        confusion=confusion,
        n_errors={kind: n_errors[kind] for kind in ERROR_KINDS},
    )


def entity_errors(gold: Spans, predicted: Spans) -> tuple[EntityError, ...]:
    """What is wrong in one document, in the order of the text.

    After the right ones are set aside, spans are paired, each at most once: first those with
    the same span (wrong label), then those that overlap and have the same label (wrong border),
    the largest overlap first, then the earlier gold span, then the earlier predicted one.
    Whatever is left was missed or is spurious; a span with another border and another label is
    thus both.
    """
    right, found = set(gold), set(predicted)
    missed, spurious = right - found, found - right
    errors: list[EntityError] = []
    ranked: tuple[tuple[ErrorKind, Iterable[tuple[LabelledSpan, LabelledSpan]]], ...] = (
        ("wrong label", _same_spans(missed, spurious)),
        ("wrong border", _overlapping(missed, spurious)),
    )
    for kind, pairs in ranked:
        for one, other in pairs:
            if one in missed and other in spurious:
                missed.discard(one)
                spurious.discard(other)
                errors.append(EntityError(kind, one, other))
    errors.extend(EntityError("missed", span, None) for span in missed)
    errors.extend(EntityError("spurious", None, span) for span in spurious)
    return tuple(sorted(errors, key=_order))


def _same_spans(
    gold: set[LabelledSpan], predicted: set[LabelledSpan]
) -> list[tuple[LabelledSpan, LabelledSpan]]:
    by_span: dict[tuple[int, int], list[LabelledSpan]] = {}
    for span in sorted(predicted):
        by_span.setdefault((span.char_start, span.char_end), []).append(span)
    return [
        (span, other)
        for span in sorted(gold)
        for other in by_span.get((span.char_start, span.char_end), ())
    ]


def _overlapping(
    gold: set[LabelledSpan], predicted: set[LabelledSpan]
) -> list[tuple[LabelledSpan, LabelledSpan]]:
    """All pairs of one label that share characters, the best first."""
    by_label: dict[str, list[LabelledSpan]] = {}
    for span in sorted(predicted):
        by_label.setdefault(span.label, []).append(span)
    starts = {label: [span.char_start for span in spans] for label, spans in by_label.items()}
    longest = {
        label: max(span.char_end - span.char_start for span in spans)
        for label, spans in by_label.items()
    }
    pairs = []
    for span in gold:
        if span.label not in by_label:
            continue
        first = bisect_right(starts[span.label], span.char_start - longest[span.label])
        stop = bisect_left(starts[span.label], span.char_end)
        for other in by_label[span.label][first:stop]:
            n_chars = min(span.char_end, other.char_end) - max(span.char_start, other.char_start)
            if n_chars > 0:
                pairs.append((-n_chars, span, other))
    return [(one, other) for _, one, other in sorted(pairs)]


def _order(error: EntityError) -> tuple[int, str, tuple[int, int, str]]:
    span = error.gold or error.predicted
    assert span is not None
    return error.char_start, error.kind, (span.char_start, span.char_end, span.label)
