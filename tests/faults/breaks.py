"""Ways in which a run could commit its output wrongly; each must be found by the harness."""

from __future__ import annotations

import os
from collections.abc import Callable

from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.layout import MANIFEST
from longbert.store.lock import Holder
from longbert.store.manifest import Manifest, from_json


def _drop(part_of_path: str) -> None:
    """Do not write some files."""
    write = LocalFileSystem.write

    def writing(self: LocalFileSystem, path: str, data: bytes) -> None:
        if part_of_path not in path:
            write(self, path, data)

    LocalFileSystem.write = writing  # type: ignore[method-assign]


def _manifest_in_place() -> None:
    """Write over the manifest instead of beside it."""
    write = LocalFileSystem.write

    def writing(self: LocalFileSystem, path: str, data: bytes) -> None:
        if not path.endswith(MANIFEST):
            write(self, path, data)
            return
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            os.fsync(file.fileno())
            file.write(data[len(data) // 2 :])

    LocalFileSystem.write = writing  # type: ignore[method-assign]


def _index_after_the_manifest() -> None:
    """Publish an index before its files are there."""
    write = LocalFileSystem.write
    late: list[tuple[str, bytes]] = []

    def writing(self: LocalFileSystem, path: str, data: bytes) -> None:
        if "/index/" in path:
            late.append((path, data))
            return
        write(self, path, data)
        if path.endswith(MANIFEST):
            for one in late:
                write(self, *one)

    LocalFileSystem.write = writing  # type: ignore[method-assign]


def _removal_before_the_manifest() -> None:
    """Remove what the manifest will no longer name while it still does."""
    write = LocalFileSystem.write

    def writing(self: LocalFileSystem, path: str, data: bytes) -> None:
        if path.endswith(MANIFEST):
            output = OutputFolder(self, os.path.dirname(path))
            output.remove_all([*output.unnamed(from_json(data, Manifest, path=path).parts, [])])
        write(self, path, data)

    LocalFileSystem.write = writing  # type: ignore[method-assign]


def _nothing_removed() -> None:
    LocalFileSystem.remove = lambda self, path: None  # type: ignore[method-assign]


def _receipts_first_and_trusted() -> None:
    """Let a part count before its tables are there."""
    write = LocalFileSystem.write
    late: list[tuple[str, bytes]] = []

    def writing(self: LocalFileSystem, path: str, data: bytes) -> None:
        if "/errors/" in path:
            late.append((path, data))
            return
        write(self, path, data)
        if "/receipts/" in path:
            while late:
                write(self, *late.pop())

    LocalFileSystem.write = writing  # type: ignore[method-assign]
    OutputFolder.holds_all = lambda self, receipt, folders: True  # type: ignore[method-assign]


def _locks_of_the_dead_hold() -> None:
    """Never take over the lock of a process that is gone."""
    Holder.is_gone = property(lambda self: False)  # type: ignore[assignment, method-assign]


BREAKS: dict[str, Callable[[], None]] = {
    "a table is not written": lambda: _drop("/passages/"),
    "a lexical file is not written": lambda: _drop("/lexical/"),
    "a receipt is not written": lambda: _drop("/receipts/"),
    "an index file is not written": lambda: _drop("/index/passages"),
    "the manifest is not written": lambda: _drop(MANIFEST),
    "the manifest is written in place": _manifest_in_place,
    "the manifest comes before the index": _index_after_the_manifest,
    "removal comes before the manifest": _removal_before_the_manifest,
    "nothing is removed": _nothing_removed,
    "receipts come first and are trusted": _receipts_first_and_trusted,
    "locks of the dead hold": _locks_of_the_dead_hold,
}
"""By name; each is made wrong in the process that calls it."""
