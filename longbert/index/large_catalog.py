"""The catalog of a part that is one large document, from its committed tables."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from longbert.index.array_stream import ArrayOnDisk, Writable, write_arrays
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches


def write_large_catalog(file: Writable, *, output: OutputFolder, part: str) -> None:
    """Make the catalog that :func:`longbert.index.catalog.catalog_file` makes of the same part.

    Args:
        file: open for writing.
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
    with ExitStack() as stack:
        names = ("passages", "passage_ids", "char_ends", "id_starts", "ids")
        arrays = {name: stack.enter_context(ArrayOnDisk()) for name in names}
        for _, batch in read_batches(output, "passages", [part], ("passage_id", "char_end")):
            arrays["passage_ids"].append(batch.column("passage_id").to_numpy())
            arrays["char_ends"].append(batch.column("char_end").to_numpy())
        arrays["passages"].append(np.array([0, arrays["passage_ids"].n_items], np.int64))
        arrays["id_starts"].append(np.array([0, len(encoded)], np.int64))
        arrays["ids"].append(np.frombuffer(encoded, np.uint8))
        kinds = dict.fromkeys(("passages", "passage_ids", "id_starts"), np.int64)
        write_arrays(file, arrays, {**kinds, "ids": np.uint8}, {})
