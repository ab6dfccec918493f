"""How much longer three heads on one backbone take than one, in one process.

    python benchmarks/three_heads.py novel.txt --rounds 5

Encodes the same text with the embedding alone and with two heads beside it, in turn, and prints
the median of each and the ratio, by the clock and by the time that the process had a processor,
which other work beside it disturbs less. Heads of your own take the place of the packaged ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import longbert


def main() -> None:
    """Time three heads on one pass against one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--chars", type=int, default=100_000, help="of the text that are read")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--embed", default="minilm")
    parser.add_argument("--classify", default="sentiment-en")
    parser.add_argument("--ner", default="entities-en")
    parser.add_argument("--precision", default="float32")
    given = parser.parse_args()

    text = given.text.read_text(encoding="utf-8")[: given.chars]
    common = {"embed": given.embed, "precision": given.precision}
    encoders = {
        "one head": longbert.load(**common),
        "three heads": longbert.load(**common, classify=given.classify, ner=given.ner),
    }
    clocks: dict[str, Callable[[], float]] = {
        "by the clock": time.perf_counter,
        "of processor": time.process_time,
    }
    seconds: dict[str, dict[str, list[float]]] = {
        clock: {name: [] for name in encoders} for clock in clocks
    }
    for round_ in range(-1, given.rounds):
        for name, encoder in encoders.items():
            began = {clock: read() for clock, read in clocks.items()}
            result = encoder(text)
            for clock, read in clocks.items():
                if round_ >= 0:  # The first round warms up.
                    seconds[clock][name].append(read() - began[clock])
    print(f"{len(text):,} characters, {result.n_tokens:,} tokens, {given.precision}")
    for clock, times in seconds.items():
        one, three = times.values()
        ratios = [b / a for a, b in zip(one, three, strict=True)]
        print(
            f"seconds {clock}, median of {given.rounds}: {statistics.median(one):.2f} and "
            f"{statistics.median(three):.2f}, ratio {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
