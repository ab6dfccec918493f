"""How far bfloat16 is from float32: entities and classes that differ, and similarity of vectors.

    python benchmarks/precision.py documents.jsonl.gz

Encodes the same documents in both precisions with the packaged models and counts what differs;
entities that only one of them finds are printed by document and place, with their scores.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

import longbert
from longbert.arrays import FloatArray
from longbert.records import DocumentResult


def main() -> None:
    """Compare two precisions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=Path, help="JSON lines with id and text, gzipped")
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float16"))
    given = parser.parse_args()

    encoders = [
        longbert.load(embed="minilm", classify="sentiment-en", ner="entities-en", precision=one)
        for one in ("float32", given.precision)
    ]
    with gzip.open(given.documents, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    least, n_vectors, n_entities, n_differing, n_classes = 1.0, 0, 0, 0, 0
    for document in documents:
        whole, reduced = (encoder(document["text"]) for encoder in encoders)
        cosines = _vectors(whole) * _vectors(reduced)
        least = min(least, float(cosines.sum(axis=1).min()))
        n_vectors += len(cosines)
        n_entities += len(whole.entities)
        n_classes += _predicted(whole) != _predicted(reduced)
        own, other = _places(whole), _places(reduced)
        for place in sorted(own.keys() ^ other.keys()):
            n_differing += 1
            precision, score = (
                ("float32", own[place]) if place in own else (given.precision, other[place])
            )
            print(f"{document['id']} {place}: {precision} alone, score {score:.3f}")
    print(
        f"{len(documents):,} documents: {n_entities:,} entities in float32, {n_differing} found by "
        f"one precision alone; classes of {n_classes} documents differ; least cosine of "
        f"{n_vectors:,} vectors {least:.6f}"
    )


def _places(result: DocumentResult) -> dict[tuple[int, int, str], float]:
    """Scores of entities by place and label."""
    return {(one.char_start, one.char_end, one.label): one.score for one in result.entities}


def _vectors(result: DocumentResult) -> FloatArray:
    """Vectors of the document and its passages, of length 1. Shape: (n, width)."""
    found = [result.embedding, *(passage.embedding for passage in result.passages)]
    vectors = np.stack([one for one in found if one is not None])
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _predicted(result: DocumentResult) -> list[str]:
    return [one.label for one in result.classifications if one.predicted]


if __name__ == "__main__":
    main()
