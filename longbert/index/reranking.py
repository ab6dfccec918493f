"""Putting what a search found into the order of a model that reads query and passage together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from longbert.arrays import FloatArray
from longbert.core.fusion import lowered
from longbert.index.excerpts import Hit

Rerank = Callable[[str, Sequence[str]], FloatArray]
"""A query and passages to their scores. Shape: (passages,)."""

LoadReranker = Callable[[str, str | None], Rerank]
"""The name of a model, and that of its label for relevant, to what scores with it."""

RERANKED = 50
"""Documents that are put into a new order; then the next as many, which follow them."""


def reranked(query: str, hits: Sequence[Hit], k: int, rerank: Rerank) -> list[Hit]:
    """The best ``k`` hits by their best passages of those that are shown.

    Hits are put into a new order fifty by fifty, so that the first ones do not depend on how many
    there are. The scores of each fifty are shifted, if need be, to be below those before them.

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
    found: list[Hit] = []
    for start in range(0, len(hits), RERANKED):
        block = []
        for hit in hits[start : start + RERANKED]:
            own = [replace(passage, score=next(scores)) for passage in hit.passages]
            own.sort(key=lambda passage: (-passage.score, passage.char_start))
            if own:
                block.append(replace(hit, passages=tuple(own)))
        best = np.array([hit.passages[0].score for hit in block], np.float32)
        bound = found[-1].score if found else np.inf
        block = [
            replace(hit, score=score)
            for hit, score in zip(block, lowered(best, bound).tolist(), strict=True)
        ]
        found += sorted(block, key=lambda hit: (-hit.score, hit.document_id))
    return [replace(hit, rank=rank) for rank, hit in enumerate(found[:k], start=1)]
