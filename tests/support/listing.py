"""All files that inputs name, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from longbert.readers.inputs import InputFiles
from longbert.records import InputFile
from longbert.store.filesystem import FileSystem


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a run, and what else was found; see :class:`InputFiles`."""

    files: tuple[InputFile, ...]
    skipped: Mapping[str, int]


def list_inputs(
    filesystem: FileSystem, inputs: Sequence[str], *, output: str | None = None
) -> Listing:
    """List the documents and tables that the inputs name."""
    found = InputFiles(filesystem, inputs, output=output)
    return Listing(tuple(found), found.skipped)
