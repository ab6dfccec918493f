"""What opens paths: this machine's files without Beam, those of buckets through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longbert.store.filesystem import FileSystem
    from longbert.store.folder import OutputFolder


def filesystem_for(*paths: str) -> FileSystem:
    """What opens these paths; Beam is loaded only for those with a scheme."""
    if any("://" in path for path in paths):
        from longbert.beam.filesystem import BeamFileSystem

        return BeamFileSystem()
    from longbert.store.filesystem import LocalFileSystem

    return LocalFileSystem()


def output_folder(folder: str) -> OutputFolder:
    """An output folder, wherever it lies."""
    from longbert.store.folder import OutputFolder

    return OutputFolder(filesystem_for(folder), folder)
