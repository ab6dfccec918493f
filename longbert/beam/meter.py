"""Counting work in Beam's own counters, for runners on other machines."""

from __future__ import annotations

from collections.abc import Mapping

from apache_beam.metrics import Metrics
from typing_extensions import override

from longbert.engine.meter import Meter

NAMESPACE = "longbert"


class CounterMeter(Meter):
    """Adds to counters of the namespace ``longbert``; seconds are counted in milliseconds."""

    @override
    def add(self, amounts: Mapping[str, float], *, once: str = "") -> None:
        # Beam counts what each attempt does.
        for name, amount in amounts.items():
            if name.startswith("seconds_"):
                name, amount = f"milliseconds_{name.removeprefix('seconds_')}", amount * 1000
            Metrics.counter(NAMESPACE, name).inc(round(amount))

    @override
    def totals(self) -> Mapping[str, float]:
        # Counters cannot be read from inside a step.
        return {}
