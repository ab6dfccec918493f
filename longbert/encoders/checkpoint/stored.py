"""Weights as a checkpoint's files hold them, compared without being loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LENGTH_BYTES = 8
_LONGEST_HEADER_BYTES = 100_000_000
_FORMER_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
"""Of checkpoints that were converted from the first TensorFlow models."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Where a tensor lies.

    Attributes:
        kind: number type and shape, as written.
        start, stop: bytes of the file, half-open.
    """

    file: Path
    kind: str
    start: int
    stop: int


def stored_digest(folder: Path, names: Iterable[str]) -> str | None:
    """SHA-256 of some weights as the safetensors files of a folder hold them.

    Equal digests mean equal weights; different ones may do, where numbers are of different types.

    Args:
        folder: of a checkpoint.
        names: in a checkpoint of the encoder alone; a prefix in the files does not matter.

    Returns:
        None where a weight is not there, or a file cannot be read.
    """
    try:
        tensors = {
            name: tensor
            for file in sorted(folder.glob("*.safetensors"))
            for name, tensor in _tensors(file).items()
        }
        digest = hashlib.sha256()
        for name in sorted(names):
            tensor = _find(tensors, name)
            digest.update(f"{name} {tensor.kind}\n".encode())
            with open(tensor.file, "rb") as file:
                file.seek(tensor.start)
                digest.update(file.read(tensor.stop - tensor.start))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return digest.hexdigest()


def _tensors(path: Path) -> dict[str, _Tensor]:
    """The tensors of a file, by name; raises ValueError or KeyError if it is damaged."""
    with open(path, "rb") as file:
        n_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if n_bytes > _LONGEST_HEADER_BYTES:
            raise ValueError(f"{path} has a header of {n_bytes} bytes")
        header = json.loads(file.read(n_bytes))
    first = _LENGTH_BYTES + n_bytes
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            start, stop = about["data_offsets"]
            kind = f"{about['dtype']} {about['shape']}"
            tensors[name] = _Tensor(path, kind, first + start, first + stop)
    return tensors


def _find(tensors: dict[str, _Tensor], name: str) -> _Tensor:
    """The tensor of a name, which may have a prefix or its former ending in the files."""
    names = [name]
    names += [name.replace(now, former) for now, former in _FORMER_NAMES.items() if now in name]
    fitting = [
        stored for stored in tensors for one in names if stored == one or stored.endswith(f".{one}")
    ]
    return tensors[min(fitting, key=len)] if fitting else tensors[name]
