"""Ids that are there twice are found, however few are looked at together."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.errors import OutputError
from longbert.index import ids
from longbert.index.ids import refuse_clash
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder

# Few enough to clash, over the whole range.
IDS = st.integers(0, 40).map(lambda n: n * ((1 << 63) // 40 - 1))


@given(
    new=st.lists(IDS, max_size=12),
    held=st.lists(IDS, max_size=12, unique=True),
    at_once=st.integers(1, 20),
)
def test_a_clash_is_found(new: list[int], held: list[int], at_once: int) -> None:
    counts = Counter([*new, *held])
    lowest = min((one for one, n in counts.items() if n > 1), default=None)
    clashes: list[int] = []

    def note(*_: object) -> tuple[str, str]:
        clashes.append(int(_[-1]))  # type: ignore[call-overload]
        return "a", "b"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "IDS_AT_ONCE", at_once)
        patch.setattr(ids, "owners_of", note)
        arguments = (
            OutputFolder(LocalFileSystem(), "nowhere"),
            "passages",
            [],
            np.array(new, np.int64),
            [np.array(held[:5], np.int64), np.array(held[5:], np.int64)],
        )
        if lowest is None:
            refuse_clash(*arguments)
        else:
            with pytest.raises(OutputError, match="the same passage_id"):
                refuse_clash(*arguments)
    assert clashes == ([] if lowest is None else [lowest])
