"""``longbert verify``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from longbert import api
from longbert.cli.command import Command
from longbert.cli.options import PATH, format_option
from longbert.cli.streams import say, standard_output
from longbert.cli.wording import counted, escaped
from longbert.config import DEFAULT_OUTPUT
from longbert.errors import OutputError
from longbert.files import output_folder

if TYPE_CHECKING:
    from longbert.engine.verify.problems import Compared, Sampled
    from longbert.engine.verify.report import VerifyReport

_NAMED = 3

_EXAMPLES = """
\b
Examples:
  longbert verify
  longbert verify out --inputs
  longbert verify out --sample 100
  longbert verify out --format json > report.json
"""


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("folder", type=PATH, metavar="[DIR]", default=DEFAULT_OUTPUT)
@click.option(
    "--inputs",
    is_flag=True,
    help="Read the inputs again, from where the run named them, and compare all texts.  "
    "[default: off]",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Encode N documents again and compare the bits of all their rows.  [default: none]",
)
@format_option(("text", "json"), "A line for each problem, or a report as JSON.")
def verify(folder: str, inputs: bool, sample: int | None, format_: str) -> None:
    """Check the output folder DIR: manifest, checksums, accounting, spans, vectors, and the index.

    Prints each problem, which parts are affected and the commands that mend them, and exits with 1
    if there is one. DIR is longbert-output if left out.
    """
    from longbert.engine.verify.report import verify_report

    output = output_folder(folder)
    found = []
    told: list[Sampled | Compared] = []
    for problem in api.verify(folder, inputs=inputs, sample=sample, notify=told.append):
        found.append(problem)
        if format_ == "text":
            # At once, since a large output takes a while.
            _print(escaped(problem.message))
    report = verify_report(output, found, told)
    if format_ == "json":
        with standard_output(for_programs=True) as stream:
            json.dump(report.for_json(), stream, indent=1)
            stream.write("\n")
    else:
        _print(*_last_lines(report))
    if not report.is_whole:
        raise OutputError(
            f"{folder}: {counted(len(report.problems), 'problem')}, "
            f"{counted(len(report.parts), 'part')} affected. "
            + ("See commands in the report" if format_ == "json" else "Give the commands above")
            + ", or restore the files from a copy"
        )
    for line in report.mixed:
        say(f"mixed: {line}")


def _sample_line(sampled: Sampled) -> str:
    parts = counted(len(sampled.parts), "part")
    named = ", ".join(sampled.parts[:_NAMED]) + (", ..." if len(sampled.parts) > _NAMED else "")
    line = f"Encoded again: {counted(sampled.n_documents, 'document')} of {parts} ({named})"
    if not sampled.n_parts_left_out:
        return line
    left_out = counted(sampled.n_parts_left_out, "part")
    return f"{line}; left out: {left_out} whose rows were made in another environment"


def _comparison_lines(compared: Compared) -> Iterator[str]:
    yield f"Compared with the inputs: {counted(compared.n_documents, 'document')}"
    if compared.n_kept:
        kept = counted(compared.n_kept, "document")
        yield f"Not compared: {kept} whose inputs are gone and whose rows were kept"


def _last_lines(report: VerifyReport) -> Iterator[str]:
    counts = report.counts
    if report.sampled is not None:
        yield _sample_line(report.sampled)
    if report.compared is not None:
        yield from _comparison_lines(report.compared)
    if report.is_whole:
        yield (
            f"{escaped(report.folder)} is whole: {counted(counts.get('documents', 0), 'document')},"
            f" {counted(counts.get('errors', 0), 'error')}, "
            f"{counted(counts.get('passages', 0), 'passage')}, "
            f"{counts.get('chars_covered', 0):,} of {counts.get('chars', 0):,} characters covered"
        )
        return
    if report.parts:
        yield f"Affected parts: {', '.join(report.parts)}"
    yield "To mend it:"
    for command in report.commands:
        yield f"  {escaped(command)}"


def _print(*lines: str) -> None:
    with standard_output(for_programs=False) as stream:
        stream.writelines(f"{line}\n" for line in lines)
