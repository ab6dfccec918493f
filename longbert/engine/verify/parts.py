"""One part: its receipt, its files, its counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa

from longbert.core.units import part_name
from longbert.engine.verify.files import check_file
from longbert.engine.verify.problems import Mend, Problem
from longbert.engine.verify.rows import plain_rows, row_problems
from longbert.engine.verify.seen import SeenDocuments
from longbert.errors import OutputError
from longbert.index.catalog import INDEXED_COLUMNS, is_catalog_of
from longbert.index.lexical.part import open_part
from longbert.store.folder import OutputFolder
from longbert.store.layout import CATALOG, LEXICAL, part_file, receipt_file
from longbert.store.manifest import Manifest
from longbert.store.parquet import from_parquet
from longbert.store.receipts import FileEntry, PartEntry, Receipt
from longbert.store.tables import counts_of_tables, table_names


def part_problems(
    output: OutputFolder, entry: PartEntry, manifest: Manifest, seen: SeenDocuments
) -> Iterator[Problem]:
    """Check a part.

    Args:
        output: the folder.
        entry: of the part in the manifest.
        manifest: of the output.
        seen: is told of its documents.
    """
    file = receipt_file(entry.name)
    receipt = output.receipt(entry.name)
    if receipt is None:
        yield Problem(f"{file} is missing or damaged", Mend.PART, part=entry.name, file=file)
        return
    for what in _receipt_problems(receipt, entry, manifest):
        yield Problem(f"{file} {what}", Mend.PART, part=entry.name, file=file)
    tables: dict[str, pa.Table] = {}
    names = table_names(manifest.rows.settings)
    for table in names:
        found = check_file(output, entry, table)
        if isinstance(found, Problem):
            yield found
            continue
        try:
            tables[table] = from_parquet(found)
        except pa.ArrowInvalid as error:
            file = part_file(table, entry.name)
            message = f"{file} cannot be read ({error})"
            yield Problem(message, Mend.PART, part=entry.name, file=file)
    yield from _index_file_problems(output, entry, manifest, tables)
    messages: list[str] = []
    if len(tables) == len(names):
        messages += _count_problems(receipt, entry, tables)
        messages += row_problems(tables, manifest.rows.settings)
        seen.add(entry.name, tables["documents"])
    for what in messages:
        yield Problem(f"part {entry.name}: {what}", Mend.PART, part=entry.name)


def _receipt_problems(receipt: Receipt, entry: PartEntry, manifest: Manifest) -> Iterator[str]:
    if receipt.fingerprint not in manifest.environments:
        yield "has a row fingerprint that the manifest does not name"
    part = receipt.planned
    if part.name != part_name(part.ordinal, part.documents, part.fingerprint):
        yield "does not list the documents that the part was made from"

    def lasting(files: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
        # An unfinished run may have made a lexical file for other settings.
        is_same = receipt.lexical == entry.lexical
        return {folder: one for folder, one in files.items() if is_same or folder != LEXICAL}

    for what, here, there in (
        ("row fingerprint", receipt.fingerprint, entry.fingerprint),
        ("counts", receipt.counts, entry.counts),
        ("files", lasting(receipt.files), lasting(entry.files)),
    ):
        if here != there:
            yield f"and the manifest differ in {what}"


def _index_file_problems(
    output: OutputFolder, entry: PartEntry, manifest: Manifest, tables: Mapping[str, pa.Table]
) -> Iterator[Problem]:
    """Check the files that search needs, which are made from the tables."""
    if entry.lexical != manifest.lexical_settings.digest:
        message = f"part {entry.name}: its lexical file was made with other settings"
        yield Problem(message, Mend.FILE, part=entry.name, file=entry.path(LEXICAL))
    for folder, check in ((CATALOG, _catalog_problems), (LEXICAL, _lexical_problems)):
        data = check_file(output, entry, folder)
        if isinstance(data, Problem):
            yield data
            continue
        for what in check(data, entry, tables):
            message = f"part {entry.name}: {what}"
            yield Problem(message, Mend.FILE, part=entry.name, file=entry.path(folder))


def _catalog_problems(data: bytes, _: PartEntry, tables: Mapping[str, pa.Table]) -> Iterator[str]:
    if tables.keys() >= INDEXED_COLUMNS.keys() and not is_catalog_of(data, tables):
        yield "its catalog does not belong to its tables"


def _lexical_problems(
    data: bytes, entry: PartEntry, tables: Mapping[str, pa.Table]
) -> Iterator[str]:
    try:
        totals = open_part(data, path=entry.path(LEXICAL)).totals
    except OutputError as error:
        yield str(error)
        return
    for table, count in (("documents", totals.documents), ("passages", totals.passages)):
        if table in tables and tables[table].num_rows != count:
            yield f"its lexical file has {count} {table}, the table {tables[table].num_rows}"


def _count_problems(
    receipt: Receipt, entry: PartEntry, tables: Mapping[str, pa.Table]
) -> Iterator[str]:
    went_in = Counter((one.source, one.document_id) for one in receipt.documents)
    came_out = Counter(
        (row["source"], row["document_id"])
        for table in ("documents", "errors")
        for row in plain_rows(tables[table])
    )
    if went_in != came_out:
        yield (
            f"of {went_in.total():,} documents that went in, "
            f"{(went_in - came_out).total():,} did not come out; {came_out.total():,} came out as "
            "documents and errors"
        )
    for table, rows in tables.items():
        if rows.num_rows != entry.files[table].n_rows:
            yield f"{table} has {rows.num_rows} rows, the manifest says {entry.files[table].n_rows}"
    for what, count in counts_of_tables(tables).items():
        if entry.counts.get(what) != count:
            yield f"the manifest counts {entry.counts.get(what)} {what}, the tables {count}"
