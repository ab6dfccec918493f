"""Types of index: how each is made and searched, and what it takes."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class IndexKind:
    """A type of FAISS index.

    Attributes:
        effort: the parameter of search that trades time for recall; empty: it is exact.
        is_coded: it keeps codes in place of vectors, so vectors are kept beside it.
        on_gpu: whether FAISS can search it there.
        row_bytes: what search reads of each vector, by width.
        make: an empty index of inner products, of a width and with a number of cells.
    """

    effort: str
    is_coded: bool
    on_gpu: bool
    row_bytes: Callable[[int], int]
    make: Callable[[int, int], Any]

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
    per_code = next(n for n in range(_WIDTH_PER_CODE, 0, -1) if width % n == 0)
    return width // per_code


_ITERATIONS = 10
_ID = 8

INDEX_KINDS: dict[str, IndexKind] = {
    "flat": IndexKind("", False, True, lambda width: 4 * width, _flat),
    # The ground level of a graph has twice the links; levels above it hold one vector in 32.
    "hnsw": IndexKind(
        "efSearch", False, False, lambda width: 4 * width + 8 * _LINKS + 4 * 4, _hnsw
    ),
    # With the map from rows to places.
    "ivf": IndexKind("nprobe", False, True, lambda width: 4 * width + 2 * _ID, _ivf),
    "ivf-sq8": IndexKind("nprobe", True, True, lambda width: width + _ID, _ivf_sq8),
    "ivf-pq": IndexKind("nprobe", True, False, lambda width: _codes(width) + _ID, _ivf_pq),
    # One bit a dimension and two factors of float32.
    "ivf-rabitq": IndexKind(
        "nprobe", True, False, lambda width: -(-width // 8) + 8 + _ID, _ivf_rabitq
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
    return 1 << max(0, round(2 * n_rows**0.5).bit_length() - 1)


def search_parameters(kind: IndexKind, effort: int, selector: Any | None) -> Any:
    """Parameters of one search; None if it has none.

    Args:
        kind: of index.
        effort: value of the parameter that :attr:`IndexKind.effort` names.
        selector: of rows; None: all.
    """
    faiss = load_faiss()
    given: dict[str, Any] = {} if selector is None else {"sel": selector}
    if kind.effort == "efSearch":
        return faiss.SearchParametersHNSW(efSearch=effort, **given)
    if kind.effort == "nprobe":
        of_type = _CELL_PARAMETERS.get(kind.make, "SearchParametersIVF")
        return getattr(faiss, of_type)(nprobe=effort, **given)
    return faiss.SearchParameters(**given) if given else None


_CELL_PARAMETERS = {_ivf_pq: "IVFPQSearchParameters", _ivf_rabitq: "IVFRaBitQSearchParameters"}
