"""One unit of work, from reading to commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from longbert.core.units import Part, Unit
from longbert.encoders.models import Models
from longbert.engine.context import RunContext
from longbert.engine.encode import (
    UNKNOWN_SHARE_WARNING,
    encode_documents,
    n_vectors_of_zeros,
)
from longbert.engine.meter import timed
from longbert.errors import DocumentError
from longbert.index.lexical.build import lexical_file
from longbert.readers.documents import read
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentResult, ErrorRow
from longbert.store.layout import LEXICAL, part_file
from longbert.store.manifest import DocumentEntry, Receipt
from longbert.store.parquet import read_table
from longbert.store.part_writer import write_part
from longbert.store.tables import build_tables


def is_resumed(context: RunContext, unit: Unit) -> bool:
    """Whether an interrupted run completed the unit's part."""
    receipt = context.output.whole_receipt(unit.part.name, context.folders)
    if receipt is None or receipt.fingerprint != unit.part.fingerprint:
        return False
    context.meter.add(
        {
            "bytes": unit.n_bytes,
            "documents": len(unit.refs),
            "resumed_documents": len(unit.refs),
            "resumed_bytes": unit.n_bytes,
        }
    )
    return True


def copy_unit(context: RunContext, unit: Unit) -> None:
    """Make a unit's part from the rows of earlier parts, in the order of its documents.

    Raises:
        OutputError: a file cannot be read or written.
    """
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
    context.meter.add(
        {
            "documents": len(items),
            "errors": len(errors),
            "unknown_script": sum(
                result.n_chars_unknown > UNKNOWN_SHARE_WARNING * result.n_chars
                for result in results
            ),
            "vectors_of_zeros": sum(n_vectors_of_zeros(result) for result in results),
        }
    )
    tables = build_tables(results, errors, width=models.width, names=context.tables)
    _commit(context, unit.part, tables)


def process_unit(context: RunContext, unit: Unit, models: Models) -> bool:
    """Make a unit's part, unless an interrupted run completed it.

    Args:
        context: the run.
        unit: as planned.
        models: whose row fingerprint is the planned one.

    Returns:
        Whether there was anything to do.

    Raises:
        OutputError: a file cannot be read or written.
    """
    if is_resumed(context, unit):
        return False
    if unit.copy_from:
        copy_unit(context, unit)
    else:
        encode_unit(context, unit, models)
    return True


def _keys(rows: pa.Table, *, of_failures: bool) -> Iterable[object]:
    """What tells of which document each row is."""
    ids = rows.column("document_id").to_pylist()
    return zip(rows.column("source").to_pylist(), ids, strict=True) if of_failures else ids


def _commit(context: RunContext, part: Part, tables: Mapping[str, pa.Table]) -> None:
    """Write the tables and the lexical index of them, then the receipt that makes them count."""
    output = context.output
    with timed(context.meter, "writing"):
        schemas = {name: table.schema for name, table in tables.items()}
        with write_part(output, part.name, schemas) as written:
            written.add(tables)
        with output.create(part_file(LEXICAL, part.name)) as file:
            language = context.config.language
            file.write(lexical_file(tables["documents"], tables["passages"], language=language))
            lexical = file.entry(n_rows=written.counts["passages"])
        receipt = Receipt(
            part=part.name,
            fingerprint=part.fingerprint,
            counts=dict(written.counts),
            files={**written.files, LEXICAL: lexical},
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
        output.write_receipt(receipt)


def _error_row(document: Document, error: DocumentError) -> ErrorRow:
    return ErrorRow(document.source, document.document_id, error.stage, error.error, error.message)
