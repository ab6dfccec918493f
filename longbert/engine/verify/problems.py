"""What is wrong with an output, and what mends it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from longbert.store.folder import OutputFolder
from longbert.store.layout import MANIFEST, receipt_file
from longbert.store.record import Record


class Mend(StrEnum):
    """What has to be done about a problem; then the run is repeated.

    Attributes:
        PART: take the part's receipt away, so that its documents are encoded again.
        INDEX: take the files of the index away, so that it is built from the tables again.
        MANIFEST: take the manifest away, so that it is written again from the receipts.
        FILE: take the file away, which does not belong there, or is made again from the tables.
        RUN: nothing else: the inputs have changed since.
    """

    PART = "part"
    INDEX = "index"
    MANIFEST = "manifest"
    FILE = "file"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in an output.

    Attributes:
        message: a sentence without a remedy.
        mend: what has to be done about it.
        part: that is affected; None where it is none.
        file: that is affected, relative to the output; None where it is no single one.
    """

    message: str
    mend: Mend
    part: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return self.message


class Sampled(Record, frozen=True, kw_only=True):
    """Which documents were encoded again, to compare bits.

    Attributes:
        n_documents: how many.
        parts: names of the parts that they were taken from.
        n_parts_left_out: whose rows were made in another environment than this one.
    """

    n_documents: int
    parts: tuple[str, ...]
    n_parts_left_out: int


class Compared(Record, frozen=True, kw_only=True):
    """How many documents were looked for in the inputs.

    Attributes:
        n_documents: of the output, that are in the inputs.
        n_kept: of the output, that are not, and whose rows the last run kept on purpose.
    """

    n_documents: int
    n_kept: int


def mending_commands(
    output: OutputFolder, problems: Iterable[Problem], run_command: str
) -> Iterator[str]:
    """Shell commands that mend some problems, in the order in which they have to be given.

    Args:
        output: the folder; where it is not local, its files are removed with the tool of the place.
        problems: as found.
        run_command: the command that made the output.
    """
    files: dict[str, None] = {}
    for problem in problems:
        if problem.mend is Mend.PART and problem.part is not None:
            files[receipt_file(problem.part)] = None
        elif problem.mend is Mend.MANIFEST:
            files[MANIFEST] = None
        elif problem.mend in (Mend.FILE, Mend.INDEX) and problem.file is not None:
            files[problem.file] = None
    for file in files:
        path = output.join(file)
        is_local = output.filesystem.local_path(path) is not None
        yield f"rm -f -- {shlex.quote(path)}" if is_local else f"remove {path}"
    yield run_command
