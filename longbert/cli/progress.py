"""Progress of a run on stderr: a bar on a terminal, plain lines elsewhere, then a summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from longbert.cli.wording import counted
from longbert.engine.meter import FileMeterReader

if TYPE_CHECKING:
    from longbert.engine.finish import RunResult
    from longbert.engine.history import RunEntry
    from longbert.store.fingerprints import PassSettings, RowSettings

_POLL_SECONDS = 0.2
_LINE_SECONDS = 10.0
_STAGES = ("reading", "tokenizing", "encoding", "assembling", "writing", "indexing")


class ProgressDisplay:
    """Shows what all processes of a run have done so far, until the block ends.

    Args:
        reader: of the folder the processes write to.
        console: stderr; a terminal gets a live bar, anything else a line now and then.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        reader: FileMeterReader,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._console = console
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._rate = _Rate(clock)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last_line = clock()
        self._shown = ""

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=None),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
                expand=True,
            )
            self._task = self._bar.add_task("loading models", total=None)
            self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._bar is not None:
            self._bar.stop()

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            self.show(self._reader.totals())

    def show(self, totals: Mapping[str, float]) -> None:
        """Bring what is shown up to date."""
        if not totals.get("planned_documents"):
            return
        line = progress_line(totals, self._rate.update(totals))
        if self._bar is not None and self._task is not None:
            share = totals.get("bytes", 0) / max(1, totals.get("planned_bytes", 0))
            self._bar.update(self._task, description=line, total=1.0, completed=min(1.0, share))
        elif line != self._shown and self._clock() - self._last_line >= _LINE_SECONDS:
            self._console.print(f"longbert: {line}", highlight=False, soft_wrap=True)
            self._last_line = self._clock()
            self._shown = line


class _Rate:
    """Tokens and bytes a second since the first were done."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began: float | None = None
        self._first: Mapping[str, float] = {}

    def update(self, totals: Mapping[str, float]) -> tuple[float, float] | None:
        now = self._clock()
        if self._began is None:
            self._began, self._first = now, dict(totals)
            return None
        seconds = now - self._began
        tokens = totals.get("tokens", 0) - self._first.get("tokens", 0)
        if seconds <= 0 or tokens <= 0:
            return None
        return tokens / seconds, (_encoded_bytes(totals) - _encoded_bytes(self._first)) / seconds


def _encoded_bytes(totals: Mapping[str, float]) -> float:
    """Input bytes done by this run; those done by an earlier one took no time."""
    return totals.get("bytes", 0) - totals.get("resumed_bytes", 0)


def progress_line(totals: Mapping[str, float], rate: tuple[float, float] | None) -> str:
    """One line: documents, speed, time left, errors.

    Args:
        totals: of the meters.
        rate: tokens and bytes a second; None while it is not known.
    """
    planned = int(totals.get("planned_documents", 0))
    share = totals.get("bytes", 0) / max(1, totals.get("planned_bytes", 0))
    done = f"{int(totals.get('documents', 0)):,} of {counted(planned, 'document')}"
    parts = [f"{done}, {share:.0%} of the text"]
    left = totals.get("planned_bytes", 0) - totals.get("bytes", 0)
    if rate is not None:
        parts.append(f"{rate[0]:,.0f} tokens/s")
        if rate[1] > 0:
            parts.append(f"{duration(max(0.0, left) / rate[1])} left")
    parts.append(counted(totals.get("errors", 0), "error"))
    return ", ".join(parts)


def stopped_line(totals: Mapping[str, float]) -> str:
    """How far a run got; empty if nothing was planned yet."""
    planned = int(totals.get("planned_documents", 0))
    done = int(totals.get("documents", 0))
    return f"{done:,} of {counted(planned, 'document')} done" if planned else ""


def duration(seconds: float) -> str:
    """``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _pass_lines(device: str, settings: RowSettings) -> list[str]:
    if not settings.passes:
        return [f"no model: passages of {settings.passage} words, searched by words"]
    heads = sum(len(one.heads) for one in settings.passes)
    return [
        f"{device}, {settings.precision}: {counted(len(settings.passes), 'pass', 'passes')} for "
        f"{counted(heads, 'head')}",
        *(_pass_line(number, one) for number, one in enumerate(settings.passes, 1)),
    ]


def _pass_line(number: int, settings: PassSettings) -> str:
    names = [head.name for head in settings.heads]
    shared = f"shared by {', '.join(names)}" if len(names) > 1 else f"for {names[0]}"
    reads = {
        "all": f"overlap {settings.overlap}",
        "ends": "of the first and last tokens",
        "passages": "each passage alone",
    }[settings.reads]
    note = "" if settings.batch_invariant else "; results depend on the batch here"
    return f"pass {number} {shared} (window {settings.window}, {reads}{note})"


def _encoded(entry: RunEntry, totals: Mapping[str, float]) -> list[str]:
    """What was encoded, by the receipts, and how fast, as far as the meters know."""
    if not entry.encoded.get("windows"):
        return []
    line = f"{counted(entry.encoded['windows'], 'window')}, "
    line += counted(entry.encoded["tokens"], "token")
    if totals.get("padded_positions"):
        rate = totals["tokens"] / max(totals.get("seconds_encoding", 0), 1e-9)
        padding = 1 - totals["positions"] / totals["padded_positions"]
        line += f" ({rate:,.0f} a second while encoding), {padding:.1%} padding"
    return [line]


def _kept(entry: RunEntry) -> str:
    return f", {entry.kept:,} kept that are gone from the inputs" if entry.kept else ""


def _unused_encodings(totals: Mapping[str, float]) -> list[str]:
    start = "unused encoding "
    globs = [name.removeprefix(start) for name in sorted(totals) if name.startswith(start)]
    return [
        f"warning: --encoding '{glob}=...' names no text file or page of the inputs: check the "
        "glob, which has to match a file's id or its whole path"
        for glob in globs
    ]


def summary_lines(result: RunResult, totals: Mapping[str, float], output: str) -> list[str]:
    """What a run did, for people."""
    entry, manifest = result.entry, result.manifest
    counts = manifest.counts
    n_errors = counts.get("errors", 0)
    n_new = entry.documents - entry.unchanged
    if result.found_all_done:
        return [
            f"nothing to do: {counted(entry.documents, 'document')} already in {output}"
            + (f", {n_errors:,} of them in errors" if n_errors else "")
            + _kept(entry)
            + " (its files are all there in full length; longbert verify reads them)",
            *_unused_encodings(totals),
        ]
    head = f"{counted(entry.documents, 'document')}: {n_new:,} new"
    if entry.unchanged:
        head += f", {entry.unchanged:,} unchanged"
    if entry.removed:
        head += f", {entry.removed:,} removed or changed"
    head += _kept(entry)
    if entry.documents_resumed:
        head += f" ({entry.documents_resumed:,} of them done by an earlier run)"
    if entry.reindexed:
        head += f"; all vectors were indexed again: {entry.reindexed}"
    elif entry.units == 0 and entry.indexed:
        head += "; the index was built again"
    elif result.encoded_nothing:
        head += f"; nothing to encode: wrote {' and '.join(entry.written)} again"
    if entry.units_reindexed:
        head += f"; the words of {counted(entry.units_reindexed, 'part')} were indexed again"
    lines = [f"{head}; {n_errors:,} in errors -> {output}"]
    lines += _encoded(entry, totals)
    skipped = {
        name.removeprefix("skipped "): int(count)
        for name, count in sorted(totals.items())
        if name.startswith("skipped ")
    }
    if skipped:
        kinds = ", ".join(f"{suffix or 'no suffix'} {n:,}" for suffix, n in skipped.items())
        n_skipped = counted(sum(skipped.values()), "file")
        lines.append(f"skipped {n_skipped} that longbert does not read: {kinds}")
    stages = [
        f"{stage} {totals[f'seconds_{stage}']:.1f}"
        for stage in _STAGES
        if f"seconds_{stage}" in totals
    ]
    stages.append(f"in all {entry.seconds:.1f}")
    lines.append(f"seconds: {', '.join(stages)}")
    lines += _pass_lines(entry.device, manifest.rows.settings)
    if totals.get("unknown_script"):
        lines.append(
            f"warning: {counted(totals['unknown_script'], 'document')} with over a tenth of the "
            "characters under unknown tokens (n_chars_unknown): the model does not know this script"
        )
    if totals.get("tokenized_whole"):
        lines.append(
            f"warning: {counted(totals['tokenized_whole'], 'document')} larger than a unit in "
            "memory as a whole, some 200 bytes a character, since it is not known where a text may "
            "be cut without changing the tokens of this model"
        )
    if totals.get("vectors_of_zeros"):
        lines.append(
            f"warning: {counted(totals['vectors_of_zeros'], 'vector')} of documents or passages "
            "with nothing but zeros, which are like every query and like none: check the weights "
            "of the embedding model"
        )
    lines += _unused_encodings(totals)
    if n_errors:
        lines.append(f"warning: {counted(n_errors, 'row')} in {output}/errors, each with a reason")
    return lines
