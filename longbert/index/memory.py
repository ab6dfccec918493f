"""What an index takes, estimated before it is built, and the types that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from longbert.errors import ConfigError
from longbert.index.kinds import AUTO, INDEX_KINDS, TRAINED_AT_LEAST, index_kind, n_cells
from longbert.index.segment import ROWS_AT_ONCE
from longbert.index.training import sample_size
from longbert.store.fingerprints import IndexSettings
from longbert.store.parquet import BATCH_ROWS, ROW_GROUP_ROWS

FLAT_NUMBERS_AT_MOST = 20_000_000
"""Numbers in all vectors up to which ``auto`` looks at them all: 52,000 vectors of 384, or about
8 ms a query on one core."""

AUTO_BYTES = 4_000_000_000
"""What ``auto`` stays below if no limit is given, and can."""

_AUTO = ("ivf", "ivf-sq8", "ivf-pq", "ivf-rabitq")
"""What ``auto`` picks from for larger tables, fastest and largest first. ``hnsw`` is not among
them: it takes several times as long to build."""

_GROUPS_READ, _BATCHES_READ = 1, 5
"""What reading vectors holds at most: a row group, and a batch as it is read, checked, scaled and
written."""

_LIBRARIES = 80_000_000
"""What the code and the buffers of FAISS and Arrow take of a process's own memory: 50 to 80 MB."""

_SLACK = 1.5
"""Lists of cells grow by doubling, so that on average a third of their memory is not used yet."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of memory that an index takes.

    Attributes:
        build: at most, while the tables are read and it is built, libraries included.
        search: what queries read over and over. It is mapped from the file, so that a process
            holds no copy, but search is slow where it does not fit the memory.
    """

    build: int
    search: int

    @property
    def most(self) -> int:
        """The larger of both."""
        return max(self.build, self.search)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The vectors of an output: of how many documents and passages, and how wide they are."""

    documents: int
    passages: int
    width: int


@dataclass(frozen=True, slots=True)
class Types:
    """Types of index, of the vectors of documents and of passages."""

    documents: str
    passages: str

    def estimate(self, sizes: Sizes) -> MemoryEstimate:
        """What both take: that of documents is built first, and stays."""
        documents = estimate(self.documents, sizes.documents, sizes.width)
        passages = estimate(self.passages, sizes.passages, sizes.width)
        return MemoryEstimate(
            build=max(documents.build, documents.search + passages.build),
            search=documents.search + passages.search,
        )


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
    group, batch = min(n_rows, ROW_GROUP_ROWS), min(n_rows, BATCH_ROWS)
    reading = _LIBRARIES + 4 * width * (_GROUPS_READ * group + _BATCHES_READ * batch)
    if kind.is_exact:
        return MemoryEstimate(build=reading + ids, search=rows)
    if not kind.has_cells:
        return MemoryEstimate(build=reading + rows, search=rows)
    centres = 4 * width * n_cells(n_rows)
    # The sample, two copies of it inside FAISS, and a block of vectors.
    training = 4 * width * (3 * sample_size(n_rows) + ROWS_AT_ONCE)
    built = int(_SLACK * rows) + centres + training
    return MemoryEstimate(build=reading + built, search=rows + centres)


def choose_types(settings: IndexSettings, sizes: Sizes) -> Types:
    """The types for the vectors of an output.

    Fewer than :data:`~longbert.index.kinds.TRAINED_AT_LEAST` are always ``flat``: looking at all of
    them is faster than anything else, and cells cannot be trained on them.

    Args:
        settings: the type, and what building and searching may take.
        sizes: of the vectors.

    Raises:
        ConfigError: the memory is too small, with what would do.
    """
    limit = settings.memory_bytes
    if limit is None:
        return Types(
            *(
                _within(_possible(settings.type, n_rows, sizes.width), n_rows, sizes.width)
                for n_rows in (sizes.documents, sizes.passages)
            )
        )
    for types in _pairs(settings.type, sizes):
        if types.estimate(sizes).most <= limit:
            return types
    raise _too_little(settings.type, sizes, limit)


def check_least(settings: IndexSettings, n_documents: int, width: int) -> None:
    """Refuse what cannot fit, however few passages there will be.

    Args:
        settings: the type, and what building and searching may take.
        n_documents: that will be there.
        width: of a vector.

    Raises:
        ConfigError: the memory is too small, with what one passage a document takes.
    """
    try:
        choose_types(settings, Sizes(n_documents, n_documents, width))
    except ConfigError as error:
        raise ConfigError(
            f"{error}\nThat is with one passage a document, and there will be more; nothing has "
            "been encoded yet"
        ) from None


def _within(possible: tuple[str, ...], n_rows: int, width: int) -> str:
    """The first type that stays below what nobody has to ask for, else the smallest."""
    fits = (type for type in possible if estimate(type, n_rows, width).most <= AUTO_BYTES)
    return next(fits, possible[-1])


def _pairs(wanted: str, sizes: Sizes) -> Iterator[Types]:
    """Types to choose from, the most wanted first; those of passages matter more."""
    of_passages = _possible(wanted, sizes.passages, sizes.width)
    of_documents = _possible(wanted, sizes.documents, sizes.width)
    for passages, documents in product(of_passages, of_documents):
        yield Types(documents, passages)


def _possible(wanted: str, n_rows: int, width: int) -> tuple[str, ...]:
    """Types of one table to choose from, the most wanted first."""
    if wanted != AUTO:
        index_kind(wanted)
    if n_rows < TRAINED_AT_LEAST:
        return ("flat",)
    if wanted != AUTO:
        return (wanted,)
    return ("flat", *_AUTO) if n_rows * width <= FLAT_NUMBERS_AT_MOST else _AUTO


def _too_little(wanted: str, sizes: Sizes, limit: int) -> ConfigError:
    known = ("flat",) if sizes.passages < TRAINED_AT_LEAST else tuple(INDEX_KINDS)
    takes = {type: _smallest(type, sizes) for type in known}
    least = _smallest(wanted, sizes).most
    remedy = f"give at least --memory {_option(least)}"
    if fits := [type for type, found in takes.items() if found.most <= limit]:
        remedy += f", or try --type {' or '.join(fits)}"
    else:
        best = min(takes, key=lambda type: takes[type].most)
        if takes[best].most < least:
            remedy += f", or --type {best} --memory {_option(takes[best].most)}"
    return ConfigError(
        f"memory is {megabytes(limit, up=False)}, and for {sizes.passages:,} passages and "
        f"{sizes.documents:,} documents, with vectors of {sizes.width} numbers, "
        f"{_named(wanted, sizes)} takes {megabytes(least)}: {remedy}"
        + "".join(
            f"\n  {type}: {megabytes(found.build)} to build, {megabytes(found.search)} to search"
            for type, found in takes.items()
        )
    )


def _smallest(wanted: str, sizes: Sizes) -> MemoryEstimate:
    """The least that an index takes, of the types that there are to choose from."""
    return min(
        (types.estimate(sizes) for types in _pairs(wanted, sizes)), key=lambda found: found.most
    )


def _named(wanted: str, sizes: Sizes) -> str:
    """What was to be built, for people: a type may be that of the run before."""
    if sizes.passages < TRAINED_AT_LEAST:
        return f"type flat, which all of fewer than {TRAINED_AT_LEAST:,} vectors have,"
    if wanted == AUTO:
        return "the smallest type that auto picks from"
    return f"type {wanted}, asked for now or by an earlier run,"


def _option(n_bytes: int) -> str:
    """A size as ``--memory`` takes it."""
    return megabytes(n_bytes).replace(",", "")


def megabytes(n_bytes: int, *, up: bool = True) -> str:
    """A size for people, such as ``412MB``, rounded up or down."""
    unit, size = "GB", 10**9
    if n_bytes < 10**10:
        unit, size = ("MB", 10**6) if n_bytes >= 10**6 else ("kB", 10**3)
    if n_bytes < 10**3:
        return f"{n_bytes} bytes" if n_bytes != 1 else "1 byte"
    return f"{-(-n_bytes // size) if up else n_bytes // size:,}{unit}"
