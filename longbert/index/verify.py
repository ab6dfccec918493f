"""Checking of index files by checksum, and of the index against the tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from longbert.errors import OutputError
from longbert.index.tables import Files, RowsDigest, document_batches, join, passage_batches


def index_problems(
    files: Files, folder: str, parts: Sequence[str], entry: Mapping[str, str]
) -> Iterator[str]:
    """Compare an index with its checksums and with the tables it was built from.

    Args:
        entry: what ``manifest.json`` holds under ``"index"``.

    Yields:
        What is wrong, with a remedy; nothing if all is well.
    """
    try:
        description = read_description(files, folder, entry)
        for part in ("documents", "passages"):
            read_checked(files, folder, description[part]["file"], description[part]["sha256"])
        digest = RowsDigest()
        counts = {"documents": 0, "passages": 0}
        for rows in document_batches(files, folder, parts):
            digest.add_documents(rows)
            counts["documents"] += len(rows.document_ids)
        for batch in passage_batches(files, folder, parts):
            digest.add_passages(batch)
            counts["passages"] += len(batch.document_ids)
    except OutputError as error:
        yield str(error)
        return
    for table, count in counts.items():
        if description[table]["count"] != count:
            yield (
                f"the index has {description[table]['count']} {table}, "
                f"the tables have {count}: run longbert again"
            )
    if description["rows_sha256"] != digest.hexdigest():
        yield "the index was built from other rows than the tables hold: run longbert again"


def read_description(files: Files, folder: str, entry: Mapping[str, str]) -> dict[str, Any]:
    """Read the description that the manifest names.

    Raises:
        OutputError: it is missing or damaged.
    """
    data = read_checked(files, folder, entry["file"], entry["sha256"])
    description: dict[str, Any] = json.loads(data)
    return description


def read_checked(files: Files, folder: str, file: str, sha256: str) -> bytes:
    """Read a file of the output and compare its checksum.

    Raises:
        OutputError: it is missing or damaged.
    """
    path = join(folder, file)
    try:
        with files.open(path) as handle:
            data = handle.read()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read ({error}): run longbert again to make the index anew"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise OutputError(
            f"{path} is damaged: its SHA-256 is {found}, the output says {sha256}; "
            "remove it and run longbert again"
        )
    return data
