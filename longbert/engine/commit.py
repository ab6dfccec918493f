"""Committing a part: its tables, what search needs of them, and the receipt that makes it count."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from longbert.core.units import Part
from longbert.engine.context import RunContext
from longbert.engine.meter import timed
from longbert.index.catalog import catalog_file
from longbert.index.large_catalog import write_large_catalog
from longbert.index.lexical.analysis import AnalysedText
from longbert.index.lexical.build import build_lexical
from longbert.index.lexical.large import write_large_part
from longbert.store import parquet
from longbert.store.layout import CATALOG, LEXICAL, lexical_file, part_file
from longbert.store.part_writer import PartWriter, write_part
from longbert.store.receipts import DocumentEntry, FileEntry, Receipt


def commit_tables(
    context: RunContext,
    part: Part,
    tables: Mapping[str, pa.Table],
    analysed: Mapping[str, AnalysedText] | None = None,
) -> None:
    """Commit a part whose rows are all there.

    Args:
        context: the run.
        part: as planned.
        tables: its rows.
        analysed: the words of some of its texts, where they are known.
    """
    schemas = {name: table.schema for name, table in tables.items()}
    with timed(context.meter, "writing"), write_part(context.output, part.name, schemas) as written:
        written.add(tables)
    rows = tables["documents"], tables["passages"]
    files = write_index_files(context, part.name, *rows, analysed)
    write_receipt(context, part, written, files)


def holds_one_large(receipt: Receipt) -> bool:
    """Whether a part is a single document whose rows are better not read as a whole."""
    return len(receipt.documents) == 1 and receipt.counts["passages"] > parquet.ROW_GROUP_ROWS


def write_receipt(
    context: RunContext, part: Part, written: PartWriter, index_files: Mapping[str, FileEntry]
) -> None:
    """Make a part count."""
    receipt = Receipt(
        part=part.name,
        fingerprint=part.fingerprint,
        lexical=context.lexical.digest,
        counts=dict(written.counts),
        files={**written.files, **index_files},
        documents=tuple(map(DocumentEntry.of, part.documents)),
    )
    context.output.write_receipt(receipt)


def write_index_files(
    context: RunContext,
    part: str,
    documents: pa.Table,
    passages: pa.Table,
    analysed: Mapping[str, AnalysedText] | None = None,
) -> dict[str, FileEntry]:
    """Write the catalog and the lexical file of a part."""
    settings = context.lexical
    with timed(context.meter, "writing"):
        catalog = catalog_file(documents, passages, path=part_file("passages", part))
        words = build_lexical(documents, passages, language=settings.language, analysed=analysed)
        return {
            kind: _write_file(context, name, data, n_rows=passages.num_rows)
            for kind, name, data in (
                (CATALOG, part_file(CATALOG, part), catalog),
                (LEXICAL, lexical_file(part, settings.digest), words),
            )
        }


def _write_file(context: RunContext, name: str, data: bytes, *, n_rows: int) -> FileEntry:
    with context.output.create(name) as file:
        file.write(data)
        return file.entry(n_rows=n_rows)


def write_large_index_files(
    context: RunContext, part: str, *, n_passages: int
) -> dict[str, FileEntry]:
    """Write the same files of a part of one large document, from its committed tables."""
    output, settings = context.output, context.lexical
    files = {}
    with timed(context.meter, "writing"):
        with output.create(part_file(CATALOG, part)) as file:
            write_large_catalog(file, output=output, part=part)
            files[CATALOG] = file.entry(n_rows=n_passages)
        with output.create(lexical_file(part, settings.digest)) as file:
            write_large_part(file, output=output, part=part, language=settings.language)
            files[LEXICAL] = file.entry(n_rows=n_passages)
    return files
