"""The index of a finished output: built again from its tables, and described."""

from __future__ import annotations

from typing import Any

import msgspec

from longbert.engine.history import read_history, write_history
from longbert.errors import ConfigError, OutputError
from longbert.index.build import build_index
from longbert.index.report import TableReport
from longbert.index.settings import index_settings
from longbert.store.fingerprints import IndexSettings
from longbert.store.folder import OutputFolder
from longbert.store.index_description import TableIndex
from longbert.store.layout import ERRORS, MANIFEST
from longbert.store.leftovers import remove_unnamed
from longbert.store.lock import locked
from longbert.store.manifest import Manifest
from longbert.store.record import to_builtins
from longbert.store.shards import part_names


def rebuild_index(
    output: OutputFolder,
    *,
    type: str | None = None,
    memory: str | None = None,
    recall: float | None = None,
) -> None:
    """Build the index again from the tables; nothing is encoded.

    The index that is there stays in use until the new one is complete.

    Args:
        output: a finished output.
        type, memory, recall: as in :class:`longbert.config.RunConfig`; None: as recorded.

    Raises:
        ConfigError: there is no such folder, the output was made without an embedding model, or
            the settings cannot be met.
        LockError: a run is writing the output.
        OutputError: the output is damaged.
    """
    _with_vectors(output)
    with locked(output) as lock:
        manifest, before = _with_vectors(output)
        settings = index_settings(
            before.metric, type=type, memory=memory, recall=recall, before=before
        )
        built = build_index(output, [*part_names(output, manifest.shards)], settings)
        manifest = msgspec.structs.replace(manifest, index=built.entry, index_settings=settings)
        lock.check()
        output.write_record(MANIFEST, manifest.sealed())
        history = read_history(output)
        write_history(output, msgspec.structs.replace(history, index=built.report))
        remove_unnamed(output, manifest)


def describe_index(output: OutputFolder) -> dict[str, Any]:
    """What an index is, what it takes, and what it was measured to find, for JSON.

    Raises:
        ConfigError: there is no such folder, or the output was made without an embedding model.
        OutputError: the output holds no document, or is damaged.
    """
    manifest, settings = _with_vectors(output)
    if manifest.index is None:
        raise OutputError(
            f"{output.path} has no index of vectors, since it holds no document: "
            f"{output.join(ERRORS)} says of each input why"
        )
    description = output.index_description(manifest.index)
    report = read_history(output).index
    parts = {*part_names(output, manifest.shards)}
    return {
        "settings": to_builtins(settings),
        "metric": description.metric,
        "dimensions": description.dimensions,
        "passages": _table(description.passages, parts, report.passages),
        "documents": _table(description.documents, parts, report.documents),
    }


def _table(index: TableIndex, parts: set[str], report: TableReport | None) -> dict[str, Any]:
    n_stored = sum(segment.n_rows for segment in index.segments)
    n_live = sum(
        part.n_rows for segment in index.segments for part in segment.parts if part.name in parts
    )
    return {
        "type": index.type,
        "vectors": n_live,
        "removed_vectors": n_stored - n_live,
        "segments": [
            {"file": one.file, "type": one.type, "vectors": one.n_rows} for one in index.segments
        ],
        "disk_bytes": sum(one.n_bytes for one in index.segments),
        "memory_bytes": sum(one.memory_bytes for one in index.segments),
        **to_builtins(index.tuning),
        "built": None if report is None else to_builtins(report),
    }


def _with_vectors(output: OutputFolder) -> tuple[Manifest, IndexSettings]:
    manifest = output.finished()
    if manifest.index_settings is None:
        raise ConfigError(
            f"{output.path} has no index of vectors, since it was made with --embed none: run "
            "longbert with an embedding model, such as --embed minilm"
        )
    return manifest, manifest.index_settings
