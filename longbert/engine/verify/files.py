"""Files of an output: those that are missing or damaged, and those that do not belong there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from longbert.engine.verify.problems import Mend, Problem
from longbert.errors import LockError, OutputError
from longbert.store.folder import OutputFolder
from longbert.store.leftovers import foreign_files, named_files, unnamed_files
from longbert.store.lock import running, unsure
from longbert.store.manifest import Manifest
from longbert.store.receipts import PartEntry
from longbert.store.tables import TABLES


def check_file(output: OutputFolder, entry: PartEntry, folder: str) -> bytes | Problem:
    """Read a part's file in one of the folders, or say what is wrong with it."""
    file = entry.path(folder)
    mend = Mend.PART if folder in TABLES else Mend.FILE

    def problem(message: str) -> Problem:
        return Problem(message, mend, part=entry.name, file=file)

    wanted = entry.files.get(folder)
    if wanted is None:
        return problem(f"manifest.json: part {entry.name} has no file in {folder}")
    try:
        data = output.read(file)
    except OutputError as error:
        return problem(str(error))
    if data is None:
        return problem(f"{file} is missing")
    if len(data) != wanted.n_bytes:
        return problem(f"{file} has {len(data):,} bytes, the manifest says {wanted.n_bytes:,}")
    if hashlib.sha256(data).hexdigest() != wanted.sha256:
        return problem(f"{file} does not match its SHA-256 in the manifest")
    return data


def foreign_problems(output: OutputFolder) -> Iterator[Problem]:
    """Files in the folders of an output that longbert did not write; no run removes them."""
    for file in foreign_files(output):
        yield Problem(
            f"{file} does not belong to this output, but readers that list the folder would take "
            "it for a part of it",
            Mend.FILE,
            file=file,
        )


def leftover_problems(
    output: OutputFolder, manifest: Manifest, parts: Iterable[PartEntry]
) -> Iterator[Problem]:
    """Longbert's own files that the manifest does not name; those of a run at work are its own.

    Args:
        output: the folder.
        manifest: of it.
        parts: that its shards list.
    """
    try:
        holder = running(output)
    except LockError:
        # A damaged lock is found with the other records.
        holder = None
    if holder is not None and holder.is_here:
        return
    try:
        named = named_files(output, manifest)
    except OutputError:
        # A damaged description is found with the index.
        return
    for file in unnamed_files(output, parts, named):
        if holder is not None:
            yield Problem(
                f"{file} is not named in the manifest: it is left from another run, or of one that "
                f"is writing the output now ({holder.told}): {unsure(output)}",
                Mend.RUN,
                file=file,
            )
            return
        yield Problem(
            f"{file} is left from another run: the manifest does not name it, but readers that "
            "glob the folder will pick it up",
            Mend.FILE,
            file=file,
        )
