"""Evaluate rankings against relevance judgments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import DoubleArray
from longbert.core.measures.counts import Estimate
from longbert.core.measures.rankings import MEASURES, mean_estimates
from longbert.errors import InputError, shown

LEADING_MEASURE = "ndcg@10"
"""The one by which queries are compared."""

Grades = Mapping[str, Mapping[str, int]]
"""Grades of documents by query and document; grade 0 and what is not named is not relevant."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Documents found for some queries.

    Attributes:
        name: for people, such as ``"hybrid"``, or of the file that it was read from.
        documents: ids by query, best first, each once.
    """

    name: str
    documents: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a ranking differs from another one on the same queries.

    Attributes:
        name: of the other ranking.
        estimates: its measures, in the order of :data:`MEASURES`.
        differences: how much higher the first ranking is, with intervals of the paired
            differences.
        values: the other ranking's measures. Shape: (queries, measures).
    """

    name: str
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    values: DoubleArray


@dataclass(frozen=True, slots=True)
class RankingEvaluation:
    """Measures of a ranking, and what they are based on.

    Attributes:
        name: of the ranking.
        estimates: means over the queries, in the order of :data:`MEASURES`.
        query_ids: those that count.
        values: of each query. Shape: (queries, measures).
        n_relevant: pairs of a query and a document that answers it.
        without_relevant: queries without any such document; they do not count, since no
            ranking of theirs is right or wrong.
        without_judgments: queries that were ranked and not judged; they do not count.
        without_ranking: queries that were judged and not ranked: as if nothing were found.
        not_in_output: relevant documents that the output does not have; they count as not
            found.
    """

    name: str
    estimates: tuple[Estimate, ...]
    query_ids: tuple[str, ...]
    values: DoubleArray
    n_relevant: int
    without_relevant: tuple[str, ...]
    without_judgments: tuple[str, ...]
    without_ranking: tuple[str, ...]
    not_in_output: tuple[str, ...]
    against: Comparison | None

    def gains(self) -> list[tuple[str, float, float]]:
        """Queries with both rankings' leading measure, from the largest gain to the largest loss.

        Those that are equal are left out. Queries with the same gain are in the order of the file.
        """
        if self.against is None:
            return []
        column = list(MEASURES).index(LEADING_MEASURE)
        own, other = self.values[:, column], self.against.values[:, column]
        order = np.argsort(other - own, kind="stable")
        return [
            (self.query_ids[place], float(own[place]), float(other[place]))
            for place in order.tolist()
            if own[place] != other[place]
        ]

    def to_json(self) -> dict[str, Any]:
        """For programs; differences are those of this ranking less the other."""
        record: dict[str, Any] = {
            "ranking": self.name,
            "queries": len(self.query_ids),
            **_means(self.estimates),
            "intervals": _intervals(self.estimates),
            "relevant": self.n_relevant,
            "without_relevant": list(self.without_relevant),
            "without_judgments": list(self.without_judgments),
            "without_ranking": list(self.without_ranking),
            "not_in_output": list(self.not_in_output),
        }
        if self.against is not None:
            record["against"] = {
                "ranking": self.against.name,
                **_means(self.against.estimates),
                "intervals": _intervals(self.against.estimates),
                "differences": _means(self.against.differences),
                "difference_intervals": _intervals(self.against.differences),
            }
        record["per_query"] = [self._query_record(place) for place in range(len(self.query_ids))]
        return record

    def _query_record(self, place: int) -> dict[str, Any]:
        record = {"id": self.query_ids[place], **_by_measure(self.values[place].tolist())}
        if self.against is not None:
            record["against"] = _by_measure(self.against.values[place].tolist())
        return record


def evaluate_rankings(
    ranking: Ranking,
    grades: Grades,
    *,
    against: Ranking | None = None,
    document_ids: Collection[str] | None = None,
) -> RankingEvaluation:
    """Measure a ranking against judgments, and compare it with another one.

    Args:
        ranking: as deep as :data:`longbert.core.ranks.LEAST_DEPTH`, where there are
            that many documents.
        grades: of the documents that people judged.
        against: another ranking of the same queries.
        document_ids: of the output; None if the documents that it has are not known.

    Raises:
        InputError: no query has a relevant document, none that was judged was ranked, or the
            output has none of the relevant documents.
    """
    relevant = {
        query: [document for document, grade in own.items() if grade > 0]
        for query, own in grades.items()
    }
    query_ids = tuple(query for query, own in relevant.items() if own)
    if not query_ids:
        raise InputError(
            f"none of {len(grades):,} queries has a relevant document: name those that answer "
            "them, with a grade of at least 1"
        )
    for one in (ranking, *([against] if against else ())):
        _check_ranked(one, query_ids)
    values = query_values(ranking, grades, query_ids)
    return RankingEvaluation(
        name=ranking.name,
        estimates=mean_estimates(values),
        query_ids=query_ids,
        values=values,
        n_relevant=sum(map(len, relevant.values())),
        without_relevant=tuple(query for query, own in relevant.items() if not own),
        without_judgments=tuple(one for one in ranking.documents if one not in grades),
        without_ranking=tuple(one for one in query_ids if one not in ranking.documents),
        not_in_output=_not_in_output(relevant, document_ids),
        against=None if against is None else _compared(values, against, grades, query_ids),
    )


def query_values(ranking: Ranking, grades: Grades, query_ids: Sequence[str]) -> DoubleArray:
    """Every measure of every query, by ir-measures. Shape: (queries, measures)."""
    import ir_measures

    # trec_eval ends an id at a zero character and orders documents of one score by their ids.
    # So it gets numbers for ids, and the negative place of a document for its score.
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for place, query in enumerate(query_ids):
        found = ranking.documents.get(query, ())
        numbers = {
            one: str(number) for number, one in enumerate({**grades[query], **dict.fromkeys(found)})
        }
        qrels[str(place)] = {numbers[one]: grade for one, grade in grades[query].items()}
        if found:
            run[str(place)] = {numbers[one]: -float(rank) for rank, one in enumerate(found)}
    columns = {
        ir_measures.parse_measure(name): place for place, name in enumerate(MEASURES.values())
    }
    values = np.zeros((len(query_ids), len(columns)))
    for one in ir_measures.iter_calc(list(columns), qrels, run):
        values[int(one.query_id), columns[one.measure]] = one.value
    return values


def _compared(
    values: DoubleArray, other: Ranking, grades: Grades, query_ids: Sequence[str]
) -> Comparison:
    others = query_values(other, grades, query_ids)
    return Comparison(
        name=other.name,
        estimates=mean_estimates(others),
        differences=mean_estimates(values - others),
        values=others,
    )


def _check_ranked(ranking: Ranking, query_ids: Sequence[str]) -> None:
    if any(query in ranking.documents for query in query_ids):
        return
    example = shown(next(iter(ranking.documents), ""))
    raise InputError(
        f"{ranking.name} ranks none of the {len(query_ids):,} queries that have a relevant "
        f"document: its ids are like {example}, those of the judgments like "
        f"{shown(query_ids[0])}. Give a run and judgments of the same queries"
    )


def _not_in_output(
    relevant: Mapping[str, Sequence[str]], document_ids: Collection[str] | None
) -> tuple[str, ...]:
    if document_ids is None:
        return ()
    known = frozenset(document_ids)
    wanted = list(dict.fromkeys(one for own in relevant.values() for one in own))
    missing = tuple(one for one in wanted if one not in known)
    if len(missing) == len(wanted):
        example = shown(next(iter(document_ids), ""))
        raise InputError(
            f"the output has none of the {len(wanted):,} relevant documents: their ids are like "
            f"{shown(wanted[0])}, those of the output like {example}. Name the documents by the "
            "ids that they have in the table documents"
        )
    return missing


def _means(estimates: Sequence[Estimate]) -> dict[str, float]:
    return _by_measure([one.value for one in estimates])


def _intervals(estimates: Sequence[Estimate]) -> dict[str, list[float | None] | None]:
    intervals = [None if one.low is None else [one.low, one.high] for one in estimates]
    return dict(zip(MEASURES, intervals, strict=True))


def _by_measure(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(MEASURES, values, strict=True))
