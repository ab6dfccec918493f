"""The token-classification pipeline of transformers, and what of its entities longbert promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transformers import TokenClassificationPipeline, pipeline


class WordsApartPipeline(TokenClassificationPipeline):
    """The pipeline, except that a token which starts before others have ended continues a word."""

    def gather_pre_entities(self, *args: Any, **options: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super().gather_pre_entities(*args, **options)
        reached = 0
        for one in found:
            if one["start"] is not None:
                one["is_subword"] = one["is_subword"] or one["start"] < reached
                reached = max(reached, one["end"])
        return found


def entity_pipeline(folder: Any, *, words_apart: bool = False) -> Any:
    """The pipeline on a processor; as transformers has it unless words shall be kept apart."""
    kind = WordsApartPipeline if words_apart else TokenClassificationPipeline
    return pipeline("token-classification", model=str(folder), device="cpu", pipeline_class=kind)


def promised(
    text: str, entities: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, int, int, float]]:
    """What is left of the pipeline's entities, in their order: label, start, end and score.

    White space at the ends is no part of an entity, and a character belongs to the first entity
    that has it. What is left without a character is no entity.
    """
    taken: set[int] = set()
    for one in entities:
        own = [char for char in range(one["start"], one["end"]) if char not in taken]
        while own and text[own[0]].isspace():
            own.pop(0)
        while own and text[own[-1]].isspace():
            own.pop()
        if own:
            taken |= set(own)
            yield one["entity_group"], own[0], own[-1] + 1, float(one["score"])
