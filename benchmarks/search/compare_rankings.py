"""How well every way to rank finds the document, and the passage, that is known to answer.

    python benchmarks/search/compare_rankings.py --work /tmp/search \\
        --documents qmsum/documents.jsonl.gz --queries qmsum/queries.jsonl.gz \\
        --articles xquad-en.jsonl.gz

Each corpus is run into a folder of its own; an output that is there is used as it is. The tables
go to standard output as Markdown. Differences are to the default, query by query, and intervals
are of 95%, by bootstrap over queries.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from corpora import Corpus, Query, read_articles, read_meetings

import longbert
from longbert.core.fusion import WEIGHTS, combined
from longbert.core.ranks import RANKS
from longbert.index.excerpts import Hit
from longbert.index.search import Index

Floats = npt.NDArray[np.float64]

DEPTH = 10
_RESAMPLES = 10_000

ABLATIONS: Mapping[str, tuple[str, ...]] = {
    "by words: runs alone": ("runs",),
    "by words: sentences alone": ("sentences",),
    "by words: documents alone": ("documents",),
    "all but runs": ("sentences", "documents", "dense"),
    "all but sentences": ("runs", "documents", "dense"),
    "all but documents": ("runs", "sentences", "dense"),
}
"""Which kinds of search are fused, with the weights of the default."""

GRID = {
    "sentences": (0.0, 0.5, 1.0, 1.5),
    "documents": (0.0, 0.25, 0.5),
    "dense": (0.2, 0.4, 0.6, 0.8, 1.0),
}
"""Weights that are tried beside 1 for runs."""


@dataclass(frozen=True)
class Fused:
    """What each kind of search says of the candidates of a query, and which is the right one."""

    ids: list[str]
    by_kind: Mapping[str, npt.NDArray[np.float32]]
    relevant: str

    def gain(self, weights: Mapping[str, float]) -> float:
        """nDCG@10 with some weights."""
        used = {kind: scores for kind, scores in self.by_kind.items() if weights.get(kind)}
        scores = combined(used, weights)
        order = sorted(range(len(self.ids)), key=lambda one: (-scores[one], one))
        return gain([self.ids[one] for one in order[:DEPTH]], self.relevant)


def gain(found: Sequence[str], relevant: str) -> float:
    """nDCG@10 where one document is relevant."""
    return 1 / np.log2(2 + found.index(relevant)) if relevant in found else 0.0


def is_first(hits: Sequence[Hit], query: Query) -> bool:
    """Whether the right document is the first."""
    return bool(hits) and hits[0].document_id == query.relevant


def is_answered(hits: Sequence[Hit], query: Query) -> bool:
    """Whether a passage that is shown of the right document holds an answer."""
    return any(
        passage.char_start <= start and end <= passage.char_end
        for hit in hits
        if hit.document_id == query.relevant
        for passage in hit.passages
        for start, end in query.answers
    )


def interval(values: Floats) -> str:
    """Mean with the bootstrap's interval over queries."""
    generator = np.random.default_rng(0)
    rows = generator.integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[rows].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def opened(corpus: Corpus, work: Path) -> Index:
    """The output of a corpus, opened; it is run first if it is not there."""
    folder = work / corpus.name
    output = folder / "output"
    if not (output / "manifest.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "documents.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in corpus.documents)
        file.write_text("".join(lines), encoding="utf-8")
        longbert.run(file, output=output, embed="minilm", classify="none", ner="none")
    return longbert.open(output)


def compare_ranks(
    corpora: Sequence[Corpus],
    indexes: Sequence[Index],
    measures: Mapping[str, Callable[[Sequence[Hit], Query], float]],
) -> None:
    """Print a table of all values of ``--rank``."""
    print(f"| rank | {' | '.join(measures)} | nDCG@10, difference |")
    print("|---|" + "---|" * (len(measures) + 1))
    default: Floats | None = None
    for rank in RANKS:
        values = []
        for corpus, index in zip(corpora, indexes, strict=True):
            found = index.search_many([query.text for query in corpus.queries], DEPTH, rank)
            values += [
                [float(measure(hits, query)) for measure in measures.values()]
                for hits, query in zip(found, corpus.queries, strict=True)
            ]
        table = np.array(values)
        default = table[:, 0] if default is None else default
        columns = [interval(column) for column in table.T]
        print(f"| `{rank}` | {' | '.join(columns)} | {interval(table[:, 0] - default)} |")


def fused_scores(corpus: Corpus, index: Index) -> list[Fused]:
    """What the kinds of search say of every query."""
    return [Fused(*index.kind_scores(one.text, DEPTH), one.relevant) for one in corpus.queries]


def gains(queries: Sequence[Fused], weights: Mapping[str, float]) -> Floats:
    """nDCG@10 of every query."""
    return np.array([query.gain(weights) for query in queries])


def compare_kinds(by_corpus: Mapping[str, Sequence[Fused]]) -> None:
    """Print a table of what is left when kinds of search are left out."""
    print(f"| fused | {' | '.join(f'{name}, nDCG@10' for name in by_corpus)} | difference |")
    print("|---|" + "---|" * (len(by_corpus) + 1))
    default = {name: gains(queries, WEIGHTS) for name, queries in by_corpus.items()}
    for label, kinds in {"all (the default)": tuple(WEIGHTS), **ABLATIONS}.items():
        weights = {kind: WEIGHTS[kind] for kind in kinds}
        found = {name: gains(queries, weights) for name, queries in by_corpus.items()}
        first = next(iter(by_corpus))
        columns = [interval(values) for values in found.values()]
        print(f"| {label} | {' | '.join(columns)} | {interval(found[first] - default[first])} |")


def cross_validate(halves: Sequence[Sequence[Fused]]) -> None:
    """Fit the weights on one half of the meetings, test on the other, and the other way round."""
    grid = [
        {"runs": 1.0, **dict(zip(GRID, values, strict=True))}
        for values in itertools.product(*GRID.values())
    ]
    found = [[gains(half, weights) for weights in grid] for half in halves]
    held_out = []
    for fitted, tested in ((0, 1), (1, 0)):
        best = int(np.argmax([values.mean() for values in found[fitted]]))
        print(
            f"- fitted on half {fitted + 1}: {grid[best]}, {found[fitted][best].mean():.3f} "
            f"there, {found[tested][best].mean():.3f} on the other half"
        )
        held_out.append(found[tested][best])
    print(f"- held out: {interval(np.concatenate(held_out))}")


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=Path, required=True, help="of the meetings")
    parser.add_argument("--queries", type=Path, required=True, help="about the meetings")
    parser.add_argument("--articles", type=Path, required=True, help="with their questions")
    parser.add_argument("--work", type=Path, required=True, help="folder for outputs")
    given = parser.parse_args()
    meetings = read_meetings(given.documents, given.queries)
    articles = read_articles(given.articles)
    indexes = [opened(corpus, given.work) for corpus in meetings]
    index = opened(articles, given.work)

    def ndcg(hits: Sequence[Hit], query: Query) -> float:
        return gain([hit.document_id for hit in hits], query.relevant)

    print("Meetings:\n")
    compare_ranks(meetings, indexes, {"nDCG@10": ndcg, "first": is_first})
    print("\nArticles:\n")
    measures = {"nDCG@10": ndcg, "first": is_first, "answer among the passages": is_answered}
    compare_ranks([articles], [index], measures)
    halves = [fused_scores(*one) for one in zip(meetings, indexes, strict=True)]
    print("\nKinds of search:\n")
    both = [query for half in halves for query in half]
    compare_kinds({"meetings": both, "articles": fused_scores(articles, index)})
    print("\nWeights:\n")
    cross_validate(halves)


if __name__ == "__main__":
    main()
