"""Plans of segments: everything once, few segments, work that follows the change."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from longbert.core.segments import DEAD_AT_MOST, plan_segments

SIZES = st.integers(1, 50)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.lists(SIZES, max_size=4), st.data()), max_size=30))
def test_segments_hold_every_part_once_whatever_is_added_and_removed(steps) -> None:
    parts: dict[str, int] = {}
    segments: list[dict[str, int]] = []
    number = n_written = n_added = 0
    for sizes, data in steps:
        gone = data.draw(st.sets(st.sampled_from(sorted(parts)), max_size=2)) if parts else set()
        parts = {name: n for name, n in parts.items() if name not in gone}
        for size in sizes:
            parts[f"{number:06}"] = size
            number += 1
            n_added += size
        plan = plan_segments(parts, segments)
        segments = [segments[place] for place in plan.kept]
        if plan.built:
            segments.append({name: parts[name] for name in plan.built})
            n_written += sum(segments[-1].values())
        live = [name for one in segments for name in one if name in parts]
        assert sorted(live) == sorted(parts)
        assert all(one[name] == parts[name] for one in segments for name in one if name in parts)
        assert list(plan.built) == [name for name in parts if name in plan.built]
        n_stored = sum(sum(one.values()) for one in segments)
        n_dead = n_stored - sum(parts.values())
        assert n_dead <= DEAD_AT_MOST * n_stored
        assert len(segments) <= 1 + math.log2(max(n_stored, 1))
    assert n_written <= 10 * n_added * (1 + math.log2(max(n_added, 1)))


def test_a_small_addition_leaves_the_large_segment_alone() -> None:
    plan = plan_segments({"a": 1000, "b": 10}, [{"a": 1000}])
    assert (plan.kept, plan.built, plan.reason) == ((0,), ("b",), "")


def test_small_segments_are_put_together_with_what_is_new() -> None:
    plan = plan_segments(
        {"a": 1000, "b": 100, "c": 10, "d": 9}, [{"a": 1000}, {"b": 100}, {"c": 10}]
    )
    assert (plan.kept, plan.built) == ((0, 1), ("c", "d"))


def test_nothing_new_builds_nothing() -> None:
    plan = plan_segments({"a": 90}, [{"a": 90, "gone": 10}])
    assert (plan.kept, plan.built, plan.reason) == ((0,), (), "")


def test_more_than_a_fifth_of_former_rows_builds_everything_again() -> None:
    plan = plan_segments({"a": 79, "b": 1}, [{"a": 79, "gone": 20}])
    assert (plan.kept, plan.built) == ((), ("a", "b"))
    assert plan.reason == "20 of 99 vectors belonged to former rows"


def test_growth_by_more_than_a_half_builds_everything_again() -> None:
    assert not plan_segments({"a": 100, "b": 49}, [{"a": 100}]).reason
    assert "grown" in plan_segments({"a": 100, "b": 50}, [{"a": 100}]).reason
