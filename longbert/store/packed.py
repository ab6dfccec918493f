"""Dataclasses of arrays as bytes, which hold no code that reading would run."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

_COMPRESSION = "zstd"


def pack(value: object) -> memoryview:
    """Make bytes of lists, dataclasses, mappings, numbers, text and arrays."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, _COMPRESSION) as stream:
        stream.write(_ENCODER.encode(value))
    return memoryview(sink.getvalue())


def unpack(data: bytes, kind: Any) -> Any:
    """What :func:`pack` was given, to the bit; arrays can be written to.

    Args:
        data: as made by it.
        kind: the type of the value.

    Raises:
        ValueError: the bytes are of something else.
    """
    try:
        with pa.input_stream(pa.BufferReader(data), compression=_COMPRESSION) as stream:
            return msgspec.msgpack.Decoder(kind, dec_hook=_array).decode(stream.read())
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(str(error)) from error


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, value.tobytes()]
    raise TypeError(f"{type(value).__name__} cannot be packed")


def _array(kind: Any, value: Any) -> Any:
    dtype, shape, data = value
    return np.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
