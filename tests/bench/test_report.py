"""Medians and ratios of rounds."""

from __future__ import annotations

from longbert.bench.jobs import DoneJob
from longbert.bench.report import machine, median_ratio, medians

ROUNDS = ({"a": 1.0, "b": 2.0}, {"a": 9.0, "b": 3.0}, {"a": 4.0, "b": 4.0})


def test_ratios_are_taken_within_rounds() -> None:
    assert medians(ROUNDS) == {"a": 4.0, "b": 3.0}
    # The ratio of the medians would be 4/3.
    assert median_ratio(ROUNDS, "a", "b") == 1.0


def test_stages_make_up_the_whole() -> None:
    job = DoneJob(10.0, {"seconds_reading": 1.0, "seconds_encoding": 6.0, "documents": 3.0})
    assert job.stages == {"reading": 1.0, "encoding": 6.0, "rest": 3.0}


def test_the_machine_is_named() -> None:
    found = machine()
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
