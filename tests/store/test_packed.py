"""Arrays and dataclasses as bytes, and back to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest

from longbert.arrays import Array, DoubleArray, IntArray
from longbert.store.packed import pack, unpack


@dataclass(frozen=True, slots=True)
class _Inner:
    start: int
    values: DoubleArray


@dataclass(frozen=True, slots=True)
class _Outer:
    inner: tuple[_Inner, ...]
    named: Mapping[str, Array]
    places: IntArray | None = None
    is_first: bool = False


ARRAYS = [
    np.array([0.0, -0.0, 1e-320, np.inf, np.nan]),
    np.empty((0, 3), dtype=np.float32),
    np.array(7, dtype=np.int64),
    np.arange(24, dtype=np.uint16).reshape(2, 3, 4)[:, ::2].transpose(2, 0, 1),
    np.array([True, False]),
    np.zeros((2, 2), dtype=np.float16),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_an_array_comes_back_to_the_bit(array: Array) -> None:
    value = _Outer((_Inner(np.int64(3), np.array([0.1])),), {"one": array}, is_first=True)
    found = unpack(pack([value]), list[_Outer])[0]
    assert (found.inner[0].start, found.places, found.is_first) == (3, None, True)
    assert found.inner[0].values.tobytes() == value.inner[0].values.tobytes()
    own = found.named["one"]
    assert (own.dtype, own.shape, own.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert own.flags.writeable


def test_tuples_of_different_types_keep_them() -> None:
    value = [(_Inner(1, np.ones(2)), _Outer((), {}, np.arange(3)))]
    ((inner, outer),) = unpack(pack(value), list[tuple[_Inner, _Outer]])
    assert isinstance(inner, _Inner)
    assert isinstance(outer, _Outer)
    assert [field.name for field in fields(outer)][2] == "places"
    assert outer.places is not None
    assert outer.places.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"no such thing", list[_Inner]),
        (bytes(pack([_Inner(1, np.ones(2))]))[:-9], list[_Inner]),
        (bytes(pack([{"start": "one"}])), list[_Inner]),
        (bytes(pack([_Inner(1, np.ones(2))])), list[_Outer]),
    ],
)
def test_other_bytes_are_refused(data: bytes, kind: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(data, kind)


def test_what_cannot_be_packed_is_an_error() -> None:
    with pytest.raises(TypeError, match="object cannot be packed"):
        pack([object()])
