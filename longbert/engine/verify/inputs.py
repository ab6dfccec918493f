"""Comparing an output with the inputs it was made from, which are read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from longbert.config import RunConfig
from longbert.engine.verify.problems import Mend, Problem
from longbert.errors import OutputError
from longbert.readers.documents import read, scan
from longbert.readers.inputs import list_inputs
from longbert.readers.settings import ReadSettings
from longbert.records import Document
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches
from longbert.store.shards import part_names


def input_problems(
    output: OutputFolder, config: RunConfig, filesystem: FileSystem
) -> Iterator[Problem]:
    """Read all documents again, and compare the digests of their texts with those of the output.

    Spans are checked against the texts in the output, so where digests agree, spans give the same
    text in the input. Ids and digests of all documents are in memory, and the refs of one file.

    Args:
        output: the folder.
        config: the settings of the run that made it.
        filesystem: where the inputs are.

    Raises:
        InputError: an input does not exist or holds no document.
    """
    try:
        known = _documents(output)
        settled = _errors(output)
    except OutputError as error:
        # Said of the file itself as well.
        yield Problem(f"the inputs were not compared: {error}", Mend.RUN)
        return
    settings = ReadSettings.of_run(config)
    for file in list_inputs(filesystem, config.inputs, output=config.output).files:
        for item in read(filesystem, list(scan(filesystem, file, settings)), settings):
            if not isinstance(item, Document):
                # It fails in the same way as when it was planned.
                continue
            found = known.pop(item.document_id, None)
            where = f"document {item.document_id!r}"
            if found is None and item.document_id not in settled:
                yield Problem(f"{where} is in the inputs, but not in the output", Mend.RUN)
            elif found is not None and found[0] != _digest(item.text):
                settled.add(item.document_id)
                yield Problem(
                    f"{where} has another text in the inputs than in the output",
                    Mend.RUN,
                    part=found[1],
                )
            elif found is not None:
                settled.add(item.document_id)
    if config.keep_missing:
        # As it was asked for.
        return
    for document_id, (_, part) in known.items():
        yield Problem(
            f"document {document_id!r} is in the output, but no longer in the inputs",
            Mend.RUN,
            part=part,
        )


def _documents(output: OutputFolder) -> dict[str, tuple[str, str]]:
    """Digest of the text and part of every document, by id."""
    found: dict[str, tuple[str, str]] = {}
    for part in part_names(output, output.finished().shards):
        columns = ("document_id", "content_sha256")
        for _, batch in read_batches(output, "documents", [part], columns):
            ids, digests = (batch.column(name).to_pylist() for name in columns)
            found |= {one: (digest, part) for one, digest in zip(ids, digests, strict=True)}
    return found


def _errors(output: OutputFolder) -> set[str]:
    """Ids of the documents that settled."""
    parts = part_names(output, output.finished().shards)
    batches = read_batches(output, "errors", parts, ("document_id",))
    return {one for _, batch in batches for one in batch.column("document_id").to_pylist()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
