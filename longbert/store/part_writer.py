"""Writing the tables of a part while their rows are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pyarrow as pa

from longbert.store.digested_file import DigestedFile
from longbert.store.folder import OutputFolder
from longbert.store.layout import part_file
from longbert.store.parquet import TableWriter
from longbert.store.receipts import FileEntry
from longbert.store.tables import counts_of_tables


class PartWriter:
    """The tables of a part, to which rows are appended; see :func:`write_part`.

    Attributes:
        counts: rows of every table so far, and the sums over its documents, by name.
        files: a receipt's entries for the files, by table, once they are written.
    """

    def __init__(self, files: Mapping[str, DigestedFile], schemas: Mapping[str, pa.Schema]) -> None:
        self._files = files
        self._writers = {name: TableWriter(file, schemas[name]) for name, file in files.items()}
        self.counts = Counter(
            counts_of_tables({name: schema.empty_table() for name, schema in schemas.items()})
        )
        self.files: dict[str, FileEntry] = {}

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Append rows to some of the tables."""
        for name, table in tables.items():
            self._writers[name].add(table)
        self.counts.update(counts_of_tables(tables))

    def close(self) -> None:
        """Write what is left."""
        for name, writer in self._writers.items():
            writer.close()
            self.files[name] = self._files[name].entry(n_rows=writer.n_rows)


@contextmanager
def write_part(
    output: OutputFolder, part: str, schemas: Mapping[str, pa.Schema]
) -> Iterator[PartWriter]:
    """Write the tables of a part; none of them appears before the context ends without an error.

    Args:
        output: the folder.
        part: its name.
        schemas: of the tables, by name.

    Raises:
        OutputError: a file cannot be written.
    """
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(output.create(part_file(name, part))) for name in schemas
        }
        writer = PartWriter(files, schemas)
        yield writer
        writer.close()
