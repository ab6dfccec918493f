"""Packing the documents of an output anew, in the order of the inputs, as a fresh run would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from longbert.core.planning import Block, NewDocuments, begins_stretch
from longbert.core.units import Part, PlannedDocument, Unit, duplicate_of, pack, part_name
from longbert.records import DocumentRef


@dataclass(frozen=True, slots=True)
class Compaction:
    """The parts of a compacted output and the units that make those not there yet.

    Attributes:
        parts: names, in order.
        units: in the order of the parts.
        n_documents: documents in the inputs, errors included.
        n_held: those whose rows the output has.
    """

    parts: tuple[str, ...]
    units: tuple[Unit, ...]
    n_documents: int
    n_held: int


def plan_compaction(
    blocks: Iterable[Block], *, unit_bytes: int, earlier: Sequence[Part]
) -> Compaction:
    """Pack the documents of an output anew, in the order of the inputs, as a fresh run would.

    Rows keep the fingerprint that they were made with, and a part has rows of one fingerprint. So
    where all rows have the same, the parts are those of a fresh run; else a part ends where the
    fingerprint changes.

    Args:
        blocks: of the documents as the inputs have them now, in order.
        unit_bytes: as in :func:`longbert.core.planning.pack_stretch`.
        earlier: the parts of the output, in order. Documents that the inputs no longer have come
            last.

    Returns:
        Documents of the inputs that the output lacks are counted, but in no part.
    """
    held = {one.identity: (part, one) for part in earlier for one in part.documents}
    left = dict.fromkeys(held)
    n_documents = n_held = 0
    stretches: list[list[tuple[int, str]]] = []
    whole = [*_without_duplicates(blocks)]
    sizes = (NewDocuments(one.place, one.refs, len(one.refs)).size for one in whole)
    numbers = accumulate(begins_stretch(sizes, unit_bytes=unit_bytes))
    for number, block in zip(numbers, whole, strict=True):
        if number > len(stretches):
            stretches.append([])
        for ref in block.refs:
            identity = PlannedDocument.from_ref(ref).identity
            n_documents += 1
            if identity in held:
                n_held += 1
                stretches[-1].append((ref.n_bytes, identity))
                left.pop(identity, None)
    stretches = stretches or [[]]
    stretches[-1] += ((0, identity) for identity in left)
    names: list[str] = []
    units: list[Unit] = []
    there = {part.name for part in earlier}
    for stretch in stretches:
        for fingerprint, same in groupby(stretch, key=lambda one: held[one[1]][0].fingerprint):
            for packed in pack(same, unit_bytes):
                documents = tuple(held[one][1] for one in packed)
                part = Part(part_name(len(names), documents, fingerprint), documents, fingerprint)
                names.append(part.name)
                if part.name not in there:
                    sources = dict.fromkeys(held[one][0].name for one in packed)
                    units.append(Unit(part, copy_from=tuple(sources)))
    return Compaction(tuple(names), tuple(units), n_documents, n_held)


def _without_duplicates(blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks in which all but the first document with an id are errors."""
    first: dict[str, str] = {}
    for block in blocks:
        refs: list[DocumentRef] = []
        for ref in block.refs:
            if ref.error is None and ref.document_id is not None:
                taken_by = first.setdefault(ref.document_id, ref.place)
                if taken_by != ref.place:
                    error = duplicate_of(taken_by, document_id=ref.document_id, where=ref.place)
                    ref = replace(ref, error=error)
            refs.append(ref)
        yield Block(block.place, tuple(refs))
