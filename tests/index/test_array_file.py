"""Files of arrays: the same bytes each time, nothing copied, damage told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from longbert.index.array_file import pack, smallest, unpack

NUMBERS = st.lists(st.integers(0, 2**40), max_size=5)


@given(st.dictionaries(st.sampled_from("abcd"), NUMBERS), st.integers(0, 9))
def test_arrays_and_facts_come_back(arrays: dict[str, list[int]], fact: int) -> None:
    given_arrays = {name: smallest(np.array(values, np.int64)) for name, values in arrays.items()}

    data = pack(given_arrays, {"fact": fact})
    found, facts = unpack(memoryview(data), arrays)

    assert data == pack(given_arrays, {"fact": fact})
    assert {name: one.tolist() for name, one in found.items()} == arrays
    assert {name: one.dtype for name, one in found.items()} == {
        name: one.dtype for name, one in given_arrays.items()
    }
    assert {name: one.tolist() for name, one in load(data).items()} == arrays
    assert facts == {"fact": fact}


@pytest.mark.parametrize(
    ("highest", "kind"),
    [(0, np.uint8), (255, np.uint8), (256, np.uint16), (2**32 - 1, np.uint32), (2**32, np.uint64)],
)
def test_the_smallest_type_holds_the_values(highest: int, kind: type[np.unsignedinteger]) -> None:
    assert smallest(np.array([0, highest], np.int64)).dtype == kind
    assert smallest(np.zeros(0, np.int64)).dtype == np.uint8


def test_arrays_are_views_of_the_file() -> None:
    data = bytearray(pack({"a": np.array([1, 2], np.int64)}, {}))
    found, _ = unpack(memoryview(data), ["a"])

    data[-8:] = (7).to_bytes(8, "little")

    assert found["a"].tolist() == [1, 7]


@pytest.mark.parametrize("cut", [0, 7, 20, -1])
def test_a_short_file_is_told(cut: int) -> None:
    data = pack({"a": np.array([1, 2], np.int64)}, {})
    with pytest.raises((ValueError, KeyError)):
        unpack(data[:cut], ["a"])


def test_an_array_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="it lacks b, c"):
        unpack(pack({"a": np.zeros(1, np.int64)}, {}), ["c", "a", "b"])
