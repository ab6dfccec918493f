"""Opening an output folder for search: its manifest, its index, the columns it needs."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.errors import ConfigError, OutputError
from longbert.index.backend import load_faiss
from longbert.index.kinds import index_type
from longbert.index.tables import (
    Files,
    Integers,
    PassageTable,
    join,
    read_document_ids,
    read_passage_table,
)
from longbert.index.verify import read_checked, read_description

_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Opened:
    """What search works on.

    Attributes:
        passages: FAISS index whose rows are those of ``table``.
        documents: FAISS index whose rows are those of ``document_ids``.
        rows: rows of ``table``, by document and ordinal. Shape: (passages,).
        starts: where each document begins in ``rows``, and the end. Shape: (documents + 1,).
        owner: keeps the FAISS object alive that ``passages`` is a part of.
    """

    files: Files
    description: Mapping[str, Any]
    document_ids: Sequence[str]
    table: PassageTable
    passages: Any
    documents: Any
    rows: Integers
    starts: Integers
    owner: Any


def open_index(files: Files, folder: str) -> Opened:
    """Read what search needs, trusting the manifest only.

    Raises:
        ConfigError: there is no such folder.
        OutputError: the run is unfinished, made no vectors, or a file is damaged.
    """
    manifest = _manifest(files, folder)
    parts = [str(part["name"]) for part in manifest["parts"]]
    if manifest["index"] is None:
        raise OutputError(
            f"{folder} has no vectors to search, since it was made with --embed none or holds no "
            "document: run longbert with an embedding model, such as --embed minilm"
        )
    description = read_description(files, folder, manifest["index"])
    index_type(description["type"])
    document_ids = read_document_ids(files, folder, parts)
    positions = {document_id: row for row, document_id in enumerate(document_ids)}
    table = read_passage_table(files, folder, parts, positions)
    with_ids = _index(files, folder, description["passages"])
    documents = _index(files, folder, description["documents"])
    faiss = load_faiss()
    ids = faiss.vector_to_array(with_ids.id_map)
    if not np.array_equal(ids, table.passage_ids) or documents.ntotal != len(document_ids):
        raise OutputError(
            f"the index in {folder} has other rows than its tables: "
            "remove the folder index and run longbert again"
        )
    rows = np.lexsort((table.ordinal, table.document))
    starts = np.searchsorted(table.document[rows], np.arange(len(document_ids) + 1))
    return Opened(
        files=files,
        description=description,
        document_ids=document_ids,
        table=table,
        passages=faiss.downcast_index(with_ids.index),
        documents=documents,
        rows=rows,
        starts=starts,
        owner=with_ids,
    )


def _manifest(files: Files, folder: str) -> dict[str, Any]:
    if not files.is_folder(folder):
        raise ConfigError(
            f"index names no folder: {folder!r}; name the output folder of a longbert run"
        )
    path = join(folder, _MANIFEST)
    try:
        with files.open(path) as handle:
            data = handle.read()
    except OSError as error:
        raise OutputError(
            f"{folder} has no {_MANIFEST} that can be read ({error.strerror or error}), so its "
            "run is not finished: run longbert run again to finish it"
        ) from error
    try:
        manifest: dict[str, Any] = json.loads(data)
        manifest["parts"], manifest["index"]
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path} is damaged ({type(error).__name__}: {error}): remove it and run "
            "longbert run again, which keeps what is committed"
        ) from None
    return manifest


def _index(files: Files, folder: str, facts: Mapping[str, Any]) -> Any:
    data = read_checked(files, folder, facts["file"], facts["sha256"])
    faiss = load_faiss()
    try:
        index = faiss.read_index(faiss.PyCallbackIOReader(io.BytesIO(data).read))
    except RuntimeError as error:
        raise OutputError(
            f"{join(folder, facts['file'])} cannot be read by FAISS {faiss.__version__} "
            f"({str(error).splitlines()[0]}): remove the folder index and run longbert again"
        ) from None
    if index.ntotal != facts["count"]:
        raise OutputError(
            f"{join(folder, facts['file'])} has {index.ntotal} vectors, its description says "
            f"{facts['count']}: remove the folder index and run longbert again"
        )
    return index
