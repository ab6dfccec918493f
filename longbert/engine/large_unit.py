"""A unit that is one document larger than a unit should be, of which a piece is in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from longbert.core.units import Unit
from longbert.encoders.loaded_models import Models
from longbert.engine.commit import commit_tables, write_large_index_files, write_receipt
from longbert.engine.context import RunContext
from longbert.engine.document_errors import error_row
from longbert.engine.document_stream import stream_document
from longbert.engine.encode import does_not_know_script, n_vectors_of_zeros
from longbert.engine.meter import meet, timed
from longbert.engine.window_groups import EncodeGroup
from longbert.errors import DocumentError
from longbert.readers.documents import read_pieces
from longbert.readers.pieces import DocumentPieces
from longbert.readers.refs import error_for
from longbert.readers.settings import ReadSettings, utf8_size
from longbert.records import ErrorRow
from longbert.store.parquet import read_rows
from longbert.store.part_writer import write_part
from longbert.store.tables import TABLES, build_tables, schemas_of


def is_large(unit: Unit, *, unit_bytes: int) -> bool:
    """Whether a unit is a single document that is larger than a unit should be."""
    return len(unit.refs) == 1 and unit.n_bytes > unit_bytes


def encode_large(
    context: RunContext, unit: Unit, models: Models, *, encode: EncodeGroup | None = None
) -> None:
    """Make the part of one large document, of which only a piece is in memory at a time.

    Args:
        context: the run.
        unit: of the one document.
        models: as loaded.
        encode: gives what heads make of windows; None: run the passes here.

    Raises:
        OutputError: a file cannot be written.
    """
    (ref,) = unit.refs
    with timed(context.meter, "reading"):
        found = read_pieces(context.filesystem, ref, ReadSettings.of_run(context.config))
    error: ErrorRow | None = None
    if isinstance(found, ErrorRow):
        error = found
    else:
        schemas = schemas_of(context.tables, width=models.width)
        try:
            with write_part(context.output, unit.part.name, schemas) as written:
                for tables in _rows(context, unit, models, found, encode):
                    with timed(context.meter, "writing"):
                        written.add(tables)
        except DocumentError as failure:
            # Some of its rows may have been written, but to no file that has its name yet.
            is_of_reading = failure.stage == "read"
            error = error_for(ref, failure) if is_of_reading else error_row(ref, failure)
        else:
            n_passages = written.counts["passages"]
            files = write_large_index_files(context, unit.part.name, n_passages=n_passages)
            write_receipt(context, unit.part, written, files)
    if error is not None:
        tables = build_tables([], [error], width=models.width, names=context.tables)
        commit_tables(context, unit.part, tables)
    context.meter.add({"documents": 1, "errors": int(error is not None)})


def copy_large(context: RunContext, unit: Unit) -> None:
    """Make a part of the rows of another that holds the same one document.

    Raises:
        OutputError: a file cannot be read or written.
    """
    (source,) = unit.copy_from
    rows = {table: read_rows(context.output, table, source) for table in context.tables}
    first = {table: next(pieces) for table, pieces in rows.items()}
    schemas = {table: piece.schema for table, piece in first.items()}
    with (
        timed(context.meter, "writing"),
        write_part(context.output, unit.part.name, schemas) as written,
    ):
        for table, pieces in rows.items():
            for piece in pieces:
                written.add({table: piece})
    n_passages = written.counts["passages"]
    files = write_large_index_files(context, unit.part.name, n_passages=n_passages)
    write_receipt(context, unit.part, written, files)


def _rows(
    context: RunContext,
    unit: Unit,
    models: Models,
    found: DocumentPieces,
    encode: EncodeGroup | None,
) -> Iterator[dict[str, pa.Table]]:
    """The rows of one document, a few at a time; raises DocumentError."""
    # What no document has is empty in any case.
    names = [name for name in context.tables if not TABLES[name].of_failures]
    n_vectors = n_bytes = 0

    def counted() -> Iterator[str]:
        nonlocal n_bytes
        for piece in found.pieces:
            n_bytes += utf8_size(piece)
            yield piece

    for result in stream_document(
        models,
        found.document,
        counted(),
        passage_tokens=context.config.models.passage,
        meter=context.meter,
        encode=encode,
    ):
        n_vectors += n_vectors_of_zeros(result)
        is_last = result.n_chars > 0
        own = [name for name in names if (name == "documents") is is_last]
        if is_last:
            own.append("classifications")
        yield build_tables([result], [], width=models.width, names=own)
    # The document may take more bytes than its text.
    context.meter.add({"bytes": unit.n_bytes - n_bytes})
    meet(
        context.meter,
        unit.part.name,
        unknown_script=does_not_know_script(result),
        tokenized_whole=not all(one.tokenizer.can_be_cut for one in models.passes),
        vectors_of_zeros=n_vectors,
    )
