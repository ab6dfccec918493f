"""One unit of work, from reading to commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pyarrow as pa

from longbert.core.units import Unit
from longbert.encoders.loaded_models import Models
from longbert.engine.commit import (
    commit_tables,
    holds_one_large,
    write_index_files,
    write_large_index_files,
)
from longbert.engine.context import RunContext
from longbert.engine.document_errors import error_row
from longbert.engine.encode import does_not_know_script, encode_documents, n_vectors_of_zeros
from longbert.engine.large_unit import copy_large, encode_large, is_large
from longbert.engine.meter import meet, timed
from longbert.engine.plan import check_errors, receipt_of
from longbert.errors import DocumentError
from longbert.index.catalog import INDEXED_COLUMNS
from longbert.index.lexical.analysis import AnalysedText, analyse
from longbert.readers.documents import read
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentResult, ErrorRow
from longbert.store.parquet import read_table
from longbert.store.receipts import Receipt
from longbert.store.tables import build_tables


def copy_unit(context: RunContext, unit: Unit) -> None:
    """Make a unit's part from the rows of earlier parts, in the order of its documents.

    Raises:
        OutputError: a file cannot be read or written.
    """
    source = context.output.receipt(unit.copy_from[0]) if len(unit.copy_from) == 1 else None
    if source is not None and holds_one_large(source):
        copy_large(context, unit)
        return
    tables: dict[str, pa.Table] = {}
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
    commit_tables(context, unit.part, tables)


def encode_unit(context: RunContext, unit: Unit, models: Models) -> None:
    """Make a unit's part by reading and encoding its documents.

    Raises:
        OutputError: a file cannot be written.
    """
    config = context.config
    if is_large(unit, unit_bytes=config.unit_bytes):
        encode_large(context, unit, models)
        return
    with timed(context.meter, "reading"):
        items = list(read(context.filesystem, unit.refs, ReadSettings.of_run(config)))
    documents = [item for item in items if isinstance(item, Document)]
    analysed: dict[str, AnalysedText] = {}

    def analyse_words(text: str) -> None:
        with timed(context.meter, "indexing"):
            analysed[text] = analyse(text, language=context.lexical.language)

    encoded = encode_documents(
        models,
        documents,
        passage_tokens=config.models.passage,
        meter=context.meter,
        n_bytes=unit.n_bytes,
        meanwhile=analyse_words,
    )
    results: list[DocumentResult] = []
    errors: list[ErrorRow] = []
    for item in items:
        if isinstance(item, ErrorRow):
            errors.append(item)
            continue
        outcome = next(encoded)
        if isinstance(outcome, DocumentError):
            errors.append(error_row(item, outcome))
        else:
            results.append(outcome)
    tables = build_tables(results, errors, width=models.width, names=context.tables)
    commit_tables(context, unit.part, tables, analysed)
    context.meter.add(
        {
            "documents": len(items),
            "errors": len(errors),
        }
    )
    meet(
        context.meter,
        unit.part.name,
        unknown_script=sum(map(does_not_know_script, results)),
        vectors_of_zeros=sum(n_vectors_of_zeros(result) for result in results),
    )


def process_unit(
    context: RunContext,
    unit: Unit,
    models: Callable[[], Models],
    *,
    encode: Callable[[RunContext, Unit, Models], None] = encode_unit,
) -> None:
    """Make what a unit's part lacks, which is nothing if another attempt has made it.

    Args:
        context: the run.
        unit: as planned.
        models: gives those whose row fingerprint is the planned one, if they are needed.
        encode: makes the part from documents.

    Raises:
        OutputError: a file cannot be read or written.
        TooManyErrorsError: more documents have failed than the run allows.
    """
    receipt = receipt_of(context, unit)
    if receipt is not None:
        index_part(context, receipt)
        return
    if unit.copy_from:
        copy_unit(context, unit)
    else:
        encode(context, unit, models())
    check_errors(context)


def index_part(context: RunContext, receipt: Receipt) -> None:
    """Make the files of a complete part that search needs, from its tables, if they are not there.

    Raises:
        OutputError: a file cannot be read or written.
    """
    if context.is_indexed(receipt):
        return
    if holds_one_large(receipt):
        n_passages = receipt.counts["passages"]
        files = write_large_index_files(context, receipt.part, n_passages=n_passages)
    else:
        documents, passages = (
            read_table(context.output, table, receipt.part, columns)
            for table, columns in INDEXED_COLUMNS.items()
        )
        files = write_index_files(context, receipt.part, documents, passages)
    made = msgspec.structs.replace(
        receipt, lexical=context.lexical.digest, files=receipt.files | files
    )
    context.output.write_receipt(made)


def _keys(rows: pa.Table, *, of_failures: bool) -> Iterable[object]:
    """What tells of which document each row is."""
    ids = rows.column("document_id").to_pylist()
    return zip(rows.column("source").to_pylist(), ids, strict=True) if of_failures else ids
