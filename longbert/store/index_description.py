"""Records about an index of vectors."""

from __future__ import annotations

from collections.abc import Sequence

from longbert.store.record import Record

INDEX_VERSION = 2
"""Version of :class:`IndexDescription`; any other is refused, and rebuilt by the next run."""


class IndexEntry(Record, frozen=True, kw_only=True):
    """The file that describes an index."""

    file: str
    sha256: str


class PartRows(Record, frozen=True, kw_only=True):
    """Rows of a part in a segment of an index.

    Attributes:
        sha256: digest of its ids and vectors, independent of how they are batched.
    """

    name: str
    n_rows: int
    sha256: str


class IndexSegment(Record, frozen=True, kw_only=True):
    """A FAISS file with the vectors of some parts.

    Attributes:
        type: key of :data:`longbert.index.kinds.INDEX_KINDS`.
        memory_bytes: of what a search reads, without the vectors by which it scores candidates
            again.
        longest_vector: Euclidean length.
        spread: mean squared distance of its vectors to the centres of their cells; 0 where the
            index has none.
        parts: in the order of their rows. Those that the manifest no longer names are passed over.
    """

    file: str
    sha256: str
    n_bytes: int
    type: str
    memory_bytes: int
    longest_vector: float
    spread: float
    parts: tuple[PartRows, ...]

    @property
    def n_rows(self) -> int:
        """Vectors, those of former parts included."""
        return sum(part.n_rows for part in self.parts)


class Tuning(Record, frozen=True, kw_only=True):
    """How an approximate index is searched, and what that was measured to find.

    Attributes:
        effort: cells that are looked into (``nprobe``), or nodes kept in view (``efSearch``).
        candidates: vectors that are scored again, beyond those wanted.
        recall_at_10: share of the true ten nearest found; 1 for an exact index.
        n_queries: held-out vectors that it was measured with.
    """

    effort: int = 0
    candidates: int = 0
    recall_at_10: float = 1.0
    n_queries: int = 0


class TableIndex(Record, frozen=True, kw_only=True):
    """The index of a table's vectors.

    Attributes:
        type: key of :data:`longbert.index.kinds.INDEX_KINDS`; later segments that are small
            are flat whatever it is.
        segments: oldest first.
    """

    type: str
    tuning: Tuning
    segments: tuple[IndexSegment, ...]


class IndexDescription(Record, frozen=True, kw_only=True):
    """Properties of an index, and its files.

    Attributes:
        version: of this record; any other is refused.
    """

    version: int
    metric: str
    dimensions: int
    documents: TableIndex
    passages: TableIndex
    faiss_version: str

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files of vectors."""
        tables = (self.passages, self.documents)
        return tuple(segment.file for table in tables for segment in table.segments)

    def is_fresh(self, parts: Sequence[str]) -> bool:
        """Whether it consists of one segment a table, as if it had just been built from parts."""
        for table in (self.passages, self.documents):
            held = [part.name for part in table.segments[0].parts]
            if len(table.segments) > 1 or held != [name for name in parts if name in {*held}]:
                return False
        return True
