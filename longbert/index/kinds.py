"""Types of index: how each is made, and whether its search is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from longbert.errors import ConfigError, nearest
from longbert.index.backend import load_faiss


@dataclass(frozen=True, slots=True)
class IndexType:
    """A type of FAISS index.

    Attributes:
        exact: search returns the true nearest vectors, and reconstruction the stored ones.
        make: an empty index of inner products for a width.
    """

    exact: bool
    make: Callable[[int], Any]


def _flat(width: int) -> Any:
    return load_faiss().IndexFlatIP(width)


DEFAULT_TYPE = "flat"

INDEX_TYPES: dict[str, IndexType] = {"flat": IndexType(exact=True, make=_flat)}


def index_type(name: str) -> IndexType:
    """Look up a type of index.

    Raises:
        ConfigError: there is none with this name.
    """
    try:
        return INDEX_TYPES[name]
    except KeyError:
        raise ConfigError(
            f"index type must be one of {', '.join(INDEX_TYPES)}, "
            f"got {name!r}{nearest(name, INDEX_TYPES)}"
        ) from None
