"""Packing the documents of an output anew, in the order of the inputs, with rows on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby, tee
from operator import itemgetter

from longbert.core.compaction import HeldDocument, Placed, documents_of, place
from longbert.core.planning import Block, Found, Size, begins_stretch, found_in
from longbert.core.units import DOCUMENT_OVERHEAD_BYTES, Part, Unit, pack, part_name
from longbert.engine.spool import Spool
from longbert.store.sorting import ExternalSort

_ByName = tuple[bytes, bool, Found | HeldDocument]
_Sized = tuple[int, HeldDocument]


@dataclass(slots=True)
class Compaction:
    """The parts of a compacted output, and the units that make those not there yet.

    Attributes:
        parts: names, in order.
        units: in the order of the parts.
        n_documents: documents in the inputs, errors included.
        n_held: those whose rows the output has.
        n_parts_before: of the output.
    """

    parts: Spool[str] = field(default_factory=Spool)
    units: Spool[Unit] = field(default_factory=Spool)
    n_documents: int = 0
    n_held: int = 0
    n_parts_before: int = 0


def plan_compaction(
    blocks: Iterable[Block], *, unit_bytes: int, earlier: Iterable[Part]
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
    plan = Compaction()
    scanned: Spool[Block] = Spool()
    with ExternalSort[Placed]() as placed, ExternalSort[HeldDocument]() as left:
        with ExternalSort[_ByName]() as by_name:
            for part in earlier:
                plan.n_parts_before += 1
                for key, held in documents_of(part):
                    by_name.add((key, True, held))
            for block in blocks:
                scanned.add(block)
                for key, found in found_in(block):
                    by_name.add((key, False, found))
            for one in _place_all(by_name):
                if isinstance(one, HeldDocument):
                    left.add(one)
                else:
                    placed.add(one)
                    plan.n_documents += 1
                    plan.n_held += one.held is not None
        stretches = _stretches(scanned, placed.rows(), left.rows(), unit_bytes=unit_bytes)
        for packed in _packed(stretches, unit_bytes=unit_bytes):
            documents = tuple(one.document for one in packed)
            fingerprint = packed[0].fingerprint
            name = part_name(len(plan.parts), documents, fingerprint)
            plan.parts.add(name)
            sources = dict.fromkeys(one.part for one in packed)
            # A part of this name has these rows.
            if name not in sources:
                plan.units.add(Unit(Part(name, documents, fingerprint), copy_from=tuple(sources)))
    scanned.close()
    return plan


def _place_all(by_name: ExternalSort[_ByName]) -> Iterator[Placed | HeldDocument]:
    for _, rows in groupby(by_name.rows(), key=itemgetter(0)):
        found: list[Found] = []
        held: list[HeldDocument] = []
        for _, _, row in rows:
            if isinstance(row, Found):
                found.append(row)
            else:
                held.append(row)
        yield from place(found, held)


def _stretches(
    scanned: Iterable[Block],
    placed: Iterator[Placed],
    left: Iterable[HeldDocument],
    *,
    unit_bytes: int,
) -> Iterator[tuple[int, _Sized]]:
    """Documents with their bytes, each with the number of its stretch.

    Args:
        scanned: all blocks, in order.
        placed: a row for each of their documents, in the same order.
        left: documents that the inputs no longer have.
        unit_bytes: see :func:`plan_compaction`.
    """
    sized, sizes = tee(_sized_blocks(scanned, placed))
    begins = begins_stretch((size for size, _ in sizes), unit_bytes=unit_bytes)
    number = 0
    for number, (_, documents) in zip(accumulate(begins), sized, strict=False):
        yield from ((number, one) for one in documents)
    yield from ((number, (0, one)) for one in left)


def _sized_blocks(
    scanned: Iterable[Block], placed: Iterator[Placed]
) -> Iterator[tuple[Size, list[_Sized]]]:
    """The size of each block, as planning has it, and its documents that have rows."""
    for block in scanned:
        weight = 0
        documents: list[_Sized] = []
        for ref in block.refs:
            one = next(placed)
            n_bytes = 0 if one.is_duplicate else ref.n_bytes
            weight += n_bytes + DOCUMENT_OVERHEAD_BYTES
            if one.held is not None:
                documents.append((n_bytes, one.held))
        yield Size(block.place, len(block.refs), weight), documents


def _packed(
    stretches: Iterable[tuple[int, _Sized]], *, unit_bytes: int
) -> Iterator[list[HeldDocument]]:
    """The documents of each part."""

    def kind(item: tuple[int, _Sized]) -> tuple[int, str]:
        number, (_, held) = item
        return number, held.fingerprint

    for _, same in groupby(stretches, key=kind):
        yield from pack((sized for _, sized in same), unit_bytes)
