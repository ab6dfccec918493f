"""Plans of units, fresh and incremental, against a model that keeps track of rows.

A plan in pieces is that of all documents at once; see ``support.plans``.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import (
    LINES,
    UNREADABLE,
    Output,
    Plan,
    plan_here,
    plan_plainly,
    ref,
    refs_of,
)

from longbert.core import planning
from longbert.core.units import PlannedDocument, Unit
from longbert.engine.planner import plan_pieces
from longbert.records import DocumentRef
from longbert.store import sorting

OVERHEAD_BYTES = 512


def rows_of(unit: Unit) -> list[str]:
    return [one.place for one in unit.refs]


@given(st.lists(st.integers(0, 4_000), max_size=30), st.integers(1, 6_000))
def test_units_are_packed_in_order_and_as_full_as_they_may_be(
    sizes: list[int], unit_bytes: int
) -> None:
    refs = [ref(row, n_bytes=size) for row, size in enumerate(sizes)]

    plan = plan_here(refs, unit_bytes=unit_bytes, fingerprint="f")

    assert [row for unit in plan.units for row in rows_of(unit)] == [one.place for one in refs]
    assert [unit.part.name for unit in plan.units] == list(plan.parts)
    assert [unit.part.ordinal for unit in plan.units] == list(range(len(plan.units)))
    weights = [[one.n_bytes + OVERHEAD_BYTES for one in unit.refs] for unit in plan.units]
    assert all(len(weight) == 1 or sum(weight) <= unit_bytes for weight in weights)
    assert all(sum(one) + following[0] > unit_bytes for one, following in pairwise(weights))
    assert [unit.n_bytes for unit in plan.units] == [
        sum(one.n_bytes for one in unit.refs) for unit in plan.units
    ]
    assert (plan.n_documents, plan.n_unchanged, plan.n_removed) == (len(sizes), 0, 0)


def test_a_unit_may_be_filled_to_the_last_byte() -> None:
    refs = [ref(row, n_bytes=100) for row in range(4)]
    for spare_bytes, sizes in ((0, [2, 2]), (-1, [1, 1, 1, 1])):
        plan = plan_here(refs, unit_bytes=2 * (100 + OVERHEAD_BYTES) + spare_bytes, fingerprint="f")
        assert [len(unit.refs) for unit in plan.units] == sizes


def test_the_first_document_with_an_id_stays() -> None:
    plan = plan_here(
        [ref(0, "a"), ref(1, "a"), ref(2, "b"), ref(3, error=UNREADABLE), ref(4, "a")],
        unit_bytes=10**6,
        fingerprint="f",
    )

    (unit,) = plan.units
    errors = [one.error for one in unit.refs]
    assert [error and error.error for error in errors] == [
        *(None, "duplicate_id", None, "not_json", "duplicate_id")
    ]
    assert [document.failed for document in unit.part.documents] == [
        error is not None for error in errors
    ]
    first = errors[1]
    assert first is not None
    assert (first.source, first.document_id, first.stage) == ("rows.jsonl#2", "a", "plan")
    assert "already taken by rows.jsonl#1, which stays" in first.message


def test_an_unreadable_document_takes_no_id() -> None:
    unreadable = ref(0, error=UNREADABLE)
    plan = plan_here([unreadable, ref(1, "a")], unit_bytes=10**6, fingerprint="f")
    assert [one.error for one in plan.units[0].refs] == [UNREADABLE, None]


def test_names_tell_fingerprints_and_documents_apart() -> None:
    names = {
        plan_here([one], unit_bytes=10**6, fingerprint=fingerprint).parts[0]
        for fingerprint in ("f", "g")
        for one in (
            ref(0),
            ref(1),
            ref(0, digest="other"),
            ref(0, document_id="other"),
            ref(0, error=UNREADABLE),
        )
    }
    assert len(names) == 10


def test_names_never_change() -> None:
    assert plan_here([ref(0)], unit_bytes=1, fingerprint="f").parts == ("000000-6323673db2ea",)


def test_no_documents_have_no_units() -> None:
    assert plan_here([], unit_bytes=1, fingerprint="f") == Plan()


@given(st.lists(LINES, min_size=2, max_size=5), st.sampled_from([1, 3_000, 5_000]))
def test_incremental_outputs_hold_the_rows_of_fresh_ones(
    history: list[dict[int, tuple[str, int]]], unit_bytes: int
) -> None:
    output = Output()
    for lines in history:
        before = output.identities
        fresh = plan_here(refs_of(lines), unit_bytes=unit_bytes, fingerprint="f")
        plan = plan_here(
            refs_of(lines), unit_bytes=unit_bytes, fingerprint="f", earlier=output.parts
        )

        encoded = output.apply(plan)

        wanted = [document.identity for unit in fresh.units for document in unit.part.documents]
        assert sorted(output.identities) == sorted(wanted)
        assert encoded == [identity for identity in wanted if identity not in before]
        assert plan.n_documents == len(wanted)
        assert plan.n_unchanged == len(set(wanted) & set(before))
        assert plan.n_removed == len(set(before) - set(wanted))
        ordinals = [part.ordinal for part in output.parts]
        assert ordinals == sorted(set(ordinals))

        again = plan_here(
            refs_of(lines), unit_bytes=unit_bytes, fingerprint="f", earlier=output.parts
        )
        assert again.units == ()
        assert again.parts == plan.parts


def test_rows_that_are_copied_keep_the_fingerprint_that_they_were_made_with() -> None:
    documents = refs_of({row: (f"d{row}", 0) for row in range(3)})
    (first,) = plan_here(documents[:2], unit_bytes=10**6, fingerprint="old").units

    plan = plan_here(documents[1:], unit_bytes=10**6, fingerprint="new", earlier=[first.part])

    assert [unit.part.fingerprint for unit in plan.units] == ["old", "new"]
    assert [unit.copy_from for unit in plan.units] == [(first.part.name,), ()]


def test_a_part_that_lost_nothing_stays_as_it_is() -> None:
    def documents(*versions: int) -> Sequence[DocumentRef]:
        return refs_of({row: (f"d{row}", version) for row, version in enumerate(versions)})

    first = plan_here(documents(0, 0, 0, 0), unit_bytes=2_500, fingerprint="f")
    output = Output()
    output.apply(first)
    assert [len(part.documents) for part in output.parts] == [2, 2]

    second = plan_here(
        documents(0, 0, 0, 1, 0), unit_bytes=2_500, fingerprint="f", earlier=output.parts
    )

    assert second.parts[0] == first.parts[0]
    copied, encoded = second.units
    assert copied.copy_from == (first.parts[1],)
    assert [document.document_id for document in copied.part.documents] == ["d2"]
    assert [one.document_id for one in encoded.refs] == ["d3", "d4"]
    assert [part.partition("-")[0] for part in second.parts] == ["000000", "000001", "000002"]
    assert (second.n_documents, second.n_unchanged, second.n_removed) == (5, 3, 1)


def test_a_part_that_lacks_what_is_derived_from_its_rows_gets_that_alone() -> None:
    documents = refs_of({row: (f"d{row}", 0) for row in range(4)})
    first = plan_here(documents, unit_bytes=2_500, fingerprint="f")
    earlier = [unit.part for unit in first.units]
    assert len(earlier) == 2
    names = [part.name for part in earlier]

    planned = plan_here(
        documents, unit_bytes=2_500, fingerprint="g", earlier=earlier, outdated=names[1:]
    )

    assert planned.parts == tuple(names)
    (unit,) = planned.units
    assert unit.keeps_rows
    assert unit.part == earlier[1]
    assert not unit.refs

    # One that loses a document is written anew whatever else it lacks.
    planned = plan_here(
        documents[:-1], unit_bytes=2_500, fingerprint="g", earlier=earlier, outdated=names
    )
    assert [unit.keeps_rows for unit in planned.units] == [True, False]
    assert planned.parts[0] == names[0]
    assert planned.parts[1] != names[1]


def test_a_row_with_an_id_is_known_by_id_and_content() -> None:
    def identity(one: DocumentRef) -> str:
        return PlannedDocument.from_ref(one).identity

    moved = [ref(row, "a", digest="same") for row in (0, 7)]
    assert identity(moved[0]) == identity(moved[1])
    assert (moved[1].source, moved[1].place) == ("rows.jsonl", "rows.jsonl#8")
    nameless = [ref(row, digest="same") for row in (0, 7)]
    assert identity(nameless[0]) != identity(nameless[1])
    assert nameless[1].source == "rows.jsonl#8"
    others = [
        ref(0, "b", digest="same"),
        ref(0, "a", digest="other"),
        ref(0, "a", digest="same", reader="jsonl 2"),
    ]
    assert len({identity(one) for one in (moved[0], *others)}) == 4


def test_a_row_put_in_the_middle_costs_one_row() -> None:
    def refs(*ids: str) -> list[DocumentRef]:
        return [ref(row, one, digest=one, n_bytes=600) for row, one in enumerate(ids)]

    output = Output()
    output.apply(plan_here(refs(*"abcdefgh"), unit_bytes=2_500, fingerprint="f"))
    plan = plan_here(refs(*"abcxdefgh"), unit_bytes=2_500, fingerprint="f", earlier=output.parts)
    assert [one.document_id for unit in plan.units for one in unit.refs] == ["x"]
    assert [unit.copy_from for unit in plan.units] == [()]
    assert (plan.n_unchanged, plan.n_removed) == (8, 0)


def test_an_error_that_names_a_place_is_written_anew_where_the_place_changes() -> None:
    def plan(*ids: str) -> list[PlannedDocument]:
        refs = [ref(row, one, digest=one) for row, one in enumerate(ids)]
        (unit,) = plan_here(refs, unit_bytes=10**6, fingerprint="f").units
        return list(unit.part.documents)

    before, after = plan("a", "a"), plan("x", "a", "a")
    assert before[0].identity == after[1].identity
    assert before[1].identity != after[2].identity
    assert (before[1].source, after[2].source) == ("rows.jsonl#2", "rows.jsonl#3")


def test_what_cannot_be_done_weighs_little() -> None:
    huge = ref(1, error=UNREADABLE, n_bytes=10**9)
    plan = plan_here([ref(0), huge, ref(2)], unit_bytes=3_000, fingerprint="f")
    (unit,) = plan.units
    assert unit.n_bytes == 200


@given(
    st.lists(LINES, min_size=1, max_size=4),
    st.sampled_from([1, 3_000, 5_000]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_a_plan_in_pieces_is_that_of_all_documents_at_once(
    history: list[dict[int, tuple[str, int]]],
    unit_bytes: int,
    keep_missing: bool,
    draw: random.Random,
) -> None:
    output = Output()
    for lines in history:
        held = sorted({one.identity for part in output.parts for one in part.documents})
        given_ = {
            "unit_bytes": unit_bytes,
            "fingerprint": "f",
            "earlier": output.parts,
            "again": set(draw.sample(held, len(held) // 4)),
            "keep_missing": keep_missing,
            "outdated": {part.name for part in output.parts if draw.random() < 0.3},
        }
        refs = [
            replace(one, document_id=None, error=UNREADABLE) if draw.random() < 0.1 else one
            for one in refs_of(lines)
        ]
        plan = plan_here(refs, **given_)
        assert plan == plan_plainly(refs, **given_)
        output.apply(
            plan_here(refs_of(lines), unit_bytes=unit_bytes, fingerprint="f", earlier=output.parts)
        )


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three documents, and stretches of two units; little is sorted in memory."""
    monkeypatch.setattr(planning, "BLOCK_DOCUMENTS", 3)
    monkeypatch.setattr(planning, "STRETCH_UNITS", 2)
    monkeypatch.setattr(sorting, "ROWS_IN_MEMORY", 4)


@pytest.mark.usefixtures("small_pieces")
def test_units_end_where_a_stretch_does() -> None:
    """Blocks of three documents are put together until they hold two units' worth."""
    refs = [ref(row, n_bytes=88) for row in range(14)]
    # Of 600 bytes each: three in a unit, and a stretch is full with the third block's 5,400.
    plan = plan_here(refs, unit_bytes=2_000, fingerprint="f")
    assert [len(unit.refs) for unit in plan.units] == [3, 3, 3, 3, 2]
    plan = plan_here(refs, unit_bytes=2_500, fingerprint="f")
    assert [len(unit.refs) for unit in plan.units] == [4, 4, 1, 4, 1]
    assert [unit.part.ordinal for unit in plan.units] == [0, 1, 2, 3, 4]
    assert [row for unit in plan.units for row in rows_of(unit)] == [one.place for one in refs]


@pytest.mark.usefixtures("small_pieces")
def test_a_few_changes_all_over_make_few_parts() -> None:
    def refs(*changed: int) -> list[DocumentRef]:
        return [ref(row, digest=f"{row in changed}", n_bytes=88) for row in range(30)]

    output = Output()
    output.apply(plan_here(refs(), unit_bytes=10_000, fingerprint="f"))
    plan = plan_here(refs(0, 13, 29), unit_bytes=10_000, fingerprint="f", earlier=output.parts)
    encoded = [unit for unit in plan.units if not unit.copy_from]
    assert [[one.row for one in unit.refs] for unit in encoded] == [[0, 13, 29]]


@pytest.mark.usefixtures("small_pieces")
def test_duplicates_and_changes_are_found_across_blocks() -> None:
    history = [
        {row: ("abcdefgh"[row % 8], row % 2) for row in range(20)},
        {row: ("hgfedcba"[row % 7], row % 3) for row in range(25)},
        {row: ("abcxyz"[row % 6], 1) for row in range(4, 24)},
    ]
    output = Output()
    for lines in history:
        given_ = {"unit_bytes": 10**6, "fingerprint": "f", "earlier": output.parts}
        plan = plan_here(refs_of(lines), **given_)
        assert plan == plan_plainly(refs_of(lines), **given_)
        output.apply(plan)


@pytest.mark.usefixtures("small_pieces")
def test_no_more_is_in_memory_for_more_documents() -> None:
    def most_alive(n_documents: int) -> int:
        alive = []

        def look() -> None:
            # Asking a foreign object for its class could run its code.
            kinds = (DocumentRef, planning.Found, Unit)
            alive.append(sum(type(one) in kinds for one in gc.get_objects()))

        def watched() -> Iterator[planning.Block]:
            for block in planning.blocks(0, (ref(row) for row in range(n_documents))):
                if block.place[1] % 30 == 29:
                    look()
                yield block

        planned = plan_pieces(watched(), (), {}.__getitem__, unit_bytes=1, fingerprint="f")
        for number, _ in enumerate(planned.units):
            if number % 100 == 99:
                look()
        assert number + 1 == n_documents
        return max(alive)

    few = most_alive(100)
    assert 0 < most_alive(400) <= few + 10
