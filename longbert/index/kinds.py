"""Types of index: how each is made and searched, and what it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from longbert.errors import ConfigError, nearest
from longbert.index.backend import load_faiss

AUTO = "auto"
"""Stands for a type that is picked by size and memory."""

TRAINED_AT_LEAST = 1_000
"""Vectors of a table from which on it is worth more than looking at all of them."""

_LINKS = 32
_EFFORT_OF_LINKING = 80
_BITS_PER_CODE = 8
_WIDTH_PER_CODE = 4
_ITERATIONS = 10
_ID_BYTES = 8
_LEVEL_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexKind:
    """A type of FAISS index.

    Attributes:
        make: an empty index of inner products, of a width and with a number of cells.
        row_bytes: what search reads of each vector, by width.
        effort: the parameter of search that trades time for recall; empty: it is exact.
        parameters: FAISS's class of parameters of a search.
        is_coded: it keeps codes in place of vectors, so vectors are kept beside it.
        on_gpu: whether FAISS can search it there.
    """

    make: Callable[[int, int], Any]
    row_bytes: Callable[[int], int]
    effort: str = ""
    parameters: str = "SearchParameters"
    is_coded: bool = False
    on_gpu: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether search returns the true nearest vectors."""
        return not self.effort

    @property
    def has_cells(self) -> bool:
        """Whether vectors lie in the lists of cells that have to be trained."""
        return self.effort == "nprobe"


def _flat(width: int, _: int) -> Any:
    return load_faiss().IndexFlatIP(width)


def _hnsw(width: int, _: int) -> Any:
    faiss = load_faiss()
    index = faiss.IndexHNSWFlat(width, _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _EFFORT_OF_LINKING
    return index


def _ivf(width: int, cells: int) -> Any:
    faiss = load_faiss()
    quantizer = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFFlat(quantizer, width, cells, faiss.METRIC_INNER_PRODUCT)
    # To find a vector by its row.
    index.set_direct_map_type(faiss.DirectMap.Array)
    return _owning(index, quantizer)


def _ivf_sq8(width: int, cells: int) -> Any:
    faiss = load_faiss()
    quantizer = faiss.IndexFlatIP(width)
    kind = faiss.ScalarQuantizer.QT_8bit
    metric = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFScalarQuantizer(quantizer, width, cells, kind, metric)
    return _owning(index, quantizer)


def _ivf_pq(width: int, cells: int) -> Any:
    faiss = load_faiss()
    quantizer = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFPQ(
        quantizer, width, cells, _codes(width), _BITS_PER_CODE, faiss.METRIC_INNER_PRODUCT
    )
    index.pq.cp.min_points_per_centroid = 1
    return _owning(index, quantizer)


def _ivf_rabitq(width: int, cells: int) -> Any:
    faiss = load_faiss()
    quantizer = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFRaBitQ(quantizer, width, cells, faiss.METRIC_INNER_PRODUCT)
    return _owning(index, quantizer)


def _owning(index: Any, quantizer: Any) -> Any:
    """Let an index own its quantizer, so that it lives as long."""
    quantizer.this.disown()
    index.own_fields = True
    # FAISS warns on standard error where few vectors train many cells, which tests do.
    index.cp.min_points_per_centroid = 1
    index.cp.niter = _ITERATIONS
    return index


def _codes(width: int) -> int:
    """Codes of a vector: one for four dimensions, or fewer where four do not divide the width."""
    return width // math.gcd(width, _WIDTH_PER_CODE)


INDEX_KINDS: dict[str, IndexKind] = {
    "flat": IndexKind(
        make=_flat,
        row_bytes=lambda width: 4 * width,
        on_gpu=True,
    ),
    "hnsw": IndexKind(
        make=_hnsw,
        # Twice the links on the ground; the levels above it hold few vectors.
        row_bytes=lambda width: 4 * width + 4 * 2 * _LINKS + _LEVEL_BYTES,
        effort="efSearch",
        parameters="SearchParametersHNSW",
    ),
    "ivf": IndexKind(
        make=_ivf,
        # With the map from rows to places.
        row_bytes=lambda width: 4 * width + 2 * _ID_BYTES,
        effort="nprobe",
        parameters="SearchParametersIVF",
        on_gpu=True,
    ),
    "ivf-sq8": IndexKind(
        make=_ivf_sq8,
        row_bytes=lambda width: width + _ID_BYTES,
        effort="nprobe",
        parameters="SearchParametersIVF",
        is_coded=True,
        on_gpu=True,
    ),
    "ivf-pq": IndexKind(
        make=_ivf_pq,
        row_bytes=lambda width: _codes(width) + _ID_BYTES,
        effort="nprobe",
        parameters="IVFPQSearchParameters",
        is_coded=True,
    ),
    "ivf-rabitq": IndexKind(
        make=_ivf_rabitq,
        # One bit a dimension, and two factors of float32.
        row_bytes=lambda width: -(-width // 8) + 2 * 4 + _ID_BYTES,
        effort="nprobe",
        parameters="IVFRaBitQSearchParameters",
        is_coded=True,
    ),
}


def index_kind(name: str) -> IndexKind:
    """Look up a type of index.

    Raises:
        ConfigError: there is none with this name.
    """
    try:
        return INDEX_KINDS[name]
    except KeyError:
        known = (AUTO, *INDEX_KINDS)
        raise ConfigError(
            f"index type must be one of {', '.join(known)}, got {name!r}{nearest(name, known)}"
        ) from None


def n_cells(n_rows: int) -> int:
    """Cells for a number of vectors: about twice its root, as a power of two."""
    return 1 << max(0, round(math.log2(2 * math.sqrt(max(n_rows, 1)))))


def search_parameters(kind: IndexKind, effort: int, selector: Any | None) -> Any:
    """Parameters of one search; None if it has none.

    Args:
        kind: of index.
        effort: value of the parameter that :attr:`IndexKind.effort` names.
        selector: of rows; None: all.
    """
    given: dict[str, Any] = {} if selector is None else {"sel": selector}
    if kind.effort:
        given[kind.effort] = effort
    return getattr(load_faiss(), kind.parameters)(**given) if given else None
