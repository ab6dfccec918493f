"""Records about an output: manifest, claim, receipts and the index's description.

All of them are JSON files, which are parsed and checked here. The same content gives the same
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from longbert.core.fingerprint import fingerprint
from longbert.core.units import Part, PlannedDocument
from longbert.errors import DamagedError, OutputError
from longbert.store.layout import LEXICAL, lexical_file, part_file

FORMAT = 4
"""Version of the layout; any other is refused."""

INDEX_VERSION = 2
"""Version of :class:`IndexDescription`; any other is refused, and rebuilt by the next run."""

RecordType = TypeVar("RecordType", bound="Record")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records that are kept as JSON."""


class HeadSettings(Record, frozen=True, kw_only=True):
    """What can change a row about a head.

    Attributes:
        name: as in the tables.
        task: key of :data:`longbert.tasks.TASKS`.
        digest: of its weights and settings.
        settings: for people to compare.
    """

    name: str
    task: str
    digest: str
    settings: dict[str, Any]


class PassSettings(Record, frozen=True, kw_only=True):
    """What can change a row about a pass over the documents.

    Attributes:
        digest: of the backbone.
        attention: its implementation.
        implementation: whose code and kernels compute the backbone.
        window: positions, special tokens included.
        overlap: content tokens; None where windows do not overlap by design.
        reads: whole documents, their two ends, or passages alone.
        prompt: text before each window.
        batch_invariant: whether a window's bits are independent of its batch.
        heads: on this backbone.
    """

    digest: str
    attention: str
    implementation: str
    window: int
    overlap: int | None
    reads: Literal["all", "ends", "passages"]
    prompt: str
    batch_invariant: bool
    heads: tuple[HeadSettings, ...]


class RowSettings(Record, frozen=True, kw_only=True):
    """Settings that can change a row.

    Attributes:
        batch_tokens: positions of a batch, where a window's bits depend on its batch; else None.
    """

    format: int
    id_field: str
    text_field: str
    window_scores: bool
    precision: str
    passage: int
    batch_tokens: int | None
    passes: tuple[PassSettings, ...]


class Environment(Record, frozen=True, kw_only=True):
    """What can change the bits of rows about the environment they were made in.

    Attributes:
        longbert: its version.
        libraries: versions by name.
        processor: the kind of processor, on which kernels depend.
    """

    longbert: str
    libraries: dict[str, str]
    processor: str


class RowFingerprint(Record, frozen=True, kw_only=True):
    """Everything that can change a row; two runs with equal digests write equal rows."""

    settings: RowSettings
    environment: Environment

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return fingerprint(to_builtins(self))


class IndexSettings(Record, frozen=True, kw_only=True):
    """What the index is built with; if it changes, the index is rebuilt from the tables.

    Attributes:
        metric: how vectors are compared.
        type: ``"auto"`` or key of :data:`longbert.index.kinds.INDEX_KINDS`.
        memory_bytes: what the index may take; None: no limit.
        recall: share of the true ten nearest that search has to find.
        faiss: version.
    """

    metric: str
    type: str
    memory_bytes: int | None
    recall: float
    faiss: str


class LexicalSettings(Record, frozen=True, kw_only=True):
    """What the lexical index is built with; if it changes, it is rebuilt from the tables.

    Attributes:
        language: in which words are stemmed; see :class:`longbert.config.RunConfig`.
        analysis: version of how texts are cut into terms.
        libraries: versions of what can change the terms of a text, by name.
    """

    language: str
    analysis: int
    libraries: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return fingerprint(to_builtins(self))


class NamedModels(Record, frozen=True, kw_only=True):
    """The models as the user named them.

    Attributes:
        embed: ``"none"`` without an embedding model.
        embed_path: the folder, if the name was that of a folder.
        embed_digest: of its backbone, which the model of a query must have.
        query_prompt: text before each query; None without an embedding model.
        heads: by task.
    """

    embed: str
    embed_path: str | None
    embed_digest: str | None
    query_prompt: str | None
    heads: dict[str, tuple[str, ...]]


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


class Claim(Record, frozen=True, kw_only=True):
    """Which configuration a folder belongs to before its first run has finished."""

    format: int
    rows: RowFingerprint


class Manifest(Record, frozen=True, kw_only=True):
    """The output as readers see it.

    Attributes:
        fingerprint: digest of ``rows``.
        rows: fingerprint of the rows that the last run made.
        environments: where the rows of all parts were made, by digest of their fingerprint; more
            than one if a run continued in another environment.
        readers: versions of what reads each kind of input.
        index_settings: None without an index.
        lexical_settings: of the lexical index.
        written_with: what changes bytes but not rows.
        counts: sums over the parts.
        shards: files that list the parts, in order.
        index: None without vectors.
        seal: digest of everything else, by which a change by hand is found.
    """

    format: int
    fingerprint: str
    rows: RowFingerprint
    environments: dict[str, Environment]
    readers: dict[str, str]
    index_settings: IndexSettings | None
    lexical_settings: LexicalSettings
    written_with: dict[str, str]
    models: NamedModels
    counts: dict[str, int]
    shards: tuple[ShardEntry, ...]
    index: IndexEntry | None
    seal: str = ""

    @property
    def is_sealed(self) -> bool:
        """Whether it is as a run wrote it."""
        return self.seal == self.sealed().seal

    def sealed(self) -> Manifest:
        """The same content with its seal."""
        content = to_builtins(self)
        del content["seal"]
        return msgspec.structs.replace(self, seal=fingerprint(content))


def to_builtins(record: Record) -> dict[str, Any]:
    """A record for JSON: dictionaries, lists and plain values."""
    content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return content


def to_json(content: Record | Mapping[str, Any]) -> bytes:
    """A record as JSON bytes: the same content gives the same bytes."""
    plain = to_builtins(content) if isinstance(content, Record) else content
    return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()


def from_json(data: bytes, kind: type[RecordType], *, path: str) -> RecordType:
    """Parse and check a record's file.

    Args:
        data: its content.
        kind: of record.
        path: for messages.

    Raises:
        DamagedError: it is not what longbert writes.
        OutputError: it is of another format.
    """
    try:
        content = msgspec.json.decode(data)
        if "format" in kind.__struct_fields__ and isinstance(content, dict):
            _check_format(content.get("format"), path)
        return msgspec.convert(content, kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedError(
            f"{path} is damaged ({error}): restore it, or remove it and run longbert again, which "
            "keeps the parts that are complete"
        ) from None


def _path(part: str, folder: str, lexical: str) -> str:
    return lexical_file(part, lexical) if folder == LEXICAL else part_file(folder, part)


def _check_format(found: object, path: str) -> None:
    if found != FORMAT:
        raise OutputError(
            f"{path} has format {found!r}, and this version of longbert reads and writes format "
            f"{FORMAT}: run into another folder, or use the version that wrote it"
        )
