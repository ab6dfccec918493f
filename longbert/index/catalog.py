"""The catalog of a part: its documents and passages, without vectors and texts.

It is committed with the part and read through a memory map, so that opening an output costs
nothing that grows with its documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from longbert.arrays import Array, IntArray, UnsignedArray
from longbert.errors import OutputError
from longbert.index.array_file import pack, smallest, unpack

_ARRAYS = ("passages", "passage_ids", "char_ends", "id_starts", "ids")


INDEXED_COLUMNS = {
    "documents": ("document_id",),
    "passages": ("passage_id", "document_id", "ordinal", "char_start", "char_end", "text"),
}
"""The columns that catalogs and lexical files are made from, by table."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Documents and passages of a part, in the order of its tables.

    Attributes:
        passages: first passage of every document, and the end. Shape: (documents + 1,).
        passage_ids: as in the table. Shape: (passages,).
        char_ends: where the passages end in their documents; each begins where the one before
            ends. Shape: (passages,).
        id_starts: where the ids of documents begin in ``ids``, and the end.
            Shape: (documents + 1,).
        ids: of the documents, UTF-8. Shape: (bytes,).
    """

    passages: IntArray
    passage_ids: IntArray
    char_ends: UnsignedArray
    id_starts: IntArray
    ids: Array

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.passages) - 1

    @property
    def n_passages(self) -> int:
        """Number of passages."""
        return len(self.passage_ids)

    def document_ids(self, documents: IntArray) -> Iterator[str]:
        """The ids of some documents of the part."""
        data = self.ids.data
        starts, ends = self.id_starts[documents], self.id_starts[documents + 1]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield str(data[start:end], "utf-8")

    def spans(self, document: int) -> tuple[IntArray, IntArray]:
        """Where the passages of a document begin and end. Shape of both: (its passages,)."""
        here = slice(int(self.passages[document]), int(self.passages[document + 1]))
        ends = self.char_ends[here].astype(np.int64)
        return np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1]]), ends


def catalog_file(documents: pa.Table, passages: pa.Table, *, path: str) -> bytes:
    """Make the catalog of a part: the same rows give the same bytes.

    Args:
        documents: the part's table of documents.
        passages: that of passages.
        path: of the tables, for messages.

    Raises:
        OutputError: the passages are not in the order of their documents, or leave out text.
    """
    ids = documents.column("document_id").to_pylist()
    sizes = _sizes(ids, passages, path)
    encoded = [one.encode() for one in ids]
    ends = np.array(passages.column("char_end").to_pylist(), np.int64)
    arrays = {
        "passages": _starts(sizes),
        "passage_ids": np.array(passages.column("passage_id").to_pylist(), np.int64),
        "char_ends": smallest(ends),
        "id_starts": _starts([len(one) for one in encoded]),
        "ids": np.frombuffer(b"".join(encoded), np.uint8),
    }
    return pack(arrays, {})


def open_catalog(data: Any, *, path: str) -> Catalog:
    """Read a catalog without copying it.

    Args:
        data: its bytes, best a memory map.
        path: for messages.

    Raises:
        OutputError: it is damaged.
    """
    try:
        arrays, _ = unpack(data, _ARRAYS)
        catalog = Catalog(**arrays)
        if (
            len(catalog.id_starts) != len(catalog.passages)
            or len(catalog.char_ends) != len(catalog.passage_ids)
            or int(catalog.passages[-1]) != len(catalog.passage_ids)
            or int(catalog.id_starts[-1]) != len(catalog.ids)
        ):
            raise ValueError("its arrays do not fit each other")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OutputError(
            f"{path} is damaged ({error}): remove it, and run longbert again to make it anew"
        ) from None
    return catalog


def is_catalog_of(data: bytes, tables: Mapping[str, pa.Table]) -> bool:
    """Whether a catalog is the one of a part's tables."""
    try:
        return data == catalog_file(tables["documents"], tables["passages"], path="")
    except OutputError:
        return False


def _starts(sizes: Sequence[int]) -> IntArray:
    return np.cumsum([0, *sizes], dtype=np.int64)


def _sizes(document_ids: Sequence[str], passages: pa.Table, path: str) -> list[int]:
    """Passages of each document, whose rows follow one another and cut its text."""
    sizes = dict.fromkeys(document_ids, 0)
    following = iter(document_ids)
    current, reached = None, 0
    columns = ("document_id", "ordinal", "char_start", "char_end")
    for document_id, ordinal, start, end in zip(
        *(passages.column(name).to_pylist() for name in columns), strict=True
    ):
        if document_id != current:
            # What the iterator has passed does not come again.
            current, reached = (document_id if document_id in following else None), 0
        if current is None or ordinal != sizes[current] or start != reached or end < start:
            raise OutputError(
                f"{path}: passage {ordinal} of {document_id!r} is out of order: the output is "
                "damaged, run longbert again into an empty folder"
            )
        sizes[current] += 1
        reached = end
    return list(sizes.values())
