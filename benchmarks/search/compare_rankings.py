"""How well every way to rank finds the document, and the passage, that is known to answer.

    python benchmarks/search/compare_rankings.py --work /tmp/search \\
        --documents qmsum/documents.jsonl.gz --queries qmsum/queries.jsonl.gz \\
        --articles xquad-en.jsonl.gz

All meetings are run into one folder, from which those of the halves are made without encoding
anything; articles have their own. Outputs that are there are used as they are, and so is what an
earlier call found and kept in files beside them: so a call that was stopped goes on where it was.
Remove the folder to begin anew. The tables go to standard output as Markdown. Differences are to
the default, query by query, and intervals are of 95%, by bootstrap over queries.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
SAMPLE = 70
"""Meetings that are drawn as a corpus of their own."""
DRAWS = 1_000

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
class Found:
    """What a ranking finds for one query.

    Attributes:
        ids: of documents, best first.
        is_answered: whether a passage that is shown of the relevant one holds an answer.
    """

    ids: list[str]
    is_answered: bool = False


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


def opened(corpora: Sequence[Corpus], work: Path, *, name: str, known: Path | None = None) -> Index:
    """The output of some corpora, opened; it is made first if it is not there.

    Args:
        corpora: with their documents.
        work: folder for outputs.
        name: of this one's folder.
        known: an output that has the rows of all documents already; None: they are encoded.
    """
    output = work / name / "output"
    files = [work / f"{corpus.name}.jsonl" for corpus in corpora]
    for corpus, file in zip(corpora, files, strict=True):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in corpus.documents)
        file.write_text("".join(lines), encoding="utf-8")
    if not (output / "manifest.json").exists():
        if known is not None:
            shutil.copytree(known, output, dirs_exist_ok=True)
        models = {"embed": "minilm", "classify": "none", "ner": "none"}
        longbert.run(*files, output=output, prune=known is not None, **models)
    return longbert.open(output)


def kept(file: Path, compute: Callable[[], Any]) -> Any:
    """What an earlier call has kept in a file; it is computed and kept first if it is not there."""
    if not file.exists():
        new = file.with_suffix(".new")
        new.write_text(json.dumps(compute()), encoding="utf-8")
        new.replace(file)
    return json.loads(file.read_text(encoding="utf-8"))


def ranked(corpora: Sequence[Corpus], index: Index, folder: Path, rank: str) -> list[Found]:
    """What a ranking finds for the queries of some corpora."""
    queries = [query for corpus in corpora for query in corpus.queries]

    def search() -> list[tuple[list[str], bool]]:
        texts = [query.text for query in queries]
        if not any(query.answers for query in queries):
            return [(ids, False) for ids in index.rankings(texts, DEPTH, rank)]
        found = index.search_many(texts, DEPTH, rank)
        return [
            ([hit.document_id for hit in hits], is_answered(hits, query))
            for hits, query in zip(found, queries, strict=True)
        ]

    return [Found(*one) for one in kept(folder / f"{rank}.json", search)]


def compare_ranks(tables: Mapping[str, list[Found]], queries: Sequence[Query]) -> None:
    """Print a table of all values of ``--rank``."""
    with_answers = any(query.answers for query in queries)
    measures = ["nDCG@10", "first", *["answer among the passages"] * with_answers]
    print(f"| rank | {' | '.join(measures)} | nDCG@10, difference |")
    print("|---|" + "---|" * (len(measures) + 1))
    default: Floats | None = None
    for rank, table in tables.items():
        values = np.array(
            [
                (
                    gain(found.ids, query.relevant),
                    float(found.ids[:1] == [query.relevant]),
                    float(found.is_answered),
                )
                for found, query in zip(table, queries, strict=True)
            ]
        )
        default = values[:, 0] if default is None else default
        columns = [interval(column) for column in values.T[: len(measures)]]
        print(f"| `{rank}` | {' | '.join(columns)} | {interval(values[:, 0] - default)} |")


def fused_scores(corpus: Corpus, index: Index, folder: Path) -> list[Fused]:
    """What the kinds of search say of every query."""

    def scores() -> list[tuple[list[str], dict[str, list[float]]]]:
        found = [index.kind_scores(query.text) for query in corpus.queries]
        return [
            (ids, {kind: one.tolist() for kind, one in by_kind.items()}) for ids, by_kind in found
        ]

    return [
        Fused(
            ids, {kind: np.array(one, np.float32) for kind, one in by_kind.items()}, query.relevant
        )
        for (ids, by_kind), query in zip(
            kept(folder / "kinds.json", scores), corpus.queries, strict=True
        )
    ]


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


def thinned(
    table: Sequence[Sequence[str]], queries: Sequence[Query], ids: Sequence[str], *, size: int
) -> Floats:
    """nDCG@10 in smaller corpora: the mean over those that are drawn with a query's document.

    What is left of a ranking when documents are taken out, which leaves scores and the frequencies
    of words those of the whole corpus.

    Args:
        table: all documents that are found for each query, best first.
        queries: of the rows.
        ids: of all documents.
        size: documents that are drawn.

    Returns:
        Shape: (queries,).
    """
    sums, counts = np.zeros(len(queries)), np.zeros(len(queries))
    for number in range(DRAWS):
        drawn = {*random.Random(number).sample(list(ids), size)}
        for row, (found, query) in enumerate(zip(table, queries, strict=True)):
            if query.relevant in drawn:
                left = itertools.islice((one for one in found if one in drawn), DEPTH)
                sums[row] += gain(list(left), query.relevant)
                counts[row] += 1
    means: Floats = sums / counts
    return means


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=Path, required=True, help="of the meetings")
    parser.add_argument("--queries", type=Path, required=True, help="about the meetings")
    parser.add_argument("--articles", type=Path, required=True, help="with their questions")
    parser.add_argument("--work", type=Path, required=True, help="folder for outputs")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    meetings = read_meetings(given.documents, given.queries)
    articles = read_articles(given.articles)
    whole = opened(meetings, given.work, name="meetings")
    known = given.work / "meetings" / "output"
    halves = [opened([one], given.work, name=one.name, known=known) for one in meetings]
    of_articles = opened([articles], given.work, name=articles.name)

    by_half = [
        fused_scores(one, index, given.work / one.name)
        for one, index in zip(meetings, halves, strict=True)
    ]
    by_corpus = {
        "meetings": [query for half in by_half for query in half],
        "articles": fused_scores(articles, of_articles, given.work / articles.name),
    }
    print("Kinds of search:\n")
    compare_kinds(by_corpus)
    print("\nWeights:\n")
    cross_validate(by_half)
    queries = [query for one in meetings for query in one.queries]
    both: dict[str, list[Found]] = {}
    for rank in RANKS:
        of_halves = [
            ranked([one], index, given.work / one.name, rank)
            for one, index in zip(meetings, halves, strict=True)
        ]
        both[rank] = [found for half in of_halves for found in half]
    print("\nMeetings, in halves:\n")
    compare_ranks(both, queries)
    print("\nArticles:\n")
    compare_ranks(
        {rank: ranked([articles], of_articles, given.work / articles.name, rank) for rank in RANKS},
        articles.queries,
    )
    print("\nMeetings, all together:\n")
    compare_ranks(
        {rank: ranked(meetings, whole, given.work / "meetings", rank) for rank in RANKS}, queries
    )

    print(f"\nMeetings, {SAMPLE} drawn at a time:\n")
    ids = list(whole.document_ids)
    table = kept(
        given.work / "meetings" / "all.json",
        lambda: whole.rankings([query.text for query in queries], len(ids)),
    )
    print(f"- nDCG@10 {interval(thinned(table, queries, ids, size=SAMPLE))}")


if __name__ == "__main__":
    main()
