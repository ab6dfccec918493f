"""Putting what a search found into the order of a model that reads query and passage together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from longbert.arrays import FloatArray
from longbert.index.excerpts import Hit

Rerank = Callable[[str, Sequence[str]], FloatArray]
"""A query and passages to their scores. Shape: (passages,)."""

LoadReranker = Callable[[str, str | None], Rerank]
"""The name of a model, and that of its label for relevant, to what scores with it."""

RERANKED = 50
"""Documents that are put into a new order, or as many as are wanted, if that is more."""


def reranked(query: str, hits: Sequence[Hit], k: int, rerank: Rerank) -> list[Hit]:
    """The best ``k`` hits by their best passages of those that are shown.

    Args:
        query: its text.
        hits: in the order that they were found.
        k: documents wanted.
        rerank: scores passages.

    Returns:
        Hits and passages with the new scores, best first; ties by document id and by place.
    """
    passages = [passage for hit in hits for passage in hit.passages]
    scores = iter(rerank(query, [passage.text for passage in passages]).tolist())
    found = []
    for hit in hits:
        own = [replace(passage, score=next(scores)) for passage in hit.passages]
        own.sort(key=lambda passage: (-passage.score, passage.char_start))
        if own:
            found.append(replace(hit, score=own[0].score, passages=tuple(own)))
    found.sort(key=lambda hit: (-hit.score, hit.document_id))
    return [replace(hit, rank=rank) for rank, hit in enumerate(found[:k], start=1)]
