"""Ways in which a run could commit its output wrongly; each must be found by the harness."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.layout import CLAIM, MANIFEST, RUNS
from longbert.store.leftovers import unnamed_files
from longbert.store.lock import Holder
from longbert.store.manifest import Manifest
from longbert.store.record import from_json
from longbert.store.shards import read_parts

Write = Callable[[str, bytes], None]


def _instead(do: Callable[[Write, str, bytes], None]) -> None:
    """Let files be written in another way, which is given the right one."""
    create = LocalFileSystem.create

    @contextmanager
    def creating(self: LocalFileSystem, path: str) -> Iterator[IO[bytes]]:
        def write(path: str, data: bytes) -> None:
            with create(self, path) as file:
                file.write(data)

        held = io.BytesIO()
        yield held
        do(write, path, held.getvalue())

    LocalFileSystem.create = creating  # type: ignore[assignment, method-assign]


def _drop(part_of_path: str) -> None:
    """Do not write some files."""

    def writing(write: Write, path: str, data: bytes) -> None:
        if part_of_path not in path:
            write(path, data)

    _instead(writing)


def _manifest_in_place() -> None:
    """Write over the manifest instead of beside it."""

    def writing(write: Write, path: str, data: bytes) -> None:
        if not path.endswith(MANIFEST):
            write(path, data)
            return
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            os.fsync(file.fileno())
            file.write(data[len(data) // 2 :])

    _instead(writing)


def _index_after_the_manifest() -> None:
    """Publish an index before its files are there."""
    late: list[tuple[str, bytes]] = []

    def writing(write: Write, path: str, data: bytes) -> None:
        if "/index/" in path:
            late.append((path, data))
            return
        write(path, data)
        if path.endswith(MANIFEST):
            for one in late:
                write(*one)

    _instead(writing)


def _removal_before_the_manifest() -> None:
    """Remove what the manifest will no longer name while it still does."""

    def writing(write: Write, path: str, data: bytes) -> None:
        if path.endswith(MANIFEST):
            output = OutputFolder(LocalFileSystem(), os.path.dirname(path))
            shards = from_json(data, Manifest, path=path).shards
            named = [shard.file for shard in shards]
            for name in [*unnamed_files(output, read_parts(output, shards), named)]:
                output.remove(name)
        write(path, data)

    _instead(writing)


def _nothing_removed() -> None:
    LocalFileSystem.remove = lambda self, path: None  # type: ignore[method-assign]


def _receipts_first_and_trusted() -> None:
    """Let a part count before its tables are there."""
    late: list[tuple[str, bytes]] = []

    def writing(write: Write, path: str, data: bytes) -> None:
        if "/errors/" in path:
            late.append((path, data))
            return
        write(path, data)
        if "/receipts/" in path:
            while late:
                write(*late.pop())

    _instead(writing)
    OutputFolder.holds_all = lambda self, receipt, folders: True  # type: ignore[method-assign]


def _locks_of_the_dead_hold() -> None:
    """Never take over the lock of a process that is gone."""
    Holder.is_gone = property(lambda self: False)  # type: ignore[assignment, method-assign]


@dataclass(frozen=True)
class Break:
    """Something made wrong.

    Attributes:
        make: makes it so in the process that calls it.
        step: where a kill does harm then; empty where none is needed.
        is_of_first: whether only a first run does what is made wrong.
    """

    make: Callable[[], None]
    step: str = ""
    is_of_first: bool = False


BREAKS: dict[str, Break] = {
    **{
        f"the table {name} is not written": Break(partial(_drop, f"/{name}/"))
        for name in ("documents", "passages", "entities", "classifications", "errors")
    },
    "a catalog is not written": Break(lambda: _drop("/catalog/")),
    "a lexical file is not written": Break(lambda: _drop("/lexical/")),
    "a receipt is not written": Break(lambda: _drop("/receipts/")),
    **{
        f"the index file {name} is not written": Break(partial(_drop, f"/index/{name}"))
        for name in ("documents", "passages", "description")
    },
    "a shard of the manifest is not written": Break(lambda: _drop("/manifest/")),
    "the manifest is not written": Break(lambda: _drop(MANIFEST)),
    "the history is not written": Break(lambda: _drop(RUNS)),
    "the claim is not written": Break(lambda: _drop(CLAIM), is_of_first=True),
    "the manifest is written in place": Break(_manifest_in_place, "write manifest.json"),
    "the manifest comes before the index": Break(
        _index_after_the_manifest, "after-rename manifest.json"
    ),
    "removal comes before the manifest": Break(
        _removal_before_the_manifest, "before-rename manifest.json"
    ),
    "nothing is removed": Break(_nothing_removed),
    "receipts come first and are trusted": Break(
        _receipts_first_and_trusted, "after-rename receipts"
    ),
    "locks of the dead hold": Break(_locks_of_the_dead_hold, "after-rename manifest.json"),
}
"""By name."""
