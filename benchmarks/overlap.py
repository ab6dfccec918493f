"""What overlap buys, and what it costs: rankings, entities and classes with several overlaps.

    python benchmarks/overlap.py --work /tmp/overlap --overlaps 63 32 0 \\
        --documents qmsum/documents.jsonl.gz --queries qmsum/queries.jsonl.gz \\
        --entities litbank/train.jsonl.gz --entity-field outer_entities \\
        --classes reviews/train.jsonl.gz

Documents and queries are run into an output for each overlap, and ranked. Labelled documents are
read by heads that have not seen them: one for each fold, trained on the other folds with the first
overlap and used with all, so that nothing but the windows differs. The table goes to standard
output as Markdown. Differences are to the first overlap, document by document or query by query,
with intervals of 95% by bootstrap over these.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import longbert
from longbert.api import evaluate_ranking
from longbert.arrays import Array, DoubleArray
from longbert.core.measures.counts import CORRECT, GOLD, PREDICTED, Estimate, estimate, micro_f1
from longbert.core.measures.rankings import MEASURES
from longbert.engine.evaluate_ranking import LEADING_MEASURE
from longbert.readers.labels import LabelledData, read_labelled
from longbert.records import DocumentResult, LabelledDocument, LabelledSpan
from longbert.store.filesystem import LocalFileSystem
from longbert.training.config import TrainConfig
from longbert.training.data import folds_of
from longbert.training.observer import Observer
from longbert.training.train import train

RANKS = ("hybrid", "best-mean")
"""The default, and the one that depends on vectors of passages alone."""

FOLDS = 2
Statistic = Callable[[DoubleArray], DoubleArray]


@dataclass(frozen=True)
class Cost:
    """Of one overlap: windows, and processor time."""

    n_windows: int
    seconds: float


@dataclass(frozen=True)
class Compared:
    """A measure with every overlap.

    Attributes:
        costs: by overlap.
        counts: what each document or query adds to the sums. Shape: (n, n_overlaps, ...).
        of: the measure, from sums of shape (n_resamples, ...) to shape (n_resamples,).
    """

    measure: str
    costs: Sequence[Cost]
    counts: Array
    of: Statistic

    def estimates(self) -> list[tuple[Estimate, Estimate]]:
        """The measure with each overlap, and its difference to that with the first."""
        numbers = range(self.counts.shape[1])
        found = estimate(
            self.counts,
            [*(self._value(number) for number in numbers), *map(self._difference, numbers)],
        )
        return list(zip(found[: len(numbers)], found[len(numbers) :], strict=True))

    def n_changed(self, number: int) -> int:
        """Documents or queries that count otherwise than with the first overlap."""
        own, first = self.counts[:, number], self.counts[:, 0]
        return int((own != first).reshape(len(own), -1).any(axis=1).sum())

    def _value(self, number: int) -> Statistic:
        return lambda totals: self.of(totals[:, number])

    def _difference(self, number: int) -> Statistic:
        return lambda totals: self.of(totals[:, number]) - self.of(totals[:, 0])


def mean(totals: DoubleArray) -> DoubleArray:
    """From sums of values and of ones. Shape: (n_resamples, 2)."""
    means: DoubleArray = totals[:, 0] / totals[:, 1]
    return means


def counts_of_values(values: Sequence[Sequence[float]]) -> DoubleArray:
    """What :func:`mean` takes: from values by overlap to shape (n, n_overlaps, 2)."""
    by_item = np.array(values, dtype=np.float64).T
    return np.stack([by_item, np.ones_like(by_item)], axis=-1)


def rankings(documents: Path, queries: Path, work: Path, overlaps: Sequence[int]) -> list[Compared]:
    """nDCG@10 of every ranking; queries about other documents are left out."""
    column = list(MEASURES).index(LEADING_MEASURE)
    values: dict[str, list[list[float]]] = {rank: [] for rank in RANKS}
    costs = []
    for overlap in overlaps:
        output = work / f"meetings-{overlap}"
        began = time.process_time()
        manifest = longbert.run(
            documents,
            output=output,
            runner="none",
            overlap=overlap,
            embed="minilm",
            classify="none",
            ner="none",
        )
        costs.append(Cost(manifest["counts"]["windows"], time.process_time() - began))
        own = work / "queries.jsonl"
        own.write_text("".join(_queries_about(queries, set(longbert.open(output).document_ids))))
        for rank, by_overlap in values.items():
            evaluation = evaluate_ranking(str(own), str(output), rank=rank)
            by_overlap.append(evaluation.values[:, column].tolist())
        _tell(f"ranked with an overlap of {overlap}")
    return [
        Compared(f"nDCG@10, `{rank}`", costs, counts_of_values(by_overlap), mean)
        for rank, by_overlap in values.items()
    ]


def labels(labelled: Labelled, data: LabelledData, work: Path, overlaps: Sequence[int]) -> Compared:
    """How right heads are that have not seen the documents."""
    n_windows, seconds = [0] * len(overlaps), [0.0] * len(overlaps)
    counts: dict[int, list[Any]] = {number: [] for number in range(len(data.documents))}
    for fold, held_back in enumerate(folds_of(data.documents, FOLDS, seed=0), start=1):
        seen = sorted(counts.keys() - set(held_back))
        head = work / f"{labelled.task}-{fold}"
        _train(labelled.task, [data.documents[one] for one in seen], head, overlaps[0])
        for place, overlap in enumerate(overlaps):
            encoder = longbert.load(**{labelled.task: str(head)}, overlap=overlap)
            began = time.process_time()
            for number in held_back:
                document = data.documents[number]
                result = encoder(document.text)
                counts[number].append(labelled.count(document, result))
                n_windows[place] += result.n_windows
            seconds[place] += time.process_time() - began
        _tell(f"{labelled.measure}: fold {fold} of {FOLDS}")
    costs = list(map(Cost, n_windows, seconds))
    return Compared(labelled.measure, costs, np.array(list(counts.values()), float), labelled.of)


def entity_counts(document: LabelledDocument, result: DocumentResult) -> list[list[int]]:
    """What is to be found, what was, and both. Shape: (1, 3)."""
    gold = set(document.spans or ())
    predicted = {LabelledSpan(one.char_start, one.char_end, one.label) for one in result.entities}
    counts = [0, 0, 0]
    counts[GOLD], counts[PREDICTED], counts[CORRECT] = map(len, (gold, predicted, gold & predicted))
    return [counts]


def class_counts(document: LabelledDocument, result: DocumentResult) -> list[int]:
    """Whether the class is right, and one."""
    predicted = tuple(one.label for one in result.classifications if one.predicted)
    return [int(predicted == document.labels), 1]


@dataclass(frozen=True)
class Labelled:
    """A kind of labels.

    Attributes:
        task: of a head.
        count: what a document adds to the sums.
        of: the measure, from these sums.
    """

    task: str
    measure: str
    count: Callable[[LabelledDocument, DocumentResult], Any]
    of: Statistic


ENTITIES = Labelled("ner", "F1 of entities", entity_counts, micro_f1)
CLASSES = Labelled("classify", "accuracy of classes", class_counts, mean)


def table(compared: Compared, overlaps: Sequence[int]) -> Iterator[str]:
    """Lines of Markdown."""
    first = compared.costs[0]
    yield f"| overlap | {compared.measure} | difference | changed | windows | processor time |"
    yield "|---|---|---|---|---|---|"
    estimates = compared.estimates()
    for number, (overlap, cost) in enumerate(zip(overlaps, compared.costs, strict=True)):
        value, difference = estimates[number]
        cells = [
            f"{overlap} tokens" if overlap else "none",
            _interval(value, ".3f"),
            _interval(difference, "+.3f") if number else "",
            f"{compared.n_changed(number):,} of {len(compared.counts):,}" if number else "",
            f"{cost.n_windows:,} ({cost.n_windows / first.n_windows:.2f})",
            f"{cost.seconds:,.0f} s ({cost.seconds / first.seconds:.2f})",
        ]
        yield f"| {' | '.join(cells)} |"


class _Silent(Observer):
    """Is told of trainings and passes nothing on."""


def _all(given: argparse.Namespace) -> Iterator[Compared]:
    """What is asked for, as it is done."""
    for labelled, path, field in (
        (ENTITIES, given.entities, given.entity_field),
        (CLASSES, given.classes, None),
    ):
        if path is not None:
            data = read_labelled(LocalFileSystem(), str(path), label_field=field)
            yield labels(labelled, data, given.work, given.overlaps)
    if given.documents is not None:
        yield from rankings(given.documents, given.queries, given.work, given.overlaps)


def _train(task: str, documents: Sequence[LabelledDocument], head: Path, overlap: int) -> None:
    file = head.with_suffix(".jsonl")
    file.write_text("".join(_line(one) for one in documents), encoding="utf-8")
    config = TrainConfig(
        task=task,
        data=(str(file),),
        output=str(head),
        n_folds=0,
        overlap=overlap,
        device="cpu",
    )
    train(config, _Silent(), command="")


def _line(document: LabelledDocument) -> str:
    record: dict[str, Any] = {"id": document.document_id, "text": document.text}
    if document.spans is None:
        (record["label"],) = document.labels or ()
    else:
        record["entities"] = [[one.char_start, one.char_end, one.label] for one in document.spans]
    return json.dumps(record) + "\n"


def _queries_about(queries: Path, document_ids: set[str]) -> Iterator[str]:
    opened = gzip.open if queries.suffix == ".gz" else open
    with opened(queries, "rt", encoding="utf-8") as lines:
        yield from (line for line in lines if document_ids & {*json.loads(line)["relevant"]})


def _interval(one: Estimate, form: str) -> str:
    value, *ends = (
        "" if end is None else format(end, form).replace("-", "−")
        for end in (one.value, one.low, one.high)
    )
    return f"{value} ({' to '.join(ends)})"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="new folder, for outputs")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[63, 32, 0], help="tokens")
    parser.add_argument("--documents", type=Path, help="JSON lines with id and text")
    parser.add_argument("--queries", type=Path, help="JSON lines with id, text and relevant")
    parser.add_argument("--entities", type=Path, help="documents with labelled spans")
    parser.add_argument("--entity-field", help="the field of the spans")
    parser.add_argument("--classes", type=Path, help="documents with a class each")
    given = parser.parse_args(arguments)
    if (given.documents is None) != (given.queries is None):
        parser.error("--documents and --queries go together")
    given.work.mkdir(parents=True)
    for compared in _all(given):
        print("\n".join(table(compared, given.overlaps)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
