"""What an index takes, estimated before it is built, and the type that fits."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.errors import ConfigError
from longbert.index.kinds import AUTO, INDEX_KINDS, TRAINED_AT_LEAST, index_kind, n_cells
from longbert.index.segment import ROWS_AT_ONCE
from longbert.index.training import sample_size

FLAT_NUMBERS_AT_MOST = 20_000_000
"""Numbers in all vectors up to which ``auto`` looks at them all: 52,000 vectors of 384, or about
8 ms a query on one core."""

AUTO_BYTES = 4_000_000_000
"""What ``auto`` stays below if no limit is given, and can."""

_AUTO = ("ivf", "ivf-sq8", "ivf-pq", "ivf-rabitq")
"""What ``auto`` picks from for larger tables, fastest and largest first. ``hnsw`` is not among
them: it takes several times as long to build."""

_SLACK = 1.5
"""Lists of cells grow by doubling, so that on average a third of their memory is not used yet."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of memory that an index takes.

    Attributes:
        build: at most, while it is built.
        search: what queries read over and over. It is mapped from the file, so that a process
            holds no copy, but search is slow where it does not fit the memory.
    """

    build: int
    search: int

    @property
    def most(self) -> int:
        """The larger of both."""
        return max(self.build, self.search)


def estimate(type: str, n_rows: int, width: int) -> MemoryEstimate:
    """What an index of some vectors takes.

    Args:
        type: key of :data:`longbert.index.kinds.INDEX_KINDS`.
        n_rows: vectors.
        width: of a vector.
    """
    kind = index_kind(type)
    ids = 8 * n_rows
    rows = n_rows * kind.row_bytes(width) + ids
    if kind.is_exact:
        return MemoryEstimate(build=ids, search=rows)
    if not kind.has_cells:
        return MemoryEstimate(build=rows, search=rows)
    centres = 4 * width * n_cells(n_rows)
    # The sample, two copies of it inside FAISS, and a block of vectors.
    training = 4 * width * (3 * sample_size(n_rows) + ROWS_AT_ONCE)
    return MemoryEstimate(build=int(_SLACK * rows) + centres + training, search=rows + centres)


def choose_type(
    wanted: str, n_rows: int, width: int, memory_bytes: int | None, *, table: str
) -> str:
    """The type for some vectors.

    Fewer than :data:`~longbert.index.kinds.TRAINED_AT_LEAST` are always ``flat``: looking at all of
    them is faster than anything else, and cells cannot be trained on them.

    Args:
        wanted: ``"auto"`` or key of :data:`longbert.index.kinds.INDEX_KINDS`.
        n_rows: vectors.
        width: of a vector.
        memory_bytes: what building and searching may take; None: no limit.
        table: for messages.

    Raises:
        ConfigError: the memory is too small, with what would fit.
    """
    if wanted != AUTO:
        index_kind(wanted)
    limit = AUTO_BYTES if memory_bytes is None else memory_bytes
    possible = _possible(wanted, n_rows, width)
    for type in possible:
        if estimate(type, n_rows, width).most <= limit:
            return type
    if memory_bytes is None:
        return possible[-1]
    known = ("flat",) if n_rows < TRAINED_AT_LEAST else tuple(INDEX_KINDS)
    takes = {type: estimate(type, n_rows, width) for type in known}
    fits = [type for type, found in takes.items() if found.most <= memory_bytes]
    smallest = min(takes, key=lambda type: takes[type].most)
    least = megabytes(takes[smallest].most)
    remedy = (
        f"try --type {' or '.join(fits)}"
        if fits
        else f"the least is {least}, with {smallest}: give more --memory"
    )
    raise ConfigError(
        f"memory leaves {megabytes(memory_bytes, up=False)} for the {n_rows:,} vectors of {width} "
        f"numbers in the table {table}, which is too little for {_named(wanted, n_rows)}: {remedy}"
        + "".join(
            f"\n  {type}: {megabytes(found.build)} to build, {megabytes(found.search)} to search"
            for type, found in takes.items()
        )
    )


def _possible(wanted: str, n_rows: int, width: int) -> tuple[str, ...]:
    """Types to choose from, the most wanted first."""
    if n_rows < TRAINED_AT_LEAST:
        return ("flat",)
    if wanted != AUTO:
        return (wanted,)
    return ("flat", *_AUTO) if n_rows * width <= FLAT_NUMBERS_AT_MOST else _AUTO


def _named(wanted: str, n_rows: int) -> str:
    """What was to be built, for people: a type may be that of the run before."""
    if n_rows < TRAINED_AT_LEAST:
        return f"type flat, which all indexes of fewer than {TRAINED_AT_LEAST:,} vectors have"
    if wanted == AUTO:
        return "all types that auto picks from"
    return f"type {wanted}, asked for now or by an earlier run"


def megabytes(n_bytes: int, *, up: bool = True) -> str:
    """A size for people, such as ``412MB``, rounded up or down."""
    unit, size = "GB", 10**9
    if n_bytes < 10**10:
        unit, size = ("MB", 10**6) if n_bytes >= 10**6 else ("kB", 10**3)
    return f"{-(-n_bytes // size) if up else n_bytes // size:,}{unit}"
