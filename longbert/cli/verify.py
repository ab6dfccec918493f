"""``longbert verify``."""

from __future__ import annotations

import click

import longbert
from longbert.cli.wording import counted


@click.command(
    epilog="""
\b
Example:
  longbert verify longbert-output
"""
)
@click.argument("folder", metavar="DIR", default=longbert.DEFAULT_OUTPUT)
def verify(folder: str) -> None:
    """Check an output folder: manifest, checksums, accounting, spans, and the index.

    Prints a line for each problem and exits with 1 if there is one.
    """
    from longbert.engine.verify import environments_of, verify_output
    from longbert.store.folder import OutputFolder

    output = OutputFolder(longbert.filesystem_for(folder), folder)
    n_problems = 0
    for problem in verify_output(output):
        click.echo(problem)
        n_problems += 1
    counts = output.finished().counts
    if n_problems:
        raise longbert.OutputError(
            f"{folder}: {counted(n_problems, 'problem')}. Restore the files from a copy, or remove "
            "the folder and run again"
        )
    for line in environments_of(output):
        click.echo(f"longbert: mixed: {line}", err=True)
    click.echo(
        f"{folder} is whole: {counted(counts.get('documents', 0), 'document')}, "
        f"{counted(counts.get('errors', 0), 'error')}, "
        f"{counted(counts.get('passages', 0), 'passage')}, "
        f"{counts.get('chars_covered', 0):,} of {counts.get('chars', 0):,} characters covered"
    )
