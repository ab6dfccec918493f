"""Compare predictions with gold labels, and list the mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import BoolArray, DoubleArray
from longbert.core.measures.calibration import Calibration, calibration
from longbert.core.measures.labels import (
    MultiLabelMeasures,
    RegressionMeasures,
    SingleLabelMeasures,
    multi_label,
    regression,
    single_label,
)
from longbert.core.measures.spans import (
    EntityError,
    EntityMeasures,
    entity_errors,
    entity_measures,
)
from longbert.errors import ConfigError, OutputError, nearest
from longbert.records import Classification, LabelledDocument, LabelledSpan, ScoredSpan

CONTEXT_CHARS = 40

Measures = SingleLabelMeasures | MultiLabelMeasures | RegressionMeasures | EntityMeasures


@dataclass(frozen=True, slots=True)
class EntityMistake:
    """A wrong entity with the text around it.

    Attributes:
        score: of the predicted span; None where the entity was missed.
        text: from the first character of either span to the last.
        before, after: at most :data:`CONTEXT_CHARS` of the text beside it.
    """

    document_id: str
    error: EntityError
    score: float | None
    before: str
    text: str
    after: str

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "document_id": self.document_id,
            "kind": self.error.kind,
            "gold": self._span(self.error.gold),
            "predicted": self._span(self.error.predicted),
            "score": _short(self.score),
            "before": self.before,
            "text": self.text,
            "after": self.after,
        }

    def part(self, span: LabelledSpan) -> str:
        """The text of one of its spans."""
        start = span.char_start - self.error.char_start
        return self.text[start : start + span.char_end - span.char_start]

    def _span(self, span: LabelledSpan | None) -> dict[str, Any] | None:
        if span is None:
            return None
        return {
            "char_start": span.char_start,
            "char_end": span.char_end,
            "label": span.label,
            "text": self.part(span),
        }


@dataclass(frozen=True, slots=True)
class LabelMistake:
    """A document with the wrong label, set of labels or number.

    Attributes:
        score: of the predicted label where there is exactly one.
    """

    document_id: str
    gold: tuple[str, ...] | float
    predicted: tuple[str, ...] | float
    score: float | None

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        predicted = self.predicted
        return {
            "document_id": self.document_id,
            "kind": "wrong number" if isinstance(predicted, float) else "wrong label",
            "gold": self.gold,
            "predicted": _short(predicted) if isinstance(predicted, float) else predicted,
            "score": _short(self.score),
        }


@dataclass(frozen=True, slots=True)
class Scored:
    """The result of a comparison.

    Attributes:
        head_labels: those of the head, renamed; empty if it gives numbers.
    """

    measures: Measures
    calibration: Calibration | None
    mistakes: tuple[EntityMistake, ...] | tuple[LabelMistake, ...]
    head_labels: frozenset[str]


class LabelMap:
    """Applies a label map and remembers the names it met."""

    def __init__(self, label_map: Mapping[str, str], *, may_leave_out: bool) -> None:
        for name, other in label_map.items():
            if not other and not may_leave_out:
                raise ConfigError(
                    f"label-map leaves out {name!r}, but only entities can be left out: "
                    f"name the label that it stands for, as in {name}=OTHER"
                )
        self._map = label_map
        self._met: set[str] = set()

    def __call__(self, label: str) -> str:
        """The name it stands for; empty to leave it out."""
        self._met.add(label)
        return self._map.get(label, label)

    def all(self, labels: Iterable[str]) -> list[str]:
        """All that are kept, in order."""
        return [new for label in labels if (new := self(label))]

    def spans(self, spans: Iterable[LabelledSpan]) -> list[LabelledSpan]:
        """As :meth:`all`, for the labels of spans."""
        return [
            LabelledSpan(span.char_start, span.char_end, new)
            for span in spans
            if (new := self(span.label))
        ]

    def check_used(self) -> None:
        """Raises ConfigError where the map names a label that is on neither side."""
        for name in self._map:
            if name not in self._met:
                raise ConfigError(
                    f"label-map names {name!r}, which is a label in neither the gold file nor the "
                    f"head{nearest(name, self._met)}; the labels are "
                    f"{', '.join(sorted(self._met)) or 'none'}"
                )


def compare_entities(
    done: Sequence[LabelledDocument],
    by_document: Mapping[str, Sequence[ScoredSpan]],
    renamed: LabelMap,
    *,
    head_labels: Iterable[str],
) -> Scored:
    """Compare the entities of documents.

    Args:
        by_document: what the head found; documents without entities may be left out.
        head_labels: all labels of the head.

    Raises:
        OutputError: an entity lies outside the text.
    """
    gold = [renamed.spans(document.spans or ()) for document in done]
    predicted = []
    mistakes: list[EntityMistake] = []
    for document, right in zip(done, gold, strict=True):
        rows = by_document.get(document.document_id, [])
        for row in rows:
            _check_span(row.span, document)
        spans = renamed.spans(row.span for row in rows)
        predicted.append(spans)
        scores = {_place(row.span): row.score for row in rows}
        mistakes.extend(_mistake(document, error, scores) for error in entity_errors(right, spans))
    measures = entity_measures(gold, predicted)
    return Scored(measures, None, tuple(mistakes), frozenset(renamed.all(head_labels)))


def compare_labels(
    done: Sequence[LabelledDocument],
    by_document: Mapping[str, Sequence[Classification]],
    renamed: LabelMap,
    *,
    head: str,
    is_single: bool,
) -> Scored:
    """Compare the labels of documents.

    Args:
        by_document: a row for each label of the head.
        head: its name, for messages.
        is_single: whether each document has one gold label. If the head chooses several, sets
            are compared all the same.

    Raises:
        ConfigError: the head gives numbers.
        OutputError: a document's labels differ from those of the others.
    """
    raw = _matrix(done, by_document, head)
    if raw.scores.min() < 0 or raw.scores.max() > 1:
        raise ConfigError(
            f"head {head!r} gives numbers ({raw.scores.min():.3g} to {raw.scores.max():.3g}) and "
            "the gold file has labels: name a field of numbers with --label-field, or another "
            "head with --head"
        )
    rows = _merged(raw, renamed)
    wanted = [renamed.all(document.labels or ()) for document in done]
    labels = sorted({*rows.labels, *(label for of_one in wanted for label in of_one)})
    columns = [labels.index(label) for label in rows.labels]
    places = {label: place for place, label in enumerate(labels)}
    gold = np.zeros((len(done), len(labels)), dtype=np.bool_)
    for row, of_one in enumerate(wanted):
        gold[row, [places[label] for label in of_one]] = True
    predicted = np.zeros_like(gold)
    predicted[:, columns] = rows.predicted
    measures: Measures
    if is_single and rows.is_choice:
        measures = single_label(gold.argmax(axis=1), predicted.argmax(axis=1), labels)
        chosen = rows.predicted.argmax(axis=1)
        sure = rows.scores[np.arange(len(done)), chosen]
        calibrated = calibration(sure, (gold == predicted).all(axis=1))
    else:
        measures = multi_label(gold, predicted, labels)
        calibrated = calibration(rows.scores.ravel(), gold[:, columns].ravel())
    mistakes = []
    for row in np.flatnonzero((gold != predicted).any(axis=1)).tolist():
        of_document = np.flatnonzero(rows.predicted[row])
        mistakes.append(
            LabelMistake(
                document_id=done[row].document_id,
                gold=tuple(labels[place] for place in np.flatnonzero(gold[row])),
                predicted=tuple(labels[place] for place in np.flatnonzero(predicted[row])),
                score=float(rows.scores[row, of_document[0]]) if len(of_document) == 1 else None,
            )
        )
    mistakes.sort(key=lambda one: -1.0 if one.score is None else one.score, reverse=True)
    return Scored(measures, calibrated, tuple(mistakes), frozenset(rows.labels))


def compare_numbers(
    done: Sequence[LabelledDocument],
    by_document: Mapping[str, Sequence[Classification]],
    *,
    head: str,
) -> Scored:
    """Compare the number of each document with the score of the head's only label.

    Raises:
        ConfigError: the head has several labels.
        OutputError: a document has no row.
    """
    rows = _matrix(done, by_document, head)
    if len(rows.labels) != 1:
        raise ConfigError(
            f"the gold file has numbers, and head {head!r} chooses among "
            f"{', '.join(rows.labels)}: write labels as strings, or name another field with "
            "--label-field"
        )
    gold = np.array([document.number for document in done], dtype=np.float64)
    predicted = rows.scores[:, 0]
    difference = np.abs(predicted - gold)
    mistakes = tuple(
        LabelMistake(done[row].document_id, float(gold[row]), float(predicted[row]), None)
        for row in np.argsort(-difference, kind="stable")
        if difference[row] > 0
    )
    measures = regression(gold, predicted)
    return Scored(measures, None, mistakes, frozenset())


def _short(score: float | None) -> float | None:
    """A float32 without spurious digits."""
    return None if score is None else float(str(np.float32(score)))


def _check_span(span: LabelledSpan, document: LabelledDocument) -> None:
    if not 0 <= span.char_start < span.char_end <= len(document.text):
        raise OutputError(
            f"the output has an entity from {span.char_start} to {span.char_end} in document "
            f"{document.document_id!r} of {len(document.text)} characters: it is damaged; "
            "run longbert verify for details"
        )


def _place(span: LabelledSpan) -> tuple[int, int]:
    return span.char_start, span.char_end


def _mistake(
    document: LabelledDocument, error: EntityError, scores: Mapping[tuple[int, int], float]
) -> EntityMistake:
    start = error.char_start
    stop = max(span.char_end for span in (error.gold, error.predicted) if span is not None)
    return EntityMistake(
        document_id=document.document_id,
        error=error,
        score=None if error.predicted is None else scores[_place(error.predicted)],
        before=document.text[max(0, start - CONTEXT_CHARS) : start],
        text=document.text[start:stop],
        after=document.text[stop : stop + CONTEXT_CHARS],
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a classification head, the labels renamed.

    Attributes:
        labels: all of the head.
        scores, predicted: Shape: (n_documents, n_labels).
        is_choice: whether the head chooses one label of several in every document.
    """

    labels: list[str]
    scores: DoubleArray
    predicted: BoolArray
    is_choice: bool


def _matrix(
    done: Sequence[LabelledDocument],
    by_document: Mapping[str, Sequence[Classification]],
    head: str,
) -> _Rows:
    labels: list[str] = []
    for document in done:
        found = [row.label for row in by_document.get(document.document_id, ())]
        labels = labels or found
        if not found or found != labels:
            raise OutputError(
                f"document {document.document_id!r} lacks rows of head {head!r} in classifications "
                "that other documents have: the output is damaged; run longbert verify for details"
            )
    rows = [by_document[document.document_id] for document in done]
    scores = np.array([[row.score for row in of_one] for of_one in rows])
    predicted = np.array([[row.predicted for row in of_one] for of_one in rows])
    is_choice = bool(
        len(labels) > 1
        and (predicted.sum(axis=1) == 1).all()
        and np.allclose(scores.sum(axis=1), 1, atol=1e-3)
    )
    return _Rows(labels, scores, predicted, is_choice)


def _merged(rows: _Rows, renamed: LabelMap) -> _Rows:
    """Merge labels that map to the same one."""
    names = renamed.all(rows.labels)
    labels = list(dict.fromkeys(names))
    scores = np.empty((len(rows.scores), len(labels)))
    predicted = np.empty_like(scores, dtype=np.bool_)
    for place, label in enumerate(labels):
        columns = [column for column, name in enumerate(names) if name == label]
        of_label = rows.scores[:, columns]
        # Probabilities of mutually exclusive labels add up.
        scores[:, place] = (
            np.minimum(of_label.sum(axis=1), 1) if rows.is_choice else of_label.max(axis=1)
        )
        predicted[:, place] = rows.predicted[:, columns].any(axis=1)
    return _Rows(labels, scores, predicted, rows.is_choice)
