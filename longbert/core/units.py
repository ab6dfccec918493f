"""Units of work, and the parts of an output that they make.

A unit is a fixed set of documents, and its output is a part: one file in every table, under one
name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from longbert.records import DocumentRef, ErrorRow

Packed = TypeVar("Packed")

DOCUMENT_OVERHEAD_BYTES = 512
"""Weight of a document in a unit beside its bytes."""

_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class PlannedDocument:
    """A document as receipts remember it.

    Attributes:
        identity: digest of all that decides on its rows but the row fingerprint: id, source,
            content and the versions of its reader. A document with the same identity as before is
            unchanged. A line number is part of it only where it is part of the rows: in the id and
            the source of a record without an id of its own, and in an error that names a place.
        document_id: None if it could not be learnt.
        source: as in the tables.
        failed: whether planning has shown that it cannot be done.
    """

    identity: str
    document_id: str | None
    source: str
    failed: bool

    @classmethod
    def from_ref(cls, ref: DocumentRef) -> PlannedDocument:
        """What a receipt keeps of a ref."""
        source = ref.source if ref.error is None else ref.error.source
        identity = identity_of(ref.document_id, source, ref.digest, ref.reader, ref.error)
        return cls(identity, ref.document_id, source, ref.error is not None)

    @property
    def name(self) -> str:
        """What stays the same while the document changes."""
        return self.document_id or self.source


@dataclass(frozen=True, slots=True)
class Part:
    """A unit's committed output.

    Attributes:
        name: see :func:`part_name`.
        documents: whose rows it holds.
        fingerprint: digest of the row fingerprint that they were made with.
    """

    name: str
    documents: tuple[PlannedDocument, ...]
    fingerprint: str

    @property
    def ordinal(self) -> int:
        """Place among the parts."""
        return ordinal_of(self.name)


@dataclass(frozen=True, slots=True)
class Unit:
    """A part to make: either from documents, or by copying rows of earlier parts.

    Attributes:
        part: what it makes.
        refs: documents to encode; empty when rows are copied.
        copy_from: the parts that hold the rows, which may be itself, when only what is derived
            from them is made; none when documents are encoded.
    """

    part: Part
    refs: tuple[DocumentRef, ...] = ()
    copy_from: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Input bytes to encode."""
        return sum(ref.n_bytes for ref in self.refs)

    @property
    def keeps_rows(self) -> bool:
        """Whether its part is there, and only lacks what is derived from its rows."""
        return self.copy_from == (self.part.name,)


def ordinal_of(part: str) -> int:
    """The place that a part's name begins with."""
    return int(part.partition("-")[0])


def place_of(part: str) -> tuple[int, str]:
    """By what the names of parts are in order."""
    return ordinal_of(part), part


def part_name(ordinal: int, documents: Sequence[PlannedDocument], fingerprint: str) -> str:
    """The name of a part: its place, and a digest of its documents and the row fingerprint."""
    digest = _digest([fingerprint, [document.identity for document in documents]])
    return f"{ordinal:06d}-{digest[:_DIGEST_LENGTH]}"


def numbered(unit: Unit, first: int) -> Unit:
    """A unit whose place is counted from another one on."""
    part = unit.part
    digest = part.name.partition("-")[2]
    return replace(unit, part=replace(part, name=f"{first + part.ordinal:06d}-{digest}"))


def duplicate_of(first: str, *, document_id: str, where: str) -> ErrorRow:
    """The error of a document whose id another one has.

    Args:
        first: where that one is.
        document_id: of both.
        where: this one is.
    """
    return ErrorRow(
        source=where,
        document_id=document_id,
        stage="plan",
        error="duplicate_id",
        message=f"this id is already taken by {first}, which stays: "
        "give each document an id of its own",
    )


def identity_of(
    document_id: str | None, source: str, digest: str, reader: str, error: ErrorRow | None
) -> str:
    """See :class:`PlannedDocument`."""
    told = None if error is None else [error.error, error.message]
    return _digest([document_id, source, digest, reader, told])[:32]


def pack(sized: Iterable[tuple[int, Packed]], unit_bytes: int) -> Iterator[list[Packed]]:
    """Cut documents, each with its bytes, into runs of about ``unit_bytes``."""
    packed: list[Packed] = []
    filled = 0
    for n_bytes, document in sized:
        weight = n_bytes + DOCUMENT_OVERHEAD_BYTES
        if packed and filled + weight > unit_bytes:
            yield packed
            packed = []
            filled = 0
        packed.append(document)
        filled += weight
    if packed:
        yield packed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
