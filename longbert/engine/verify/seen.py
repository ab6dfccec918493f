"""Documents that are in an output twice, found without all ids in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pyarrow as pa
from typing_extensions import override

from longbert.core.planning import name_key
from longbert.core.units import ordinal_of
from longbert.engine.verify.problems import Mend, Problem
from longbert.store.sorting import ExternalSort


class SeenDocuments(AbstractContextManager["SeenDocuments"]):
    """The documents of all parts, sorted on disk by the digests of their ids."""

    def __init__(self) -> None:
        self._sorted: ExternalSort[tuple[bytes, int, str, str]] = ExternalSort()

    @override
    def __exit__(self, *_: object) -> None:
        self._sorted.close()

    def add(self, part: str, documents: pa.Table) -> None:
        """Add those of a part; raises OSError if the disk is full."""
        for one in documents.column("document_id").to_pylist():
            self._sorted.add((name_key(one), ordinal_of(part), part, one))

    def twice(self) -> Iterator[Problem]:
        """A problem for each document but the first with its id, once all parts were added."""
        before = None
        for key, _, part, one in self._sorted.rows():
            if key == before:
                message = f"part {part}: document {one!r}: in the output twice"
                yield Problem(message, Mend.PART, part=part)
            before = key
