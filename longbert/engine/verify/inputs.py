"""Comparing an output with the inputs it was made from, which are read again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from longbert.config import RunConfig
from longbert.core.planning import name_key
from longbert.engine.verify.problems import Compared, Mend, Problem
from longbert.errors import OutputError
from longbert.readers.documents import read, scan
from longbert.readers.inputs import InputFiles
from longbert.readers.settings import ReadSettings
from longbert.records import Document
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches
from longbert.store.shards import part_names
from longbert.store.sorting import ExternalSort


class _Where(IntEnum):
    DOCUMENTS = 0
    ERRORS = 1
    INPUTS = 2


class _Seen(NamedTuple):
    """A document where it was found, as they are sorted.

    Attributes:
        key: digest of its id.
        number: place among the documents of the inputs.
        digest: of its text, as far as it is known.
        part: that has its rows.
    """

    key: bytes
    where: _Where
    number: int
    document_id: str
    digest: str = ""
    part: str = ""


def input_problems(
    output: OutputFolder,
    config: RunConfig,
    filesystem: FileSystem,
    *,
    notify: Callable[[Compared], None] = lambda _: None,
) -> Iterator[Problem]:
    """Read all documents again, and compare the digests of their texts with those of the output.

    Spans are checked against the texts in the output, so where digests agree, spans give the same
    text in the input. Ids and digests are sorted on disk; the refs of one file are in memory.

    Args:
        output: the folder.
        config: the settings of the run that made it.
        filesystem: where the inputs are.
        notify: told how many were compared, once all of them are.

    Raises:
        InputError: an input does not exist or holds no document.
    """
    with ExternalSort[_Seen]() as seen:
        try:
            for one in _in_output(output):
                seen.add(one)
        except OutputError as error:
            # Said of the file itself as well.
            yield Problem(f"the inputs were not compared: {error}", Mend.RUN)
            return
        for one in _in_inputs(config, filesystem):
            seen.add(one)
        n_documents = n_kept = 0
        for _, same in groupby(seen.rows(), key=itemgetter(0)):
            first: dict[_Where, _Seen] = {}
            for one in same:
                first.setdefault(one.where, one)
            if _Where.DOCUMENTS in first:
                n_documents += _Where.INPUTS in first
                n_kept += config.keep_missing and _Where.INPUTS not in first
            yield from _compare(first, keep_missing=config.keep_missing)
        notify(Compared(n_documents=n_documents, n_kept=n_kept))


def _compare(first: Mapping[_Where, _Seen], *, keep_missing: bool) -> Iterator[Problem]:
    """Compare what is known of one id."""
    made, read_again = first.get(_Where.DOCUMENTS), first.get(_Where.INPUTS)
    if made is None and read_again is not None and _Where.ERRORS not in first:
        where = f"document {read_again.document_id!r}"
        yield Problem(f"{where} is in the inputs, but not in the output", Mend.RUN)
    if made is None:
        return
    where = f"document {made.document_id!r}"
    # Documents that are gone may have been kept on purpose.
    if read_again is None and not keep_missing:
        message = f"{where} is in the output, but no longer in the inputs"
        yield Problem(message, Mend.RUN, part=made.part)
    elif read_again is not None and read_again.digest != made.digest:
        message = f"{where} has another text in the inputs than in the output"
        yield Problem(message, Mend.RUN, part=made.part)


def _in_output(output: OutputFolder) -> Iterator[_Seen]:
    for part in part_names(output, output.finished().shards):
        columns = ("document_id", "content_sha256")
        for _, batch in read_batches(output, "documents", [part], columns):
            ids, digests = (batch.column(name).to_pylist() for name in columns)
            for one, digest in zip(ids, digests, strict=True):
                yield _Seen(name_key(one), _Where.DOCUMENTS, 0, one, digest, part)
        for _, batch in read_batches(output, "errors", [part], columns[:1]):
            for one in batch.column("document_id").to_pylist():
                if one is not None:
                    yield _Seen(name_key(one), _Where.ERRORS, 0, one)


def _in_inputs(config: RunConfig, filesystem: FileSystem) -> Iterator[_Seen]:
    settings = ReadSettings.of_run(config)
    number = 0
    for file in InputFiles(filesystem, config.inputs, output=config.output):
        for item in read(filesystem, list(scan(filesystem, file, settings)), settings):
            # Anything else fails in the same way as when it was planned.
            if isinstance(item, Document):
                digest = hashlib.sha256(item.text.encode()).hexdigest()
                key = name_key(item.document_id)
                yield _Seen(key, _Where.INPUTS, number, item.document_id, digest)
                number += 1
