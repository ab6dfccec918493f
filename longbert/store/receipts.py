"""Records about parts: what a part is made of, and where a manifest lists it."""

from __future__ import annotations

from longbert.core.units import Part, PlannedDocument
from longbert.store.layout import LEXICAL, lexical_file, part_file
from longbert.store.record import Record


class FileEntry(Record, frozen=True, kw_only=True):
    """A committed file."""

    sha256: str
    n_bytes: int
    n_rows: int


class DocumentEntry(Record, frozen=True, kw_only=True, array_like=True):
    """A document of a part; see :class:`longbert.core.units.PlannedDocument`."""

    identity: str
    document_id: str | None
    source: str
    failed: bool

    @classmethod
    def of(cls, planned: PlannedDocument) -> DocumentEntry:
        """What a receipt keeps of a document."""
        return cls(
            identity=planned.identity,
            document_id=planned.document_id,
            source=planned.source,
            failed=planned.failed,
        )


class Receipt(Record, frozen=True, kw_only=True):
    """Proof that a part is complete; written after its files.

    Attributes:
        part: its name.
        fingerprint: digest of the row fingerprint that its rows were made with.
        lexical: digest of the settings that its lexical file was made with.
        counts: sums over its documents, by name.
        files: by folder.
        documents: in order.
    """

    part: str
    fingerprint: str
    lexical: str
    counts: dict[str, int]
    files: dict[str, FileEntry]
    documents: tuple[DocumentEntry, ...]

    @property
    def planned(self) -> Part:
        """The part as it was planned."""
        documents = tuple(
            PlannedDocument(one.identity, one.document_id, one.source, one.failed)
            for one in self.documents
        )
        return Part(self.part, documents, self.fingerprint)

    def path(self, folder: str) -> str:
        """Name of its file in one of the folders of :attr:`files`."""
        return _path(self.part, folder, self.lexical)


class PartEntry(Record, frozen=True, kw_only=True):
    """A part as the manifest names it: its receipt without the documents."""

    name: str
    fingerprint: str
    lexical: str
    counts: dict[str, int]
    files: dict[str, FileEntry]

    def path(self, folder: str) -> str:
        """Name of its file in one of the folders of :attr:`files`."""
        return _path(self.name, folder, self.lexical)


class Shard(Record, frozen=True, kw_only=True):
    """Parts of an output, in order; see :mod:`longbert.store.shards`."""

    parts: tuple[PartEntry, ...]


class ShardEntry(Record, frozen=True, kw_only=True):
    """A shard as the manifest names it.

    Attributes:
        counts: sums over its parts.
        fingerprints: that its parts were made with.
    """

    file: str
    sha256: str
    n_parts: int
    counts: dict[str, int]
    fingerprints: tuple[str, ...]


def _path(part: str, folder: str, lexical: str) -> str:
    return lexical_file(part, lexical) if folder == LEXICAL else part_file(folder, part)
