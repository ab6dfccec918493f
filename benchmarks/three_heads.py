"""How much longer three heads on one backbone take than one, in one process.

    python benchmarks/three_heads.py novel.txt --rounds 5

Encodes the same text with the embedding alone and with two heads beside it, in turn, and prints
the median of each and the ratio. Heads of your own take the place of the packaged ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
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
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for round_ in range(-1, given.rounds):
        for name, encoder in encoders.items():
            began = time.perf_counter()
            result = encoder(text)
            if round_ >= 0:  # The first round warms up.
                seconds[name].append(time.perf_counter() - began)
    print(f"{len(text):,} characters, {result.n_tokens:,} tokens, {given.precision}")
    for name, times in seconds.items():
        print(f"{name:>12}: median {statistics.median(times):.2f} s of {given.rounds}")
    ratios = [three / one for one, three in zip(*seconds.values(), strict=True)]
    print(f"       ratio: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
