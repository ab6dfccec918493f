"""Which segments an index keeps, and which it builds, when the parts of a table have changed.

A segment holds the rows of some parts and is never changed. New parts form a new segment, together
with the small ones before it, so that sizes fall by half or more from each segment to the next: a
row is written anew at most once each time the index doubles, and n rows have at most log2(n)
segments (the logarithmic method; Bentley and Saxe, Decomposable Searching Problems, 1980).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEAD_AT_MOST = 0.2
"""Share of the rows of an index that may belong to parts which are no longer there."""

Segment = Mapping[str, int]
"""Rows of each part in a segment, by name of the part."""


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What an index of some parts consists of.

    Attributes:
        kept: positions of segments that stay.
        built: parts of the one segment to build, in the order of the table; none if there is
            nothing new.
        reason: why everything is built again, for people; empty if it is not.
    """

    kept: tuple[int, ...]
    built: tuple[str, ...]
    reason: str = ""


def plan_segments(parts: Mapping[str, int], segments: Sequence[Segment]) -> SegmentPlan:
    """Keep what can be kept of an index.

    Args:
        parts: rows of each part that the table has now, in order.
        segments: of the index so far, oldest first.
    """
    own = [{name: n for name, n in one.items() if name in parts} for one in segments]
    live = [sum(one.values()) for one in own]
    stored = [sum(one.values()) for one in segments]
    held = set().union(*own)
    new = [name for name in parts if name not in held]
    n_dead = sum(stored) - sum(live)
    if n_dead > DEAD_AT_MOST * sum(stored):
        return _rebuilt(parts, f"{n_dead:,} of {sum(stored):,} vectors belonged to former rows")
    kept = list(range(len(segments)))
    if not new:
        return SegmentPlan(tuple(kept), ())
    taken = {*new}
    n_taken = sum(parts[name] for name in new)
    while kept and live[kept[-1]] <= 2 * n_taken:
        last = kept.pop()
        taken.update(own[last])
        n_taken += live[last]
    if segments and not kept:
        return _rebuilt(parts, "it has grown by more than a half")
    return SegmentPlan(tuple(kept), tuple(name for name in parts if name in taken))


def _rebuilt(parts: Mapping[str, int], reason: str) -> SegmentPlan:
    return SegmentPlan((), tuple(parts), reason)
