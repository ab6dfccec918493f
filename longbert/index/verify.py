"""Checking an index against its checksums and the tables it was built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from longbert.errors import OutputError
from longbert.index.rows import digested
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexEntry, TableIndex


def index_problems(
    output: OutputFolder, parts: Iterable[str], entry: IndexEntry, *, with_tables: bool = True
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
    # The description, too, names them all.
    names = tuple(dict.fromkeys(parts))
    try:
        description = output.index_description(entry)
        for table, index in (
            ("documents", description.documents),
            ("passages", description.passages),
        ):
            for segment in index.segments:
                output.check_file(segment.file, segment.sha256)
            if with_tables:
                yield from _table_problems(output, table, index, names)
    except OutputError as error:
        yield str(error)


def _table_problems(
    output: OutputFolder, table: str, index: TableIndex, parts: Sequence[str]
) -> Iterator[str]:
    indexed = {part.name: part for segment in index.segments for part in segment.parts}
    found = {part: digested(output, table, part) for part in parts}
    n_indexed = sum(part.n_rows for name, part in indexed.items() if name in found)
    n_found = sum(part.n_rows for part in found.values())
    if n_indexed != n_found:
        yield f"the index has {n_indexed} {table}, but the tables have {n_found}: run again"
    elif any(part.n_rows and indexed.get(name) != part for name, part in found.items()):
        yield (
            f"the index was not built from the rows in the table {table}: build it again from "
            f"them, with {output.index_command}"
        )
