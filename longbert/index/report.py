"""What building an index took, which is not part of the output: times differ from run to run."""

from __future__ import annotations

from collections.abc import Sequence

from longbert.index.tuning import Trial
from longbert.store.record import Record


class TrialReport(Record, frozen=True, kw_only=True):
    """A setting of the search that was measured; see :class:`longbert.index.tuning.Trial`."""

    effort: int
    candidates: int
    recall_at_10: float
    p50_ms: float
    p99_ms: float


class TableReport(Record, frozen=True, kw_only=True):
    """What building the index of a table took.

    Attributes:
        seconds: by step: reading the tables, training, adding, measuring, writing.
        build_bytes: of memory, as estimated before.
        trials: of the search, in order; the last was chosen.
    """

    seconds: dict[str, float]
    build_bytes: int
    trials: tuple[TrialReport, ...]


class IndexReport(Record, frozen=True, kw_only=True):
    """What building an index took; None for a table that was not built from the beginning."""

    passages: TableReport | None = None
    documents: TableReport | None = None

    def after(self, earlier: IndexReport) -> IndexReport:
        """This report, and an earlier one of what was not built again."""
        return IndexReport(
            passages=self.passages or earlier.passages,
            documents=self.documents or earlier.documents,
        )


def trial_reports(trials: Sequence[Trial]) -> tuple[TrialReport, ...]:
    """Trials as they are recorded."""
    return tuple(
        TrialReport(
            effort=one.effort,
            candidates=one.candidates,
            recall_at_10=round(one.recall, 4),
            p50_ms=round(one.p50_ms, 3),
            p99_ms=round(one.p99_ms, 3),
        )
        for one in trials
    )
