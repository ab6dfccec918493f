"""Rows of a batch of Arrow columns as records of Python values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from longbert.errors import DocumentError
from longbert.readers.settings import ReadSettings

_MOST_CONVERTED_BYTES = 32 << 20
_BAD_VALUES = (ValueError, OverflowError, NotImplementedError)

Record = dict[str, Any]


class RecordBatch:
    """The records of a batch by their position in it.

    They are converted all at once where they are small. Else each is converted when it is asked
    for, so that a long value in a dictionary, which many rows share, is not copied for all of them.

    Args:
        batch: columns with names that differ.
        settings: with the limit of a record's size.
    """

    def __init__(self, batch: Any, settings: ReadSettings) -> None:
        self._columns = {
            name: _convertible(column)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        self._n_rows = batch.num_rows
        self._settings = settings

    def __len__(self) -> int:
        return int(self._n_rows)

    def __getitem__(self, index: int) -> Record | DocumentError:
        if self._records is not None:
            return self._records[index]
        limit = self._settings.max_record_bytes
        n_bytes = sum(_n_bytes(column.slice(index, 1)) for column in self._columns.values())
        if n_bytes > limit:
            return self._settings.too_large(
                "the row", n_bytes, "max_record_bytes", remedy="split the document"
            )
        return self._record(index)

    @cached_property
    def _records(self) -> Sequence[Record | DocumentError] | None:
        n_bytes = sum(map(_n_bytes, self._columns.values()))
        if n_bytes > min(_MOST_CONVERTED_BYTES, self._settings.max_record_bytes):
            return None
        columns = [_decoded(column) for column in self._columns.values()]
        try:
            values = zip(*(column.to_pylist() for column in columns), strict=True)
            return [dict(zip(self._columns, row, strict=True)) for row in values]
        except _BAD_VALUES:
            return [self._record(index) for index in range(len(self))]

    def _record(self, index: int) -> Record | DocumentError:
        try:
            return {name: column[index].as_py() for name, column in self._columns.items()}
        except _BAD_VALUES as error:
            return DocumentError(
                "plan",
                "bad_row",
                f"the row holds a value that cannot be read ({type(error).__name__}): "
                "write the table again with valid UTF-8 and values in range",
            )


def _convertible(column: Any) -> Any:
    """A column whose Python values are what people would write.

    Nanoseconds as text, since Python's times end at microseconds; 0.1 in single precision as 0.1
    and not as the double next to it, which has 17 digits.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.string())
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return column.cast(pa.string()).cast(pa.float64())
    return column


def _n_bytes(column: Any) -> int:
    """Size of a column's values, each counted as often as it stands."""
    if not _is_dictionary(column):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(pc.sum(lengths).as_py() or 0)


def _decoded(column: Any) -> Any:
    return column.dictionary_decode() if _is_dictionary(column) else column


def _is_dictionary(column: Any) -> bool:
    if not pa.types.is_dictionary(column.type):
        return False
    values = column.type.value_type
    return bool(
        pa.types.is_string(values)
        or pa.types.is_large_string(values)
        or pa.types.is_binary(values)
        or pa.types.is_large_binary(values)
    )
