"""Printing of query results: for people as a table, for programs as JSON or in TREC format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import IO, TYPE_CHECKING

from longbert.cli.wording import escaped, one_line
from longbert.core.sentences import sentence_spans

if TYPE_CHECKING:
    from rich.text import Text

    from longbert.index.excerpts import Hit, HitPassage

Results = Sequence[tuple[str, Sequence["Hit"]]]
"""The hits of each query, by its id."""

PASSAGE_CHARS = 320
_BAR_CELLS = 10
_SPACES = re.compile(r"\s+")
_CUT_WORD = re.compile(r"\s\S{1,30}$")


def write_results(results: Results, stream: IO[str], *, format: str) -> None:
    """Write results in one of :data:`FORMATS`.

    Args:
        stream: UTF-8 text for all formats but ``table``, which is fitted to the terminal.
    """
    FORMATS[format](results, stream)


def _write_json(results: Results, stream: IO[str]) -> None:
    from longbert.index.results import hit_records

    json.dump(list(hit_records(results)), stream, ensure_ascii=False, indent=2)
    stream.write("\n")


def _write_jsonl(results: Results, stream: IO[str]) -> None:
    from longbert.index.results import hit_records

    for record in hit_records(results):
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_trec(results: Results, stream: IO[str]) -> None:
    from longbert.index.results import trec_lines

    for line in trec_lines(results):
        stream.write(line + "\n")


def _write_table(results: Results, stream: IO[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    many = len(results) > 1
    for query_id, hits in results:
        if not hits:
            if many:
                console.print(Text(f"{escaped(query_id)}: no hit"))
            continue
        title = Text(escaped(query_id)) if many else None
        table = Table(title=title, title_justify="left", expand=True, show_lines=True)
        table.add_column("rank", justify="right", no_wrap=True)
        table.add_column("document", overflow="fold", ratio=1)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("passages [characters] score", overflow="fold", ratio=3)
        for hit in hits:
            passages = Text("\n").join(_shown(one, hit.n_chars) for one in hit.passages)
            table.add_row(str(hit.rank), _document(hit), f"{hit.score:.3f}", passages)
        console.print(table)


FORMATS: dict[str, Callable[[Results, IO[str]], None]] = {
    "table": _write_table,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "trec": _write_trec,
}


def _document(hit: Hit) -> Text:
    """Id and title; the title alone is dim."""
    from rich.text import Text

    shown = Text(escaped(hit.document_id))
    title = one_line(hit.title)
    if title and title != shown.plain:
        shown.append(f"\n{title}", style="dim")
    return shown


def _shown(passage: HitPassage, n_chars: int) -> Text:
    """Where a passage is, and its text around the strongest sentence, with the words marked."""
    from rich.text import Text

    bar = _bar(passage.char_start, passage.char_end, n_chars)
    where = f"[{passage.char_start}:{passage.char_end}]"
    shown = Text.assemble((f"{bar}{where} {passage.score:.2f} ", "dim"))
    start, stop, is_cut = _part(passage)
    if start == 0 and passage.is_cut[0]:
        shown.append("…")
    styles = {0: "", 1: "bold", 2: "underline", 3: "bold underline"}
    first, last = passage.strongest or (0, 0)
    borders = {start, stop, first, last, *(border for word in passage.words for border in word)}
    inside = sorted(border for border in borders if start <= border <= stop)
    for begin, end in pairwise(inside):
        is_word = any(one <= begin < other for one, other in passage.words)
        style = styles[is_word + 2 * (first <= begin < last)]
        shown.append(escaped(_SPACES.sub(" ", passage.text[begin:end])), style=style)
    if is_cut or (stop == len(passage.text) and passage.is_cut[1]):
        shown.append("…")
    return shown


def _part(passage: HitPassage) -> tuple[int, int, bool]:
    """The part of a passage that is shown: as many sentences around the strongest as there is room.

    Returns:
        Its span, and whether it ends inside a sentence, which a sentence without room does.
    """
    sentences = sentence_spans(passage.text) or [(0, len(passage.text))]
    first = sentences.index(passage.strongest) if passage.strongest in sentences else 0
    last = first
    start, stop = sentences[first]
    if stop - start > PASSAGE_CHARS:
        shown = passage.text[start : start + PASSAGE_CHARS]
        # A word that is cut is left out, unless it is all there is.
        shown = _CUT_WORD.sub("", shown) or shown
        return start, start + len(shown.rstrip()), True
    grows = True
    while grows:
        grows = False
        # What follows is read on; what stands before is needed more rarely.
        if last + 1 < len(sentences) and sentences[last + 1][1] - start <= PASSAGE_CHARS:
            last, stop, grows = last + 1, sentences[last + 1][1], True
        if first > 0 and stop - sentences[first - 1][0] <= PASSAGE_CHARS:
            first, start, grows = first - 1, sentences[first - 1][0], True
    return start, stop, False


def _bar(start: int, stop: int, n_chars: int) -> str:
    """Where a passage stands in its document; empty where that is not known."""
    if not n_chars:
        return ""
    first = min(start * _BAR_CELLS // n_chars, _BAR_CELLS - 1)
    last = max(first + 1, -(-stop * _BAR_CELLS // n_chars))
    return "".join("█" if first <= cell < last else "·" for cell in range(_BAR_CELLS)) + " "
