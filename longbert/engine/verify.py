"""Checking a finished output: manifest, checksums, accounting, spans, index against tables."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from longbert.core.passages import passage_id
from longbert.core.spans import span_problems
from longbert.core.units import part_name
from longbert.index.lexical.part import open_part
from longbert.index.verify import index_problems
from longbert.store.folder import OutputFolder
from longbert.store.layout import LEXICAL, part_file, receipt_file
from longbert.store.manifest import Manifest, PartEntry, Receipt
from longbert.store.parquet import from_parquet
from longbert.store.tables import counts_of_tables, table_names

Rows = list[dict[str, Any]]


def verify_output(output: OutputFolder) -> Iterator[str]:
    """Read a whole output and yield a sentence for each problem.

    One part at a time is in memory, plus the ids of all documents.

    Raises:
        OutputError: there is no finished output to check.
    """
    manifest = output.finished()
    if manifest.fingerprint != manifest.rows.digest:
        yield "manifest.json: the fingerprint does not belong to the settings"
    totals: Counter[str] = Counter()
    seen: set[str] = set()
    for entry in manifest.parts:
        totals.update(entry.counts)
        yield from _part_problems(output, entry, manifest, seen)
    if dict(totals) != manifest.counts:
        yield "manifest.json: the counts are not the sums over the parts"
    for file in sorted(output.foreign_tables()):
        yield (
            f"{file} does not belong to this output, but readers that glob the folder will pick "
            "it up: remove it"
        )
    if manifest.index is not None:
        yield from index_problems(output, manifest.part_names, manifest.index)
    elif manifest.index_settings is not None and totals["documents"]:
        yield "manifest.json: there is an embedding model, but no index"


def environments_of(output: OutputFolder) -> Iterator[str]:
    """A line for each environment that rows were made in, if there are several.

    Raises:
        OutputError: there is no finished output to check.
    """
    manifest = output.finished()
    if len(manifest.environments) < 2:
        return
    parts = Counter(entry.fingerprint for entry in manifest.parts)
    for digest, environment in manifest.environments.items():
        libraries = ", ".join(
            f"{name} {version}" for name, version in sorted(environment.libraries.items())
        )
        yield (
            f"{parts[digest]:,} parts were made with longbert {environment.longbert}, {libraries} "
            f"on {environment.processor}"
        )


def _part_problems(
    output: OutputFolder, entry: PartEntry, manifest: Manifest, seen: set[str]
) -> Iterator[str]:
    name = entry.name
    receipt = output.receipt(name)
    if receipt is None:
        yield f"{receipt_file(name)} is missing or damaged"
        return
    yield from _receipt_problems(receipt, entry, manifest)
    settings = manifest.rows.settings
    names = table_names(settings)
    tables: dict[str, pa.Table] = {}
    for table in names:
        file = part_file(table, name)
        if table not in entry.files:
            yield f"manifest.json: part {name} has no file of the table {table}"
            continue
        data = output.read(file)
        if data is None:
            yield f"{file} is missing"
        elif hashlib.sha256(data).hexdigest() != entry.files[table].sha256:
            yield f"{file} does not match its SHA-256 in the manifest"
        else:
            tables[table] = from_parquet(data)
            if tables[table].num_rows != entry.files[table].n_rows:
                yield f"{file} has {tables[table].num_rows} rows, but the manifest says otherwise"
    yield from _lexical_problems(output, entry, tables)
    if len(tables) == len(names):
        # Passes over whole documents come first.
        reads_all = settings.passes[0].reads == "all"
        yield from _count_problems(receipt, entry, tables)
        yield from _row_problems(name, tables, seen, reads_all=reads_all)


def _lexical_problems(
    output: OutputFolder, entry: PartEntry, tables: Mapping[str, pa.Table]
) -> Iterator[str]:
    file = part_file(LEXICAL, entry.name)
    data = output.read(file)
    if LEXICAL not in entry.files:
        yield f"manifest.json: part {entry.name} has no lexical file"
    elif data is None:
        yield f"{file} is missing"
    elif hashlib.sha256(data).hexdigest() != entry.files[LEXICAL].sha256:
        yield f"{file} does not match its SHA-256 in the manifest"
    else:
        totals = open_part(data, path=file).totals
        for table, count in (("documents", totals.documents), ("passages", totals.passages)):
            if table in tables and tables[table].num_rows != count:
                yield f"{file} has {count} {table}, the table has {tables[table].num_rows}"


def _receipt_problems(receipt: Receipt, entry: PartEntry, manifest: Manifest) -> Iterator[str]:
    file = receipt_file(entry.name)
    if receipt.fingerprint not in manifest.environments:
        yield f"{file} has a row fingerprint that the manifest does not name"
    part = receipt.planned
    if part.name != part_name(part.ordinal, part.documents, part.fingerprint):
        yield f"{file} does not list the documents that the part was made from"
    for what, here, there in (
        ("row fingerprint", receipt.fingerprint, entry.fingerprint),
        ("counts", receipt.counts, entry.counts),
        ("files", receipt.files, entry.files),
    ):
        if here != there:
            yield f"{file} and the manifest differ in {what}"


def _count_problems(
    receipt: Receipt, entry: PartEntry, tables: Mapping[str, pa.Table]
) -> Iterator[str]:
    name = entry.name
    went_in = Counter((one.source, one.document_id) for one in receipt.documents)
    came_out = Counter(
        (row["source"], row["document_id"])
        for table in ("documents", "errors")
        for row in _rows(tables[table])
    )
    if went_in != came_out:
        yield (
            f"part {name}: of {went_in.total():,} documents that went in, "
            f"{(went_in - came_out).total():,} did not come out; {came_out.total():,} came out as "
            "documents and errors"
        )
    for what, count in counts_of_tables(tables).items():
        if entry.counts.get(what) != count:
            yield (
                f"part {name}: the manifest counts {entry.counts.get(what)} {what}, "
                f"the tables {count}"
            )


def _row_problems(
    part: str, tables: Mapping[str, pa.Table], seen: set[str], *, reads_all: bool
) -> Iterator[str]:
    documents = _rows(tables["documents"])
    failed = {(row["source"], row["document_id"]) for row in _rows(tables["errors"])}
    passages = _by_document(tables["passages"])
    entities = _by_document(tables["entities"])
    classes = _by_document(tables["classifications"])
    windows = _by_document(tables["window_scores"]) if "window_scores" in tables else {}
    for row in documents:
        document_id = row["document_id"]
        where = f"part {part}, document {document_id!r}"
        if document_id in seen or (row["source"], document_id) in failed:
            yield f"{where}: in the output twice"
        seen.add(document_id)
        if reads_all and row["n_chars_covered"] != row["n_chars"]:
            yield f"{where}: {row['n_chars_covered']} of {row['n_chars']} characters are covered"
        own = passages.pop(document_id, [])
        text = "".join(passage["text"] for passage in own)
        if hashlib.sha256(text.encode()).hexdigest() != row["content_sha256"]:
            yield f"{where}: the passages do not add up to the document's text"
        yield from (f"{where}: {problem}" for problem in _passage_problems(own, row["n_chars"]))
        for passage in own:
            if passage["passage_id"] != passage_id(document_id, passage["ordinal"]):
                yield f"{where}: passage {passage['ordinal']} has the wrong id"
        for spans in _spans_by_head(entities.pop(document_id, [])):
            yield from (f"{where}: {problem}" for problem in span_problems(text, spans))
        classes.pop(document_id, None)
        for window in windows.pop(document_id, []):
            if not 0 <= window["char_start"] <= window["char_end"] <= len(text):
                yield f"{where}: window {window['window']} is not a span of the text"
    for table, rest in (
        ("passages", passages),
        ("entities", entities),
        ("classifications", classes),
        ("window_scores", windows),
    ):
        for document_id in rest:
            yield f"{table}/{part}.parquet: document {document_id!r} is not in documents"


def _spans_by_head(entities: Rows) -> Iterable[list[tuple[int, int, str]]]:
    """Start, end and text of the entities of each head, in the order of the table."""
    by_head: dict[str, list[tuple[int, int, str]]] = {}
    for entity in entities:
        span = entity["char_start"], entity["char_end"], entity["text"]
        by_head.setdefault(entity["head"], []).append(span)
    return by_head.values()


def _passage_problems(passages: Rows, n_chars: int) -> Iterator[str]:
    reached = 0
    for ordinal, passage in enumerate(passages):
        if passage["ordinal"] != ordinal:
            yield f"passage {ordinal} is missing or out of order"
            return
        if passage["char_start"] != reached or passage["char_end"] < reached:
            yield f"passage {ordinal} does not begin where the one before ends"
            return
        reached = passage["char_end"]
    if reached != n_chars:
        yield f"the passages end at character {reached} of {n_chars}"


def _rows(table: pa.Table) -> Rows:
    columns = [name for name in table.column_names if name not in ("embedding", "metadata")]
    rows: Rows = table.select(columns).to_pylist()
    return rows


def _by_document(table: pa.Table) -> dict[str, Rows]:
    grouped: dict[str, Rows] = {}
    for row in _rows(table):
        grouped.setdefault(row["document_id"], []).append(row)
    return grouped
