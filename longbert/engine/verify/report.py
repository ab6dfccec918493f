"""What a check of an output found, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from longbert.engine.recorded import recorded_command
from longbert.engine.verify.output import environments_of, readable_manifest
from longbert.engine.verify.problems import Compared, Mend, Problem, Sampled, mending_commands
from longbert.store.folder import OutputFolder
from longbert.store.record import Record, to_builtins


class ProblemEntry(Record, frozen=True, kw_only=True):
    """A problem; see :class:`longbert.engine.verify.problems.Problem`."""

    message: str
    mend: Mend
    part: str | None
    file: str | None


class VerifyReport(Record, frozen=True, kw_only=True):
    """What a check of an output found.

    Attributes:
        folder: the output.
        is_whole: whether nothing is wrong.
        counts: what the manifest counts; empty if it cannot be read.
        problems: as found.
        parts: that are affected.
        commands: that mend all of it, in order; none if nothing is wrong.
        mixed: a line for each environment, if rows were made in several.
        sampled: which documents were encoded again; None if that was not asked for.
        compared: how many documents were compared with the inputs; None if that was not asked for,
            or could not be done.
    """

    folder: str
    is_whole: bool
    counts: dict[str, int]
    problems: tuple[ProblemEntry, ...]
    parts: tuple[str, ...]
    commands: tuple[str, ...]
    mixed: tuple[str, ...]
    sampled: Sampled | None
    compared: Compared | None

    def for_json(self) -> dict[str, Any]:
        """As plain values."""
        return to_builtins(self)


def verify_report(
    output: OutputFolder, problems: Iterable[Problem], told: Sequence[Sampled | Compared] = ()
) -> VerifyReport:
    """Sum up what was found.

    Args:
        output: the folder.
        problems: all of them.
        told: what the check told of.
    """
    found = list(problems)
    manifest = readable_manifest(output)
    commands = mending_commands(output, found, recorded_command(output)) if found else ()
    return VerifyReport(
        folder=output.path,
        is_whole=not found,
        counts={} if manifest is None else manifest.counts,
        problems=tuple(
            ProblemEntry(message=one.message, mend=one.mend, part=one.part, file=one.file)
            for one in found
        ),
        parts=tuple(dict.fromkeys(one.part for one in found if one.part is not None)),
        commands=tuple(commands),
        mixed=() if manifest is None else tuple(environments_of(output, manifest)),
        sampled=next((one for one in told if isinstance(one, Sampled)), None),
        compared=next((one for one in told if isinstance(one, Compared)), None),
    )
