"""Checking an index against its checksums and the tables it was built from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from longbert.errors import OutputError
from longbert.index.tables import RowsDigest, document_batches, passage_batches
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexEntry


def index_problems(
    output: OutputFolder, parts: Sequence[str], entry: IndexEntry, *, with_tables: bool = True
) -> Iterator[str]:
    """Compare an index with its checksums and with the tables it was built from.

    Args:
        output: the folder.
        parts: that the manifest names, in order.
        entry: of the index in the manifest.
        with_tables: whether to read the tables, which must be whole.

    Yields:
        Each problem, with a remedy.
    """
    try:
        description = output.index_description(entry)
        for file in (description.documents, description.passages):
            output.read_checked(file.file, file.sha256)
        if not with_tables:
            return
        digest = RowsDigest()
        counts = {"documents": 0, "passages": 0}
        for rows in document_batches(output, parts):
            digest.add_documents(rows)
            counts["documents"] += len(rows.document_ids)
        for batch in passage_batches(output, parts):
            digest.add_passages(batch)
            counts["passages"] += len(batch.document_ids)
    except OutputError as error:
        yield str(error)
        return
    indexed = {"documents": description.documents.count, "passages": description.passages.count}
    for table, count in counts.items():
        if indexed[table] != count:
            yield f"the index has {indexed[table]} {table}, but the tables have {count}: run again"
    if description.rows_sha256 != digest.hexdigest():
        yield "the index was not built from the rows in the tables: run longbert again"
