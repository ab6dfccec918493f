"""One unit of work, from reading to commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
import pyarrow as pa

from longbert.core.units import Part, Unit
from longbert.encoders.models import Models
from longbert.engine.context import RunContext
from longbert.engine.encode import does_not_know_script, encode_documents, n_vectors_of_zeros
from longbert.engine.meter import timed
from longbert.engine.plan import check_errors, finished_rows
from longbert.errors import DocumentError
from longbert.index.catalog import INDEXED_COLUMNS, catalog_file
from longbert.index.lexical.build import build_lexical
from longbert.readers.documents import read
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentResult, ErrorRow
from longbert.store.folder import entry_of
from longbert.store.layout import CATALOG, LEXICAL, lexical_file, part_file
from longbert.store.manifest import DocumentEntry, FileEntry, Receipt
from longbert.store.parquet import read_table, to_parquet
from longbert.store.tables import build_tables, counts_of_tables


def copy_unit(context: RunContext, unit: Unit) -> None:
    """Make a unit's part from the rows of earlier parts, in the order of its documents.

    Raises:
        OutputError: a file cannot be read or written.
    """
    tables = {}
    for table in context.tables:
        rows = pa.concat_tables(
            read_table(context.output, table, part) for part in unit.copy_from
        ).combine_chunks()
        by_document: dict[object, list[int]] = {}
        for place, key in enumerate(_keys(rows, of_failures=table == "errors")):
            by_document.setdefault(key, []).append(place)
        # A document that failed may have the id of one that did not.
        wanted = (
            {(one.source, one.document_id): None for one in unit.part.documents}
            if table == "errors"
            else {one.document_id: None for one in unit.part.documents if not one.failed}
        )
        kept = [place for key in wanted for place in by_document.get(key, ())]
        tables[table] = rows.take(pa.array(kept, type=pa.int64()))
    _commit(context, unit.part, tables)


def encode_unit(context: RunContext, unit: Unit, models: Models) -> None:
    """Make a unit's part by reading and encoding its documents.

    Raises:
        OutputError: a file cannot be written.
    """
    config = context.config
    with timed(context.meter, "reading"):
        items = list(read(context.filesystem, unit.refs, ReadSettings.of_run(config)))
    documents = [item for item in items if isinstance(item, Document)]
    encoded = encode_documents(
        models,
        documents,
        passage_tokens=config.models.passage,
        meter=context.meter,
        n_bytes=unit.n_bytes,
    )
    results: list[DocumentResult] = []
    errors: list[ErrorRow] = []
    for item in items:
        if isinstance(item, ErrorRow):
            errors.append(item)
            continue
        outcome = next(encoded)
        if isinstance(outcome, DocumentError):
            errors.append(_error_row(item, outcome))
        else:
            results.append(outcome)
    tables = build_tables(results, errors, width=models.width, names=context.tables)
    _commit(context, unit.part, tables)
    context.meter.add(
        {
            "documents": len(items),
            "errors": len(errors),
            "unknown_script": sum(map(does_not_know_script, results)),
            "vectors_of_zeros": sum(n_vectors_of_zeros(result) for result in results),
        }
    )


def process_unit(context: RunContext, unit: Unit, models: Callable[[], Models]) -> bool:
    """Make what a unit's part lacks, which is nothing if an interrupted run completed it.

    Args:
        context: the run.
        unit: as planned.
        models: gives those whose row fingerprint is the planned one, if they are needed.

    Returns:
        Whether there was anything to do.

    Raises:
        OutputError: a file cannot be read or written.
        TooManyErrorsError: more documents have failed than the run allows.
    """
    receipt = finished_rows(context, unit)
    if receipt is not None:
        return index_part(context, receipt)
    if unit.copy_from:
        copy_unit(context, unit)
    else:
        encode_unit(context, unit, models())
    check_errors(context)
    return True


def index_part(context: RunContext, receipt: Receipt) -> bool:
    """Make the files of a complete part that search needs, from its tables.

    Returns:
        Whether there was anything to do.

    Raises:
        OutputError: a file cannot be read or written.
    """
    if context.is_indexed(receipt):
        return False
    documents, passages = (
        read_table(context.output, table, receipt.part, columns)
        for table, columns in INDEXED_COLUMNS.items()
    )
    with timed(context.meter, "writing"):
        files = _write_index_files(context, receipt.part, documents, passages)
        made = msgspec.structs.replace(
            receipt, lexical=context.lexical.digest, files=receipt.files | files
        )
        context.output.write_receipt(made)
    return True


def _keys(rows: pa.Table, *, of_failures: bool) -> Iterable[object]:
    """What tells of which document each row is."""
    ids = rows.column("document_id").to_pylist()
    return zip(rows.column("source").to_pylist(), ids, strict=True) if of_failures else ids


def _commit(context: RunContext, part: Part, tables: Mapping[str, pa.Table]) -> None:
    """Write the tables and what search needs of them, then the receipt that makes them count."""
    with timed(context.meter, "writing"):
        files = {}
        for name, table in tables.items():
            data = to_parquet(table)
            context.output.write(part_file(name, part.name), data)
            files[name] = entry_of(data, n_rows=table.num_rows)
        files |= _write_index_files(context, part.name, tables["documents"], tables["passages"])
        receipt = Receipt(
            part=part.name,
            fingerprint=part.fingerprint,
            lexical=context.lexical.digest,
            counts=counts_of_tables(tables),
            files=files,
            documents=tuple(
                DocumentEntry(
                    identity=one.identity,
                    document_id=one.document_id,
                    source=one.source,
                    failed=one.failed,
                )
                for one in part.documents
            ),
        )
        context.output.write_receipt(receipt)


def _write_index_files(
    context: RunContext, part: str, documents: pa.Table, passages: pa.Table
) -> dict[str, FileEntry]:
    """Write the catalog and the lexical file of a part."""
    settings = context.lexical
    catalog = catalog_file(documents, passages, path=part_file("passages", part))
    words = build_lexical(documents, passages, language=settings.language)
    context.output.write(part_file(CATALOG, part), catalog)
    context.output.write(lexical_file(part, settings.digest), words)
    n_rows = passages.num_rows
    return {CATALOG: entry_of(catalog, n_rows=n_rows), LEXICAL: entry_of(words, n_rows=n_rows)}


def _error_row(document: Document, error: DocumentError) -> ErrorRow:
    return ErrorRow(document.source, document.document_id, error.stage, error.error, error.message)
