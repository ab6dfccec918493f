"""Planning units of work, on a fresh output and on one that is there already.

A unit is a fixed set of documents, and its output is a part: one file in every table, under one
name. The plan depends on the documents, the settings and the earlier output alone, never on
workers or time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from longbert.records import DocumentRef, ErrorRow

Packed = TypeVar("Packed")

_DOCUMENT_OVERHEAD_BYTES = 512
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
        error = None if ref.error is None else [ref.error.error, ref.error.message]
        parts = [ref.document_id, source, ref.digest, ref.reader, error]
        return cls(_digest(parts)[:32], ref.document_id, source, error is not None)


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
        return int(self.name.partition("-")[0])


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
    refs: Iterable[DocumentRef],
    *,
    unit_bytes: int,
    fingerprint: str,
    earlier: Sequence[Part] = (),
    outdated: Collection[str] = (),
) -> Plan:
    """Pack documents into units of about ``unit_bytes``, in the order of the inputs.

    Against an earlier output only documents that it lacks are packed. A part that lost documents
    is made again from its own rows; a part that lost none stays as it is.

    Args:
        refs: in any order; of those with one id the first in the order of the inputs stays and
            the others become errors.
        unit_bytes: a document larger than that is a unit alone.
        fingerprint: digest of the row fingerprint of the run; it enters the names of new parts.
        earlier: parts of the output that is there, in order.
        outdated: names of those among them that lack what is derived from their rows.
    """
    documents = [(ref, PlannedDocument.from_ref(ref)) for ref in _refuse_duplicates(refs)]
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
            # Its rows are still those of the fingerprint that they were made with.
            name = part_name(part.ordinal, kept, part.fingerprint)
            copy = Part(name, kept, part.fingerprint)
            units.append(Unit(copy, copy_from=(part.name,)))
            parts.append(copy.name)
        else:
            if part.name in outdated:
                units.append(Unit(part, copy_from=(part.name,)))
            parts.append(part.name)
    new = [pair for pair in documents if pair[1].identity not in known]
    first = 1 + max((part.ordinal for part in earlier), default=-1)
    sized = [(ref.n_bytes, (ref, planned)) for ref, planned in new]
    for ordinal, packed in enumerate(_pack(sized, unit_bytes), start=first):
        planned = tuple(document for _, document in packed)
        part = Part(part_name(ordinal, planned, fingerprint), planned, fingerprint)
        units.append(Unit(part, refs=tuple(ref for ref, _ in packed)))
        parts.append(part.name)
    return Plan(
        parts=tuple(parts),
        units=tuple(units),
        n_documents=len(documents),
        n_unchanged=len(documents) - len(new),
        n_removed=n_removed,
    )


def plan_compaction(
    refs: Iterable[DocumentRef], *, unit_bytes: int, earlier: Sequence[Part]
) -> Plan:
    """Pack the documents of an output anew, in the order of the inputs, as a fresh run would.

    Rows keep the fingerprint that they were made with, and a part has rows of one fingerprint. So
    where all rows have the same, the parts are those of a fresh run; else a part ends where the
    fingerprint changes.

    Args:
        refs: of the documents as the inputs have them now, in any order.
        unit_bytes: as in :func:`plan_units`.
        earlier: the parts of the output, in order. Documents that the inputs no longer have come
            last.

    Returns:
        Documents of the inputs that the output lacks are counted, but in no part.
    """
    held = {one.identity: (part, one) for part in earlier for one in part.documents}
    found = {
        PlannedDocument.from_ref(ref).identity: ref.n_bytes for ref in _refuse_duplicates(refs)
    }
    sizes = {identity: n_bytes for identity, n_bytes in found.items() if identity in held}
    ordered = [*sizes, *(identity for identity in held if identity not in sizes)]
    names: list[str] = []
    units: list[Unit] = []
    there = {part.name for part in earlier}
    for fingerprint, same in groupby(ordered, key=lambda one: held[one][0].fingerprint):
        for packed in _pack([(sizes.get(one, 0), one) for one in same], unit_bytes):
            documents = tuple(held[one][1] for one in packed)
            part = Part(part_name(len(names), documents, fingerprint), documents, fingerprint)
            names.append(part.name)
            if part.name not in there:
                sources = dict.fromkeys(held[one][0].name for one in packed)
                units.append(Unit(part, copy_from=tuple(sources)))
    return Plan(
        parts=tuple(names),
        units=tuple(units),
        n_documents=len(found),
        n_unchanged=len(sizes),
        n_removed=len(ordered) - len(sizes),
    )


def part_name(ordinal: int, documents: Sequence[PlannedDocument], fingerprint: str) -> str:
    """The name of a part: its place, and a digest of its documents and the row fingerprint."""
    digest = _digest([fingerprint, [document.identity for document in documents]])
    return f"{ordinal:06d}-{digest[:_DIGEST_LENGTH]}"


def _refuse_duplicates(refs: Iterable[DocumentRef]) -> list[DocumentRef]:
    first: dict[str, DocumentRef] = {}
    checked = []
    for ref in sorted(refs, key=lambda ref: ref.order):
        if ref.error is None and ref.document_id is not None:
            earlier = first.setdefault(ref.document_id, ref)
            if earlier is not ref:
                error = ErrorRow(
                    source=ref.place,
                    document_id=ref.document_id,
                    stage="plan",
                    error="duplicate_id",
                    message=f"this id is already taken by {earlier.place}, which stays: "
                    "give each document an id of its own",
                )
                ref = replace(ref, error=error)
        checked.append(ref)
    return checked


def _pack(sized: Iterable[tuple[int, Packed]], unit_bytes: int) -> list[list[Packed]]:
    """Cut documents, each with its bytes, into runs of about ``unit_bytes``."""
    packed: list[list[Packed]] = []
    filled = 0
    for n_bytes, document in sized:
        weight = n_bytes + _DOCUMENT_OVERHEAD_BYTES
        if not packed or filled + weight > unit_bytes:
            packed.append([])
            filled = 0
        packed[-1].append(document)
        filled += weight
    return packed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
