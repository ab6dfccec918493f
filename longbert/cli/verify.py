"""``longbert verify``."""

from __future__ import annotations

import click

from longbert import api
from longbert.cli.command import Command
from longbert.cli.options import PATH
from longbert.cli.streams import say, standard_output
from longbert.cli.wording import counted, escaped
from longbert.config import DEFAULT_OUTPUT
from longbert.errors import OutputError

_EXAMPLES = """
\b
Examples:
  longbert verify
  longbert verify out
"""


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("folder", type=PATH, metavar="[DIR]", default=DEFAULT_OUTPUT)
def verify(folder: str) -> None:
    """Check the output folder DIR: manifest, checksums, accounting, spans, and the index.

    Prints a line for each problem, and exits with 1 if there is one. DIR is longbert-output if
    left out.
    """
    from longbert.engine.verify import environments_of, verify_output

    output = api.output_folder(folder)
    n_problems = 0
    for problem in verify_output(output):
        with standard_output(for_programs=False) as stream:
            print(escaped(problem), file=stream)
        n_problems += 1
    if n_problems:
        raise OutputError(
            f"{folder}: {counted(n_problems, 'problem')}. Restore the files from a copy, or remove "
            "the folder and run again"
        )
    for line in environments_of(output):
        say(f"mixed: {line}")
    counts = output.finished().counts
    with standard_output(for_programs=False) as stream:
        print(
            f"{escaped(folder)} is whole: {counted(counts.get('documents', 0), 'document')}, "
            f"{counted(counts.get('errors', 0), 'error')}, "
            f"{counted(counts.get('passages', 0), 'passage')}, "
            f"{counts.get('chars_covered', 0):,} of {counts.get('chars', 0):,} characters covered",
            file=stream,
        )
