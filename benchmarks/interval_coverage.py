"""How often the intervals of F1 hold the true F1, by the number of documents.

    python benchmarks/interval_coverage.py --rounds 400

Documents are drawn from populations whose F1 is known: entities found in documents that differ in
difficulty, and classes. Of each sample the interval of :mod:`longbert.core.measures.intervals` and
that of a bootstrap over documents are taken. The table goes to standard output as Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np

from longbert.arrays import DoubleArray, IntArray
from longbert.core.measures.counts import Estimate, estimate, macro_f1, micro_f1
from longbert.core.measures.intervals import score_estimates

Draw = Callable[[np.random.Generator, int], IntArray]

N_DOCUMENTS = (5, 10, 20, 30, 60, 200)
_N_POPULATION = 400_000
_N_TYPES = 3


def entities(mean: float, correlation: float, n_mean: float) -> Draw:
    """Entities of three types, of which documents have their own share that is found.

    Args:
        mean: of the share that is found.
        correlation: of two entities of a document.
        n_mean: of the entities of the most frequent type in a document.
    """
    scale = (1 - correlation) / correlation

    def draw(generator: np.random.Generator, n: int) -> IntArray:
        share = generator.beta(mean * scale, (1 - mean) * scale, n)
        columns = []
        for number in range(1, _N_TYPES + 1):
            gold = generator.poisson(n_mean / number, n)
            right = generator.binomial(gold, share)
            predicted = right + generator.binomial(gold, (1 - share) * 0.8)
            columns.append(np.stack([gold, predicted, right], axis=1))
        return np.stack(columns, axis=1)

    return draw


def classes(accuracy: float, n_labels: int) -> Draw:
    """One of several equally frequent labels a document."""

    def draw(generator: np.random.Generator, n: int) -> IntArray:
        gold = generator.integers(0, n_labels, n)
        other = (gold + generator.integers(1, n_labels, n)) % n_labels
        predicted = np.where(generator.random(n) < accuracy, gold, other)
        first, second = (one[:, None] == np.arange(n_labels) for one in (gold, predicted))
        return np.stack([first, second, first & second], axis=2).astype(np.int64)

    return draw


POPULATIONS: Mapping[str, tuple[Draw, Callable[[DoubleArray], DoubleArray]]] = {
    "entities, F1 0.98, errors spread": (entities(0.98, 0.05, 3), micro_f1),
    "entities, F1 0.98, errors in few documents": (entities(0.98, 0.2, 12), micro_f1),
    "entities, F1 0.91": (entities(0.9, 0.1, 6), micro_f1),
    "entities, F1 0.82": (entities(0.8, 0.1, 12), micro_f1),
    "entities, F1 0.53": (entities(0.5, 0.2, 6), micro_f1),
    "two classes, macro F1 0.95": (classes(0.95, 2), macro_f1),
    "two classes, macro F1 0.80": (classes(0.8, 2), macro_f1),
    "five classes, macro F1 0.80": (classes(0.8, 5), macro_f1),
}


def shares(
    draw: Draw, of: Callable[[DoubleArray], DoubleArray], *, n_documents: int, n_rounds: int
) -> tuple[float, float]:
    """How often the interval holds the truth, and how often the bootstrap's does."""
    generator = np.random.default_rng(n_documents)
    truth = float(of(draw(generator, _N_POPULATION).sum(axis=0)[None].astype(np.float64))[0])
    held = np.zeros(2)
    for _ in range(n_rounds):
        counts = draw(generator, n_documents)
        (own,) = score_estimates(counts, (of,))
        (resampled,) = estimate(counts, (of,))
        held += [_holds(own, truth), _holds(resampled, truth)]
    own_share, resampled_share = (held / n_rounds).tolist()
    return own_share, resampled_share


def _holds(found: Estimate, truth: float) -> bool:
    return found.low is None or found.high is None or found.low <= truth <= found.high


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400)
    given = parser.parse_args()
    print("| documents | " + " | ".join(map(str, N_DOCUMENTS)) + " |")
    print("|---" * (1 + len(N_DOCUMENTS)) + "|")
    for name, (draw, of) in POPULATIONS.items():
        cells = []
        for n_documents in N_DOCUMENTS:
            own, resampled = shares(draw, of, n_documents=n_documents, n_rounds=given.rounds)
            cells.append(f"{own:.0%} ({resampled:.0%})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
