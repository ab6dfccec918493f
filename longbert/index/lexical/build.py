"""The lexical file of a part, from its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from longbert.index.lexical.analysis import AnalysedText
from longbert.index.lexical.part import DocumentPassages, build_part


def build_lexical(
    documents: pa.Table,
    passages: pa.Table,
    *,
    language: str,
    analysed: Mapping[str, AnalysedText] | None = None,
) -> bytes:
    """Make the lexical file of a part.

    Args:
        documents: the part's table of documents.
        passages: that of passages, in any order.
        language, analysed: as for :func:`longbert.index.lexical.part.build_part`.
    """
    return build_part(_documents(documents, passages), language=language, analysed=analysed)


def _documents(documents: pa.Table, passages: pa.Table) -> Iterator[DocumentPassages]:
    own: dict[str, list[tuple[int, int, str]]] = {}
    columns = (passages.column(name).to_pylist() for name in _COLUMNS)
    for document_id, *passage in zip(*columns, strict=True):
        own.setdefault(document_id, []).append(tuple(passage))
    for document_id in documents.column("document_id").to_pylist():
        rows = sorted(own.get(document_id, ()))
        yield DocumentPassages(
            text="".join(text for _, _, text in rows), starts=[start for _, start, _ in rows]
        )


_COLUMNS = ("document_id", "ordinal", "char_start", "text")
