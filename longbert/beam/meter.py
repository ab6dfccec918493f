"""Counting work in Beam's own counters, for runners on other machines."""

from __future__ import annotations

from collections.abc import Mapping

from apache_beam.metrics import Metrics

from longbert.errors import LongbertError

NAMESPACE = "longbert"


class CounterMeter:
    """Adds to counters of the namespace ``longbert``; seconds are counted in milliseconds."""

    def add(self, amounts: Mapping[str, float]) -> None:
        """See :class:`longbert.engine.meter.Meter`."""
        for name, amount in amounts.items():
            if name.startswith("seconds_"):
                name, amount = f"milliseconds_{name.removeprefix('seconds_')}", amount * 1000
            Metrics.counter(NAMESPACE, name).inc(round(amount))

    def totals(self) -> Mapping[str, float]:
        """Counters cannot be read from inside a step."""
        return {}

    def report(self, error: LongbertError) -> None:
        """The runner keeps the error's text itself."""

    def reported(self) -> LongbertError | None:
        """See :meth:`report`."""
        return None
