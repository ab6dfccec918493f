"""One unit of work, from reading to commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import pyarrow as pa

from longbert.core.units import Part, Unit
from longbert.encoders.models import Models
from longbert.engine.context import RunContext
from longbert.engine.document_stream import stream_document
from longbert.engine.encode import (
    encode_documents,
    knows_too_little,
    n_vectors_of_zeros,
)
from longbert.engine.meter import timed
from longbert.errors import DocumentError
from longbert.index.lexical.build import lexical_file
from longbert.index.lexical.large import write_large_part
from longbert.readers.documents import read, read_pieces
from longbert.readers.pieces import DocumentPieces
from longbert.readers.refs import error_for
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentRef, DocumentResult, ErrorRow
from longbert.store.folder import DigestedFile
from longbert.store.layout import LEXICAL, part_file
from longbert.store.manifest import DocumentEntry, Receipt
from longbert.store.parquet import read_table
from longbert.store.part_writer import write_part
from longbert.store.tables import TABLES, build_tables, schemas_of


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
    _commit_tables(context, unit.part, tables)


def encode_unit(context: RunContext, unit: Unit, models: Models) -> None:
    """Make a unit's part by reading and encoding its documents.

    Raises:
        OutputError: a file cannot be written.
    """
    config = context.config
    if is_large(unit, unit_bytes=config.unit_bytes):
        _encode_large(context, unit, models)
        return
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
            "unknown_script": sum(map(knows_too_little, results)),
            "vectors_of_zeros": sum(n_vectors_of_zeros(result) for result in results),
        }
    )
    tables = build_tables(results, errors, width=models.width, names=context.tables)
    _commit_tables(context, unit.part, tables)


def is_large(unit: Unit, *, unit_bytes: int) -> bool:
    """Whether a unit is a single document that is larger than a unit should be."""
    return len(unit.refs) == 1 and unit.n_bytes > unit_bytes


def _encode_large(context: RunContext, unit: Unit, models: Models) -> None:
    """Make the part of one large document, of which only a piece is in memory at a time."""
    (ref,) = unit.refs
    with timed(context.meter, "reading"):
        found = read_pieces(context.filesystem, ref, ReadSettings.of_run(context.config))
    error: ErrorRow | None = None
    if isinstance(found, ErrorRow):
        error = found
    else:
        schemas = schemas_of(context.tables, width=models.width)
        try:
            _commit(
                context,
                unit.part,
                schemas,
                _rows_of_large(context, models, found),
                partial(
                    write_large_part,
                    output=context.output,
                    part=unit.part.name,
                    language=context.config.language,
                ),
            )
        except DocumentError as failure:
            # Some of its rows may have been written, but to no file that has its name yet.
            is_of_reading = failure.stage == "read"
            error = error_for(ref, failure) if is_of_reading else _error_row(ref, failure)
    if error is not None:
        tables = build_tables([], [error], width=models.width, names=context.tables)
        _commit_tables(context, unit.part, tables)
    context.meter.add({"documents": 1, "errors": int(error is not None)})


def _rows_of_large(
    context: RunContext, models: Models, found: DocumentPieces
) -> Iterator[dict[str, pa.Table]]:
    """The rows of one document, a few at a time; raises DocumentError."""
    # What no document has is empty in any case.
    names = [name for name in context.tables if not TABLES[name].of_failures]
    n_vectors = 0
    for result in stream_document(
        models,
        found.document,
        found.pieces,
        passage_tokens=context.config.models.passage,
        meter=context.meter,
    ):
        n_vectors += n_vectors_of_zeros(result)
        is_last = result.n_chars > 0
        own = [name for name in names if (name == "documents") is is_last]
        if is_last:
            own.append("classifications")
        yield build_tables([result], [], width=models.width, names=own)
    context.meter.add(
        {"unknown_script": int(knows_too_little(result)), "vectors_of_zeros": n_vectors}
    )


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


def _commit_tables(context: RunContext, part: Part, tables: Mapping[str, pa.Table]) -> None:
    """Commit a part whose rows are all there."""

    def write_words(file: DigestedFile) -> None:
        documents, passages = tables["documents"], tables["passages"]
        file.write(lexical_file(documents, passages, language=context.config.language))

    schemas = {name: table.schema for name, table in tables.items()}
    _commit(context, part, schemas, [tables], write_words)


def _commit(
    context: RunContext,
    part: Part,
    schemas: Mapping[str, pa.Schema],
    batches: Iterable[Mapping[str, pa.Table]],
    write_words: Callable[[DigestedFile], None],
) -> None:
    """Write the tables and the lexical index of them, then the receipt that makes them count."""
    output = context.output
    with write_part(output, part.name, schemas) as written:
        for tables in batches:
            with timed(context.meter, "writing"):
                written.add(tables)
    with timed(context.meter, "writing"):
        with output.create(part_file(LEXICAL, part.name)) as file:
            write_words(file)
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


def _error_row(document: Document | DocumentRef, error: DocumentError) -> ErrorRow:
    return ErrorRow(document.source, document.document_id, error.stage, error.error, error.message)
