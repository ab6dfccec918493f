"""The records beside the manifest: claim, history and lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from longbert.engine.history import recorded_history
from longbert.engine.verify.problems import Mend, Problem
from longbert.errors import LockError, OutputError
from longbert.store.folder import OutputFolder
from longbert.store.layout import CLAIM, LOCK, RUNS
from longbert.store.lock import Lock
from longbert.store.manifest import Manifest


def record_problems(output: OutputFolder, manifest: Manifest) -> Iterator[Problem]:
    """Check the records beside the manifest; each is written anew by the next run."""
    for name, read in ((CLAIM, output.claim), (RUNS, lambda: recorded_history(output))):
        yield from _problem(name, read)
    with suppress(OutputError):
        claim = output.claim()
        if claim is not None and not manifest.admits(claim):
            message = f"{CLAIM} is not that of the rows in the manifest"
            yield Problem(message, Mend.RUN, file=CLAIM)
    try:
        Lock(output).holder()
    except (LockError, OutputError) as error:
        yield Problem(str(error), Mend.FILE, file=LOCK)


def _problem(name: str, read: Callable[[], object]) -> Iterator[Problem]:
    try:
        found = read()
    except OutputError as error:
        yield Problem(str(error), Mend.FILE, file=name)
        return
    if found is None:
        yield Problem(f"{name} is missing", Mend.RUN, file=name)
