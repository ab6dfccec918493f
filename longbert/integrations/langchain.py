"""A retriever for LangChain: ``pip install 'longbert[langchain]'``."""

from __future__ import annotations

import os
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import PrivateAttr
from typing_extensions import override

import longbert
from longbert.config import DEFAULT_OUTPUT


class LongbertRetriever(BaseRetriever):
    """Finds passages of an output folder.

    Every result is a passage that is shown for a document, in the order of the documents; its
    metadata are ``document_id``, ``rank`` and ``score`` of the document, and ``char_start``,
    ``char_end`` and ``passage_score`` of the passage.

    Attributes:
        folder: the output.
        k: documents to find, at least 1.
        rank: how documents are ranked; None: by words and vectors, where there are both.
        filter: which documents may be found, such as ``"label = 'neg'"``; None: all.
    """

    folder: str | os.PathLike[str] = DEFAULT_OUTPUT
    k: int = 10
    rank: str | None = None
    filter: str | None = None
    _index: Any = PrivateAttr(None)

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        if self._index is None:
            self._index = longbert.open(self.folder)
        hits = self._index.search(query, self.k, self.rank, filter=self.filter)
        rows = longbert.hits_table({"": hits}).drop_columns("query_id").to_pylist()
        return [Document(row.pop("text") or "", metadata=row) for row in rows]
