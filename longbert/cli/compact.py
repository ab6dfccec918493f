"""``longbert compact``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from typing_extensions import override

from longbert import api
from longbert.cli.command import Command
from longbert.cli.options import PATH
from longbert.cli.streams import say
from longbert.cli.wording import counted
from longbert.config import DEFAULT_OUTPUT
from longbert.engine.meter import NullMeter

if TYPE_CHECKING:
    from rich.progress import Progress

_EXAMPLES = """
\b
Examples:
  longbert compact
  longbert compact out
"""


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("folder", type=PATH, metavar="[DIR]", default=DEFAULT_OUTPUT)
def compact(folder: str) -> None:
    """Merge small parts of the output folder DIR, and put its tables in the order of the inputs.

    Runs that add and change documents leave small parts behind the others. This writes the parts
    that a fresh run would, from the rows that are there: nothing is encoded. The inputs are read
    for their order, and must be those of the last run. DIR is longbert-output if left out.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("documents"), *Progress.get_default_columns()[1:2], MofNCompleteColumn())
    console = Console(stderr=True)
    # Even a bar that is taken away leaves an empty line where there is no terminal.
    is_hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=is_hidden) as progress:
        done = api.compact(folder, meter=_Bar(progress))
    if done.n_written:
        parts = f"{counted(done.n_before, 'part')} became {done.n_after:,}"
        written = f"{done.n_written:,} {'was' if done.n_written == 1 else 'were'} written"
        say(f"{parts}, in the order of the inputs; {written} -> {folder}")
    else:
        say(f"nothing to do: the {counted(done.n_before, 'part')} of {folder} are in order")


class _Bar(NullMeter):
    """Shows the documents that are done.

    Args:
        progress: to show them in.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("compacting", total=None)

    @override
    def add(self, amounts: Mapping[str, float], *, once: str = "") -> None:
        if "planned_documents" in amounts:
            self._progress.update(self._task, total=amounts["planned_documents"])
        self._progress.advance(self._task, amounts.get("documents", 0))
