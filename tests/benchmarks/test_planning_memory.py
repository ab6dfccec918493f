"""The corpus that planning is measured with: it is whole, and the same each time it is read."""

from __future__ import annotations

import pytest
from planning_memory import plan


@pytest.mark.parametrize("kind", ["lines", "files"])
def test_every_document_of_the_corpus_is_planned_once(kind: str) -> None:
    planned = plan(3000, kind)
    ids = [one.document_id for unit in planned.units for one in unit.refs]
    assert len({*ids}) == len(ids) == planned.counts.documents == 3000
    assert ids == sorted(map(str, ids))


def test_an_output_of_the_same_corpus_holds_all_but_what_changed() -> None:
    planned = plan(3000, "again")
    counts = planned.counts
    assert (counts.documents, counts.unchanged, counts.removed) == (3000, 2970, 30)
    assert counts.missing == 0
    assert [len(unit.refs) for unit in planned.units if not unit.copy_from] == [30]
    assert counts.copied == 3
