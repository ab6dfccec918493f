"""The catalog of a part that is one large document, from its committed tables."""

from __future__ import annotations

import numpy as np

from longbert.index.array_file import pack, smallest
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches


def large_catalog(output: OutputFolder, part: str) -> bytes:
    """Make the catalog that :func:`longbert.index.catalog.catalog_file` makes of the same part.

    Args:
        output: where the part is.
        part: its name; it holds one document.

    Raises:
        OutputError: a table is missing or damaged.
    """
    (document_id,) = (
        document_id
        for _, batch in read_batches(output, "documents", [part], ("document_id",))
        for document_id in batch.column("document_id").to_pylist()
    )
    encoded = document_id.encode()
    passage_ids, char_ends = np.empty(0, np.int64), np.empty(0, np.int64)
    for _, batch in read_batches(output, "passages", [part], ("passage_id", "char_end")):
        passage_ids = np.append(passage_ids, batch.column("passage_id").to_numpy())
        char_ends = np.append(char_ends, batch.column("char_end").to_numpy())
    arrays = {
        "passages": np.array([0, len(passage_ids)], np.int64),
        "passage_ids": passage_ids,
        "char_ends": smallest(char_ends),
        "id_starts": np.array([0, len(encoded)], np.int64),
        "ids": np.frombuffer(encoded, np.uint8),
    }
    return pack(arrays, {})
