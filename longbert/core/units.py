"""Planning units of work, on a fresh output and on one that is there already.

A unit is a fixed set of documents, and its output is a part: one file in every table, under one
name. The plan depends on the documents, the settings and the earlier output alone, never on
workers or time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from longbert.records import ErrorRow, Stub

_DOCUMENT_OVERHEAD_BYTES = 512
_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class PlannedDocument:
    """A document as receipts remember it.

    Attributes:
        identity: digest of all that decides on its rows but the run fingerprint.
        document_id: None if it could not be learnt.
        source: as in the tables.
        failed: whether planning has shown that it cannot be done.
    """

    identity: str
    document_id: str | None
    source: str
    failed: bool

    @classmethod
    def from_stub(cls, stub: Stub) -> PlannedDocument:
        """What a receipt keeps of a stub."""
        error = None if stub.error is None else stub.error.error
        parts = [stub.document_id, stub.source, stub.digest, error]
        return cls(_digest(parts)[:32], stub.document_id, stub.source, error is not None)


@dataclass(frozen=True, slots=True)
class Part:
    """A unit's committed output: its name, and whose rows it holds."""

    name: str
    documents: tuple[PlannedDocument, ...]

    @property
    def ordinal(self) -> int:
        """Place among the parts."""
        return int(self.name.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Unit:
    """A part to make: either from documents, or by copying rows of an earlier part.

    Attributes:
        part: what it makes.
        stubs: documents to encode; empty when rows are copied.
        copy_from: the part that holds the rows; None when documents are encoded.
    """

    part: Part
    stubs: tuple[Stub, ...] = ()
    copy_from: str | None = None

    @property
    def n_bytes(self) -> int:
        """Input bytes to encode."""
        return sum(stub.n_bytes for stub in self.stubs)


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of the output and the units that make those not there yet.

    Attributes:
        parts: names, in order.
        units: in the order of the parts; parts of the earlier output that stay have none.
        n_documents: documents in the inputs, errors included.
        n_unchanged: those whose rows are there already.
        n_removed: documents of the earlier output that are gone or have changed.
    """

    parts: tuple[str, ...]
    units: tuple[Unit, ...]
    n_documents: int
    n_unchanged: int
    n_removed: int


def plan_units(
    stubs: Iterable[Stub], *, unit_bytes: int, fingerprint: str, earlier: Sequence[Part] = ()
) -> Plan:
    """Pack documents into units of about ``unit_bytes``, in the order of the inputs.

    Against an earlier output only documents that it lacks are packed. A part that lost documents
    is made again from its own rows; a part that lost none stays as it is.

    Args:
        stubs: in any order; of those with one id the first in the order of the inputs stays and
            the others become errors.
        unit_bytes: a document larger than that is a unit alone.
        fingerprint: of the run; it is part of the names.
        earlier: parts of the output that is there, in order.
    """
    documents = [(stub, PlannedDocument.from_stub(stub)) for stub in _refuse_duplicates(stubs)]
    wanted = {planned.identity for _, planned in documents}
    known = {planned.identity for part in earlier for planned in part.documents}
    parts: list[str] = []
    units: list[Unit] = []
    n_removed = 0
    for part in earlier:
        kept = tuple(planned for planned in part.documents if planned.identity in wanted)
        n_removed += len(part.documents) - len(kept)
        if not kept:
            continue
        if len(kept) < len(part.documents):
            copy = Part(part_name(part.ordinal, kept, fingerprint), kept)
            units.append(Unit(copy, copy_from=part.name))
            parts.append(copy.name)
        else:
            parts.append(part.name)
    new = [pair for pair in documents if pair[1].identity not in known]
    first = 1 + max((part.ordinal for part in earlier), default=-1)
    for ordinal, packed in enumerate(_pack(new, unit_bytes), start=first):
        planned = tuple(document for _, document in packed)
        part = Part(part_name(ordinal, planned, fingerprint), planned)
        units.append(Unit(part, stubs=tuple(stub for stub, _ in packed)))
        parts.append(part.name)
    return Plan(
        parts=tuple(parts),
        units=tuple(units),
        n_documents=len(documents),
        n_unchanged=len(documents) - len(new),
        n_removed=n_removed,
    )


def part_name(ordinal: int, documents: Sequence[PlannedDocument], fingerprint: str) -> str:
    """The name of a part: its place, and a digest of its documents and the run fingerprint."""
    digest = _digest([fingerprint, [document.identity for document in documents]])
    return f"{ordinal:06d}-{digest[:_DIGEST_LENGTH]}"


def _refuse_duplicates(stubs: Iterable[Stub]) -> list[Stub]:
    first: dict[str, Stub] = {}
    checked = []
    for stub in sorted(stubs, key=lambda stub: stub.order):
        if stub.error is None and stub.document_id is not None:
            earlier = first.setdefault(stub.document_id, stub)
            if earlier is not stub:
                error = ErrorRow(
                    source=stub.source,
                    document_id=stub.document_id,
                    stage="plan",
                    error="duplicate_id",
                    message=f"this id is already taken by {earlier.source}, which stays: "
                    "give each document an id of its own",
                )
                stub = replace(stub, error=error)
        checked.append(stub)
    return checked


def _pack(
    documents: Sequence[tuple[Stub, PlannedDocument]], unit_bytes: int
) -> list[list[tuple[Stub, PlannedDocument]]]:
    packed: list[list[tuple[Stub, PlannedDocument]]] = []
    filled = 0
    for stub, planned in documents:
        weight = stub.n_bytes + _DOCUMENT_OVERHEAD_BYTES
        if not packed or filled + weight > unit_bytes:
            packed.append([])
            filled = 0
        packed[-1].append((stub, planned))
        filled += weight
    return packed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
