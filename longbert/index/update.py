"""The index of one table: built, or brought up to date with its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from longbert.arrays import IntArray
from longbert.core.segments import plan_segments
from longbert.index.faiss_file import OpenFile, empty_like, flat_head, open_index_file
from longbert.index.ids import refuse_clash
from longbert.index.kinds import INDEX_KINDS, n_cells
from longbert.index.memory import estimate
from longbert.index.report import TableReport, trial_reports
from longbert.index.rows import Rows, gathered_rows
from longbert.index.segment import fill, tune_segment, write_segment
from longbert.index.training import split, spread, train
from longbert.index.tuning import Tuned
from longbert.store.fingerprints import IndexSettings
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile
from longbert.store.index_description import IndexSegment, TableIndex, Tuning
from longbert.store.parquet import count_rows

SMALL = 20_000
"""Vectors of a later segment up to which it is flat: looking at all of them takes about 3 ms."""

DRIFT_AT_MOST = 1.2
"""Mean squared distance of all vectors to the centres of their cells, relative to that of the first
segment, up to which these cells still serve."""


@dataclass(frozen=True, slots=True)
class TableUpdate:
    """The index of a table as it is now.

    Attributes:
        index: None if no row has a vector.
        width: of a vector; 0 if there is none.
        report: what building it took; None where it was not built from the beginning.
        reason: why it was built again, for people; empty if it was not.
    """

    index: TableIndex | None
    width: int = 0
    report: TableReport | None = None
    reason: str = ""


@dataclass(slots=True)
class _Stopwatch:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = self.seconds.get(step, 0.0) + time.perf_counter() - began
            self.seconds[step] = round(spent, 3)


def update_table(
    output: OutputFolder,
    table: str,
    parts: Sequence[str],
    settings: IndexSettings,
    before: TableIndex | None,
    choose: Callable[[], str],
) -> TableUpdate:
    """Index the vectors of a table.

    Args:
        output: the folder.
        table: ``"documents"`` or ``"passages"``.
        parts: names, in order.
        settings: of the index.
        before: the index with these settings so far.
        choose: picks the type, if it is built from the beginning.

    Raises:
        ConfigError: ``choose`` refuses, or the recall cannot be reached.
        OutputError: a table is damaged, two rows have the same id, or a file cannot be written.
    """
    if before is None:
        return _build(output, table, parts, settings, choose)
    held = [{part.name: part.n_rows for part in one.parts} for one in before.segments]
    sizes = {name: n_rows for one in held for name, n_rows in one.items()}
    now = {name: sizes.get(name) or count_rows(output, table, name) for name in parts}
    plan = plan_segments({name: n_rows for name, n_rows in now.items() if n_rows}, held)
    if plan.reason:
        return _build(output, table, parts, settings, choose, plan.reason)
    kept = [before.segments[place] for place in plan.kept]
    files = [
        open_index_file(HeldFile(output, one.file), one, metric=settings.metric) for one in kept
    ]
    width = files[0].vectors.d
    if not plan.built:
        return TableUpdate(before, width)
    with ExitStack() as stack:
        head = len(flat_head(0, 1))
        rows = stack.enter_context(
            gathered_rows(output, table, plan.built, settings.metric, head=head)
        )
        if rows is None or rows.vectors.shape[1] != width:
            reason = "new rows have vectors of another width"
            return _build(output, table, parts, settings, choose, reason)
        refuse_clash(output, table, parts, rows.ids, _living_ids(kept, files, now.keys()))
        cells = files[0].searched if INDEX_KINDS[before.type].has_cells else None
        found_spread = 0.0 if cells is None else spread(cells.quantizer, rows.vectors)
        if _has_drifted(kept, found_spread, len(rows.ids)):
            reason = "later vectors lie far from the centres of the cells"
            return _build(output, table, parts, settings, choose, reason)
        added = _added(output, table, before.type, rows, kept[0], found_spread, settings.metric)
    index = TableIndex(type=before.type, tuning=before.tuning, segments=(*kept, added))
    return TableUpdate(index, width)


def _build(
    output: OutputFolder,
    table: str,
    parts: Sequence[str],
    settings: IndexSettings,
    choose: Callable[[], str],
    reason: str = "",
) -> TableUpdate:
    """Build an index of one segment."""
    watch = _Stopwatch()
    # What does not fit is refused before anything is read.
    type = choose()
    with ExitStack() as stack:
        with watch.timed("reading"):
            head = len(flat_head(0, 1))
            rows = stack.enter_context(
                gathered_rows(output, table, parts, settings.metric, head=head)
            )
        if rows is None:
            return TableUpdate(None)
        refuse_clash(output, table, parts, rows.ids)
        n_rows, width = rows.vectors.shape
        kind = INDEX_KINDS[type]
        queries, sample = split(n_rows)
        index = kind.make(width, n_cells(n_rows))
        tuning, tuned = Tuning(), None
        with watch.timed("training"):
            found_spread = train(index, rows.vectors[sample]) if kind.has_cells else 0.0
        with watch.timed("adding"):
            whole = fill(index, kind, rows)
        if not kind.is_exact:
            with watch.timed("measuring"):
                tuned = tune_segment(index, type, rows, queries, settings.recall)
            tuning = _tuning(tuned, len(queries))
        with watch.timed("writing"):
            segment = write_segment(output, table, type, whole, rows, spread=found_spread)
    report = TableReport(
        seconds=watch.seconds,
        build_bytes=estimate(type, n_rows, width).build,
        trials=() if tuned is None else trial_reports(tuned.trials),
    )
    return TableUpdate(
        TableIndex(type=type, tuning=tuning, segments=(segment,)), width, report, reason
    )


def _has_drifted(kept: Sequence[IndexSegment], added_spread: float, n_added: int) -> bool:
    """Whether cells no longer serve, of vectors on average."""
    sizes = [*(one.n_rows for one in kept), n_added]
    spreads = [*(one.spread for one in kept), added_spread]
    return bool(np.average(spreads, weights=sizes) > DRIFT_AT_MOST * spreads[0])


def _added(
    output: OutputFolder,
    table: str,
    type: str,
    rows: Rows,
    first: IndexSegment,
    found_spread: float,
    metric: str,
) -> IndexSegment:
    """Build a later segment: flat if it is small, else with the cells of the first."""
    type = type if len(rows.ids) > SMALL else "flat"
    kind = INDEX_KINDS[type]
    if kind.has_cells:
        # Opened once more, since it is emptied.
        opened = open_index_file(HeldFile(output, first.file), first, metric=metric)
        empty = empty_like(opened.searched)
    else:
        empty = kind.make(rows.vectors.shape[1], 0)
    whole = fill(empty, kind, rows)
    return write_segment(output, table, type, whole, rows, spread=found_spread)


def _tuning(tuned: Tuned, n_queries: int) -> Tuning:
    return Tuning(
        effort=tuned.chosen.effort,
        candidates=tuned.chosen.candidates,
        recall_at_10=round(tuned.chosen.recall, 4),
        n_queries=n_queries,
    )


def _living_ids(
    segments: Sequence[IndexSegment], files: Sequence[OpenFile], parts: Collection[str]
) -> Iterator[IntArray]:
    """Ids in segments, except those of former parts."""
    for segment, file in zip(segments, files, strict=True):
        lives = [part.name in parts for part in segment.parts]
        yield file.ids[np.repeat(lives, [part.n_rows for part in segment.parts])]
