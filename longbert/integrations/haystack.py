"""A retriever for Haystack: ``pip install 'longbert[haystack]'``."""

from __future__ import annotations

import os
from typing import Any

from haystack import Document, component

import longbert
from longbert.config import DEFAULT_OUTPUT


@component
class LongbertRetriever:
    """Finds passages of an output folder.

    Every result is a passage that is shown for a document, in the order of the documents, with
    the document's ``score``; its metadata are ``document_id`` and ``rank`` of the document, and
    ``char_start``, ``char_end`` and ``passage_score`` of the passage.

    Args:
        folder: the output.
        k: documents to find, at least 1.
        rank: how documents are ranked; None: by words and vectors, where there are both.
        filter: which documents may be found, such as ``"label = 'neg'"``; None: all.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = DEFAULT_OUTPUT,
        k: int = 10,
        rank: str | None = None,
        filter: str | None = None,
    ) -> None:
        # Haystack writes pipelines by the attributes that have the names of the arguments.
        self.folder, self.k, self.rank, self.filter = os.fspath(folder), k, rank, filter
        self._index: Any = None

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        """Find the passages that fit a query."""
        if self._index is None:
            self._index = longbert.open(self.folder)
        hits = self._index.search(query, self.k, self.rank, filter=self.filter)
        rows = longbert.hits_table({"": hits}).drop_columns("query_id").to_pylist()
        return {
            "documents": [
                Document(content=row.pop("text"), score=row.pop("score"), meta=row) for row in rows
            ]
        }
