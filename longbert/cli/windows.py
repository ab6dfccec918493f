"""``longbert windows``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from longbert.cli.command import Command
from longbert.cli.options import (
    PATH,
    field_options,
    format_option,
    given,
    model_options,
    reading_options,
)
from longbert.cli.streams import say, standard_output
from longbert.cli.wording import counted, escaped
from longbert.config import RunConfig, run_config
from longbert.errors import InputError, nearest
from longbert.files import filesystem_for

if TYPE_CHECKING:
    from longbert.engine.inspect import SplitView
    from longbert.records import Document

_BAR_WIDTH = 48


@click.command(
    cls=Command,
    epilog="""
\b
Examples:
  longbert windows docs/guide.md
  longbert windows docs/guide.md --window 128 --overlap 32
  longbert windows cases.jsonl.gz --id 2019-117 --format json
""",
)
@click.argument("file", type=PATH, metavar="FILE")
@click.option(
    "--id",
    "document_id",
    metavar="ID",
    help="Which document of a file that holds several.  [default: the first]",
)
@field_options
@reading_options
@format_option(("table", "json"), "A picture to look at, or everything as JSON.")
@model_options
def windows(file: str, document_id: str | None, format_: str, **options: Any) -> None:
    """Show how a document is split: its windows, the tokens each owns, its passages.

    In the picture a line is a window: the thin part is context that it reads, the thick part
    the tokens that it owns. The thick parts of all windows together are the document.
    """
    config = run_config({"input": [file], **given(options)})
    document = _read(config, file, document_id)

    views = _views(config, document)
    with standard_output(for_programs=format_ == "json") as stream:
        if format_ == "json":
            content = {
                "document_id": document.document_id,
                "n_chars": len(document.text),
                "passes": [asdict(view) for view in views],
            }
            json.dump(content, stream, indent=1)
            print(file=stream)
            return
        for view in views:
            for line in _picture(document, view):
                print(escaped(line), file=stream)


def _views(config: RunConfig, document: Document) -> tuple[SplitView, ...]:
    from longbert.engine.inspect import split_by_words, split_document

    passage = config.models.passage
    if not config.models.has_models:
        return (split_by_words(document, passage_words=passage),)
    from longbert.encoders.checkpoint.copies import local_copies
    from longbert.encoders.outline import outline_models

    models = local_copies(config.models, filesystem_for(*config.models.names))
    readings = outline_models(models).readings
    return split_document(readings, document, passage_tokens=passage)


def _read(config: RunConfig, file: str, document_id: str | None) -> Document:
    from longbert.readers.documents import read, scan
    from longbert.readers.inputs import InputFiles
    from longbert.readers.settings import ReadSettings
    from longbert.records import Document

    filesystem = filesystem_for(file)
    settings = ReadSettings.of_run(config)
    first, *others = InputFiles(filesystem, config.inputs)
    if others:
        raise InputError(f"{file} holds {1 + len(others)} files: name one of them")
    refs = list(scan(filesystem, first, settings))
    if document_id is not None:
        ids = [ref.document_id for ref in refs if ref.document_id is not None]
        refs = [ref for ref in refs if ref.document_id == document_id]
        if not refs:
            raise InputError(
                f"{file} has no document {document_id!r}{nearest(document_id, ids) or '.'} "
                f"It has {counted(len(ids), 'document')}"
            )
    elif len(refs) > 1:
        say(f"the first of {len(refs):,} documents; --id names another")
    for item in read(filesystem, refs[:1], settings):
        if isinstance(item, Document):
            return item
        raise InputError(item.message)
    raise InputError(f"{file} holds no document: name a file with a text")


def _picture(document: Document, view: SplitView) -> Iterator[str]:
    n_tokens = view.n_tokens
    n_chars = counted(len(document.text), "character")
    n_passages = counted(len(view.passages), "passage")
    if not view.heads:
        yield (
            f"{document.document_id}: {n_chars}, {counted(n_tokens, 'word')}, {n_passages}; "
            "no model, so no windows"
        )
        yield from _passage_lines(view)
        return
    yield (
        f"{document.document_id}: {n_chars}, {counted(n_tokens, 'token')}, "
        f"{counted(len(view.windows), 'window')}, {n_passages} for {', '.join(view.heads)}"
    )
    width = len(f"{n_tokens:,}")
    yield (
        f"{'window':>6}  {'tokens':>{2 * width + 1}}  {'owns':>{2 * width + 1}}  "
        f"{'owned characters':>18}"
    )
    for number, one in enumerate(view.windows):
        window = one.window
        bar = "".join(_cell(cell, window, n_tokens) for cell in range(_BAR_WIDTH)).rstrip()
        yield (
            f"{number:>6}  {window.start:>{width}}-{window.stop:<{width}}  "
            f"{window.owned_start:>{width}}-{window.owned_stop:<{width}}  "
            f"{one.owned_char_start:>8}-{one.owned_char_end:<9}  {bar}"
        )
    yield from _passage_lines(view)


def _passage_lines(view: SplitView) -> Iterator[str]:
    yield "passages (characters):"
    spans = [f"{start}-{stop}" for start, stop in view.passages]
    for first in range(0, len(spans), 8):
        yield "  " + "  ".join(spans[first : first + 8])


def _cell(cell: int, window: Any, n_tokens: int) -> str:
    """What stands for the tokens of one cell of the picture."""
    start = cell * n_tokens // _BAR_WIDTH
    stop = max(start + 1, (cell + 1) * n_tokens // _BAR_WIDTH)
    if start < window.owned_stop and window.owned_start < stop:
        return "█"
    return "─" if start < window.stop and window.start < stop else " "
