"""Files in an output folder that its manifest does not name."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator

from longbert.store.filesystem import TEMPORARY_SUFFIX, finished_name, join
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexEntry
from longbert.store.layout import (
    FOLDERS,
    INDEX,
    LEXICAL,
    LOCK,
    PART_SUFFIXES,
    SEGMENTS,
    SHARDS,
    TOP_FILES,
    is_own,
    part_file,
)
from longbert.store.manifest import Manifest
from longbert.store.receipts import PartEntry
from longbert.store.shards import read_parts
from longbert.store.sorting import ExternalSort


def index_files(output: OutputFolder, entry: IndexEntry) -> tuple[str, ...]:
    """Names of all files of an index.

    Raises:
        OutputError: its description is missing or damaged.
    """
    return entry.file, *output.index_description(entry).files


def named_files(output: OutputFolder, manifest: Manifest) -> list[str]:
    """Files of shards and index that a manifest names, relative to the output.

    Raises:
        OutputError: the index's description is missing or damaged.
    """
    files = [shard.file for shard in manifest.shards]
    if manifest.index is not None:
        files += index_files(output, manifest.index)
    return files


def unnamed_files(
    output: OutputFolder, parts: Iterable[PartEntry], others: Iterable[str]
) -> Iterator[str]:
    """Longbert's own files that a manifest does not name, relative to the output.

    This includes the unfinished files of killed processes. Names of parts may not fit into memory,
    so both sides are sorted and compared in order.

    Args:
        output: the folder.
        parts: that its shards list.
        others: see :func:`named_files`.
    """
    with ExternalSort[tuple[str, str]]() as named:
        for part in parts:
            named.add((part.name, part.path(LEXICAL)))
        for folder in PART_SUFFIXES:
            own = (
                lexical if folder == LEXICAL else part_file(folder, name)
                for name, lexical in named.rows()
            )
            yield from _others_in(output, folder, own)
    ordered = sorted(others)
    for folder in (SHARDS, INDEX, SEGMENTS):
        yield from _others_in(output, folder, iter(ordered))
    beside = output.filesystem.match(join(glob.escape(output.path), f"*{TEMPORARY_SUFFIX}"))
    on_top = sorted(info.path.rpartition("/")[2] for info in beside)
    yield from (name for name in on_top if finished_name(name) in (*TOP_FILES, LOCK))


def remove_unnamed(
    output: OutputFolder, manifest: Manifest, *, check: Callable[[], None] = lambda: None
) -> None:
    """Remove longbert's own files that a manifest does not name, whatever run has left them.

    Args:
        output: the folder.
        manifest: as it is published.
        check: called before the first is removed; raises if the output is another run's.

    Raises:
        OutputError: one cannot be removed, or a shard or the index's description is damaged.
    """
    parts = read_parts(output, manifest.shards)
    unnamed = unnamed_files(output, parts, named_files(output, manifest))
    for number, name in enumerate(unnamed):
        if not number:
            check()
        output.remove(name)
    output.filesystem.remove_folder(output.join(SEGMENTS))


def foreign_files(output: OutputFolder) -> Iterator[str]:
    """Files in the folders of an output that longbert did not write, relative to the output.

    Their names are sorted on disk. What lies beside the folders is the user's.
    """
    for folder in FOLDERS:
        with ExternalSort[tuple[str]]() as found:
            for name in output.names(folder):
                # An object store may hold an empty object that stands for a folder.
                if not is_own(folder, name) and not f"/{name}".endswith("/"):
                    found.add((f"{folder}/{name}",))
            yield from (file for (file,) in found.rows())


def _others_in(output: OutputFolder, folder: str, named: Iterator[str]) -> Iterator[str]:
    """Longbert's own files in a folder but for those that are given, in order."""
    with ExternalSort[tuple[str]]() as found:
        for name in output.names(folder):
            if is_own(folder, name):
                found.add((f"{folder}/{name}",))
        following = next(named, None)
        for (file,) in found.rows():
            while following is not None and following < file:
                following = next(named, None)
            if following != file:
                yield file
