"""Evaluate an output against labelled documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longbert.core.measures.calibration import Calibration
from longbert.core.measures.labels import (
    MultiLabelMeasures,
    RegressionMeasures,
    SingleLabelMeasures,
)
from longbert.core.measures.spans import EntityMeasures
from longbert.engine.compare import (
    EntityMistake,
    LabelMap,
    LabelMistake,
    Measures,
    compare_entities,
    compare_labels,
    compare_numbers,
)
from longbert.engine.predictions import Predictions, read_predictions
from longbert.errors import ConfigError, InputError, nearest
from longbert.readers.labels import LabelledData
from longbert.records import LabelledDocument
from longbert.store.folder import OutputFolder

_NAMED = 3
"""How many documents a message names."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a head, and what they are based on.

    Attributes:
        n_gold: labelled documents.
        not_in_output, in_errors: ids of those that could not be scored.
        n_not_in_gold: documents of the output without labels; not scored.
        n_dropped_spans: gold spans left out because they overlap a longer one.
        unknown_labels: gold labels that the head does not have (for an entity head: that it
            never predicts in the output).
        further_labels: labels of the head that no gold document has.
        calibration: of the scores in the tables; None for entities and numbers.
        mistakes: entities in document order, labels with the most confident first, numbers with
            the largest error first.
    """

    head: str
    n_gold: int
    n_scored: int
    not_in_output: tuple[str, ...]
    in_errors: tuple[str, ...]
    n_not_in_gold: int
    n_dropped_spans: int
    unknown_labels: tuple[str, ...]
    further_labels: tuple[str, ...]
    measures: Measures
    calibration: Calibration | None
    mistakes: tuple[EntityMistake, ...] | tuple[LabelMistake, ...]

    def to_json(self) -> dict[str, Any]:
        """For programs; the mistakes are counted, not listed."""
        return {
            "head": self.head,
            "task": _TASKS[type(self.measures)],
            "documents": {
                "gold": self.n_gold,
                "scored": self.n_scored,
                "not_in_output": list(self.not_in_output),
                "in_errors": list(self.in_errors),
                "not_in_gold": self.n_not_in_gold,
            },
            "dropped_spans": self.n_dropped_spans,
            "unknown_labels": list(self.unknown_labels),
            "further_labels": list(self.further_labels),
            "measures": self.measures.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "mistakes": len(self.mistakes),
        }


_TASKS: Mapping[type[Measures], str] = {
    SingleLabelMeasures: "single-label classification",
    MultiLabelMeasures: "multi-label classification",
    RegressionMeasures: "regression",
    EntityMeasures: "entities",
}


def evaluate_output(
    output: OutputFolder,
    gold: LabelledData,
    *,
    head: str | None = None,
    label_map: Mapping[str, str] | None = None,
) -> Evaluation:
    """Compare an output with labelled documents, joined by their ids.

    Args:
        output: finished.
        gold: as read from a file.
        head: name in the tables; None takes the only one that fits the kind of labels.
        label_map: renames labels on both sides; an empty name leaves out
            entities of that label.

    Raises:
        ConfigError: no head fits or several do, or the map names labels that do not occur.
        InputError: no gold document is in the output, or its text there differs.
        OutputError: the output is unfinished or damaged.
    """
    by_id = {document.document_id: document for document in gold.documents}
    found = read_predictions(output, by_id)
    name = _choose_head(found, gold, head, output.path)
    done = [document for document in gold.documents if document.document_id in found.digests]
    _check_joined(done, found, gold, output.path)
    _check_texts(done, found, gold)
    renamed = LabelMap(label_map or {}, may_leave_out=gold.kind == "entities")
    if gold.kind == "entities":
        scored = compare_entities(
            done,
            found.entities.get(name, {}),
            renamed,
            head_labels=found.entity_labels[name],
        )
    elif gold.kind == "number":
        scored = compare_numbers(done, found.classifications[name], head=name)
    else:
        is_single = gold.kind == "label"
        rows = found.classifications[name]
        scored = compare_labels(done, rows, renamed, head=name, is_single=is_single)
    gold_labels = frozenset(renamed.all(gold.labels))
    renamed.check_used()
    not_done = [one for one in by_id if one not in found.digests]
    return Evaluation(
        head=name,
        n_gold=len(by_id),
        n_scored=len(done),
        not_in_output=tuple(one for one in not_done if one not in found.failed),
        in_errors=tuple(one for one in not_done if one in found.failed),
        n_not_in_gold=found.n_others,
        n_dropped_spans=gold.n_dropped_spans,
        unknown_labels=tuple(sorted(gold_labels - scored.head_labels)),
        further_labels=tuple(sorted(scored.head_labels - gold_labels)),
        measures=scored.measures,
        calibration=scored.calibration,
        mistakes=scored.mistakes,
    )


def _choose_head(found: Predictions, gold: LabelledData, head: str | None, path: str) -> str:
    is_entities = gold.kind == "entities"
    fitting = found.entity_heads if is_entities else found.classification_heads
    others = found.classification_heads if is_entities else found.entity_heads
    task = "entities" if is_entities else "classification"
    listed = ", ".join(fitting) or "none"
    if head is None and len(fitting) == 1:
        return fitting[0]
    if head is not None and head in fitting:
        return head
    if head is None and fitting:
        raise ConfigError(
            f"{path} has {len(fitting)} heads for {task}: {listed}. Choose one with --head"
        )
    if not fitting:
        option = "--ner" if is_entities else "--classify"
        raise ConfigError(
            f"field {gold.field!r} of {gold.path} needs a head for {task}, and {path} has none"
            f"{' (others: ' + ', '.join(others) + ')' if others else ''}: run longbert run with "
            f"{option}, or name another field with --label-field"
        )
    raise ConfigError(
        f"head {head!r} is not a head for {task} in {path}{nearest(str(head), fitting)}; "
        f"those are: {listed}"
    )


def _check_joined(
    done: Sequence[LabelledDocument], found: Predictions, gold: LabelledData, path: str
) -> None:
    if done:
        return
    first = gold.documents[0].document_id
    if found.failed:
        what = f"{len(found.failed):,} of them are in its errors"
    elif found.example_id is None:
        what = "it has none at all"
    else:
        what = f"ids are like {first!r} there and like {found.example_id!r} in the output"
    raise InputError(
        f"none of the {len(gold.documents):,} documents of {gold.path} is in {path}: {what}. Run "
        "longbert run on the same file, or name the field of the ids with --id-field"
    )


def _check_texts(done: Sequence[LabelledDocument], found: Predictions, gold: LabelledData) -> None:
    other = [
        document.document_id
        for document in done
        if hashlib.sha256(document.text.encode()).hexdigest() != found.digests[document.document_id]
    ]
    if other:
        more = ", ..." if len(other) > _NAMED else ""
        raise InputError(
            f"{len(other):,} of {len(done):,} documents differ: their text in {gold.path} is not "
            f"that in the output ({', '.join(other[:_NAMED])}{more}), so positions mean nothing: "
            "evaluate with the texts that were run, or run again"
        )
