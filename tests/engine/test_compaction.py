"""Packing an output anew gives the parts of a fresh run."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import LINES, Output, blocks_of, plan_here, ref, refs_of

from longbert.core import planning
from longbert.core.units import Part, PlannedDocument, Unit
from longbert.engine import compaction
from longbert.engine.compaction import plan_compaction
from longbert.store import sorting


@given(st.lists(LINES, min_size=1, max_size=4), st.sampled_from([1, 3_000, 5_000]))
def test_compacting_gives_the_parts_of_a_fresh_run(
    history: list[dict[int, tuple[str, int]]], unit_bytes: int
) -> None:
    output = Output()
    for lines in history:
        output.apply(plan_here(refs_of(lines), unit_bytes=1, fingerprint="f", earlier=output.parts))

    plan = plan_compaction(
        blocks_of(refs_of(history[-1])), unit_bytes=unit_bytes, earlier=output.parts
    )

    fresh = plan_here(refs_of(history[-1]), unit_bytes=unit_bytes, fingerprint="f")
    assert tuple(plan.parts) == fresh.parts
    assert plan.n_documents == plan.n_held == fresh.n_documents
    made = {unit.part.name: unit for unit in plan.units}
    for unit in fresh.units:
        if unit.part.name in output.rows:
            assert unit.part.name not in made
            continue
        assert made[unit.part.name].part == unit.part
        held = {
            document.identity
            for part in made[unit.part.name].copy_from
            for document in output.rows[part]
        }
        assert {document.identity for document in unit.part.documents} <= held


def test_a_compacted_part_has_rows_of_one_fingerprint() -> None:
    documents = refs_of({row: (f"d{row}", 0) for row in range(3)})
    planned = [PlannedDocument.from_ref(one) for one in documents]
    earlier = [
        Part("000000-a", (planned[1],), "old"),
        Part("000001-b", (planned[2],), "new"),
        Part("000002-c", (planned[0],), "new"),
    ]
    plan = plan_compaction(blocks_of(documents), unit_bytes=10**6, earlier=earlier)
    assert [unit.part.fingerprint for unit in plan.units] == ["new", "old", "new"]
    assert [unit.copy_from for unit in plan.units] == [("000002-c",), ("000000-a",), ("000001-b",)]


def test_compacting_tells_of_documents_that_are_not_there_and_keeps_those_that_are_gone() -> None:
    documents = refs_of({row: (f"d{row}", 0) for row in range(3)})
    planned = [PlannedDocument.from_ref(one) for one in documents]
    earlier = [Part("000000-a", (planned[2], planned[0]), "f")]
    plan = plan_compaction(blocks_of(documents[:2]), unit_bytes=10**6, earlier=earlier)
    assert (plan.n_documents, plan.n_held) == (2, 1)
    (unit,) = plan.units
    assert unit.part.documents == (planned[0], planned[2])


def test_compacting_ends_units_where_a_fresh_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BLOCK_DOCUMENTS", 3)
    monkeypatch.setattr(planning, "STRETCH_UNITS", 2)
    refs = [ref(row, n_bytes=88) for row in range(14)]
    output = Output()
    output.apply(plan_here(refs, unit_bytes=1, fingerprint="f"))
    plan = plan_compaction(blocks_of(refs), unit_bytes=2_500, earlier=output.parts)
    assert tuple(plan.parts) == plan_here(refs, unit_bytes=2_500, fingerprint="f").parts
    assert [len(unit.part.documents) for unit in plan.units] == [4, 4, 1, 4, 1]


@pytest.mark.slow
def test_no_more_is_in_memory_for_more_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BLOCK_DOCUMENTS", 3)
    monkeypatch.setattr(planning, "STRETCH_UNITS", 2)
    monkeypatch.setattr(sorting, "ROWS_IN_MEMORY", 8)
    monkeypatch.setattr(sorting, "ROWS_OF_A_CHUNK", 2)
    monkeypatch.setattr(sorting, "RUNS_MERGED", 2)
    kinds = (PlannedDocument, compaction.HeldDocument, compaction.Placed, Unit)

    def most_alive(n_documents: int) -> int:
        alive = []

        def parts() -> Iterator[Part]:
            for row in range(n_documents):
                if row % 50 == 0:
                    # Asking a foreign object for its class could run its code.
                    alive.append(sum(type(one) in kinds for one in gc.get_objects()))
                planned = PlannedDocument.from_ref(ref(row))
                yield Part(f"{row:06d}-a", (planned,), "f")

        def found() -> Iterator[planning.Block]:
            for block in planning.blocks(0, (ref(row) for row in range(n_documents))):
                alive.append(sum(type(one) in kinds for one in gc.get_objects()))
                yield block

        plan = plan_compaction(found(), unit_bytes=3_000, earlier=parts())
        for number, _ in enumerate(plan.units):
            if number % 20 == 0:
                alive.append(sum(type(one) in kinds for one in gc.get_objects()))
        assert plan.n_held == plan.n_parts_before == n_documents
        return max(alive)

    few = most_alive(60)
    assert 0 < most_alive(240) <= few + 20
