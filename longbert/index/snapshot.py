"""Opening an output folder for search: its manifest, its index, the columns it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import IntArray
from longbert.core.ranking import rows_of
from longbert.errors import OutputError
from longbert.index.lexical.corpus import LexicalCorpus
from longbert.index.tables import PassageTable, read_document_ids, read_passage_table
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexEntry


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """The indexes and the columns that search needs, as one manifest names them.

    Attributes:
        parts: names, in order.
        index: of vectors; None without an embedding model.
        words: the lexical index.
        rows: rows of ``table``, by document and ordinal. Shape: (passages,).
        starts: where each document begins in ``rows``, and the end. Shape: (documents + 1,).
    """

    output: OutputFolder
    parts: Sequence[str]
    document_ids: Sequence[str]
    table: PassageTable
    index: IndexEntry | None
    words: LexicalCorpus
    rows: IntArray
    starts: IntArray

    def rows_of(self, documents: IntArray) -> tuple[IntArray, IntArray]:
        """Rows of ``table`` of some documents, by ordinal, and the number of each one's rows."""
        places, sizes = rows_of(documents, self.starts)
        return self.rows[places], sizes


def open_snapshot(output: OutputFolder) -> IndexSnapshot:
    """Read what search needs, trusting the manifest only.

    Raises:
        OutputError: there is no finished output, or a file is damaged.
    """
    manifest = output.finished()
    parts = manifest.part_names
    document_ids = read_document_ids(output, parts)
    positions = {document_id: row for row, document_id in enumerate(document_ids)}
    table = read_passage_table(output, parts, positions)
    words = LexicalCorpus.open(output, parts)
    totals = words.totals
    if (totals.documents, totals.passages) != (len(document_ids), len(table.passage_ids)):
        raise OutputError(
            f"the lexical index in {output.path} has other rows than its tables: "
            "remove the folder lexical and run longbert again"
        )
    rows = np.lexsort((table.ordinal, table.document))
    return IndexSnapshot(
        output=output,
        parts=parts,
        document_ids=document_ids,
        table=table,
        index=manifest.index,
        words=words,
        rows=rows,
        starts=np.searchsorted(table.document[rows], np.arange(len(document_ids) + 1)),
    )
