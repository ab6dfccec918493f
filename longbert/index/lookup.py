"""Finding a document by its id."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property

from longbert.errors import ConfigError, shown

COMPARED = 20_000
"""Ids at most that a wrong one is compared with, those of about its length."""


class IdLookup:
    """Positions of documents by their ids, which are read when the first is looked up.

    Args:
        ids: by position.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids

    def position(self, document_id: str) -> int:
        """The position of a document.

        Raises:
            ConfigError: there is none with this id, with those that are like it.
        """
        try:
            return self._positions[document_id]
        except KeyError:
            raise ConfigError(
                f"the output has no document {shown(document_id)}{self._nearest(document_id)}"
            ) from None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {one: position for position, one in enumerate(self._ids)}

    def _nearest(self, document_id: str) -> str:
        ids = self._ids
        if not ids:
            return ", nor any other: the table errors says of each input why it is not there"
        if len(ids) > COMPARED:
            ids = heapq.nsmallest(COMPARED, ids, key=lambda one: abs(len(one) - len(document_id)))
        if close := get_close_matches(document_id, ids, n=3, cutoff=0.5):
            return f": the nearest ids are {', '.join(map(shown, close))}"
        return f": its ids look like {', '.join(map(shown, ids[:3]))}"
