"""Planning a run in pieces, of which none sees all documents.

Each function here is a step: what it is given is a block of documents, a part of the earlier
output, or all that goes by one name. Between steps rows are grouped, on disk or by a runner. The
plan depends on the documents, the settings and the earlier output alone, never on workers, runner
or time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from longbert.core.units import (
    DOCUMENT_OVERHEAD_BYTES,
    Part,
    PlannedDocument,
    Unit,
    duplicate_of,
    identity_of,
    pack,
    part_name,
)
from longbert.records import DocumentRef, InputFile

BLOCK_DOCUMENTS = 4096
"""Documents of a block at most."""

STRETCH_UNITS = 32
STRETCH_DOCUMENTS = 1 << 16
"""A stretch ends after the block with which it has as much to encode."""

_KEY_BYTES = 16

_GROUP_FILES = 1024
_GROUP_BYTES = 64 << 20

BlockPlace = tuple[int, int]
"""The first file of a group of files, and the number of the block in it; blocks are so ordered."""


def file_groups(files: Iterable[InputFile]) -> Iterator[tuple[InputFile, ...]]:
    """Neighbouring files that are scanned together; a large one is alone.

    Args:
        files: in the order of the inputs.
    """
    group: list[InputFile] = []
    n_bytes = 0
    for file in files:
        if group and (len(group) == _GROUP_FILES or n_bytes + file.n_bytes > _GROUP_BYTES):
            yield tuple(group)
            group = []
            n_bytes = 0
        group.append(file)
        n_bytes += file.n_bytes
    if group:
        yield tuple(group)


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring documents.

    Attributes:
        place: among the blocks.
        refs: in the order of the inputs.
    """

    place: BlockPlace
    refs: tuple[DocumentRef, ...]


def blocks(first_file: int, refs: Iterable[DocumentRef]) -> Iterator[Block]:
    """Cut the documents of a group of files into blocks.

    Args:
        first_file: order of the first file.
        refs: in the order of the inputs.
    """
    left = iter(refs)
    number = 0
    while of_block := tuple(islice(left, BLOCK_DOCUMENTS)):
        yield Block((first_file, number), of_block)
        number += 1


class Found(NamedTuple):
    """What a document shows to others of its name.

    Attributes:
        block, position: where it is in the order of the inputs.
        takes_id: whether it is the document of an id, unless an earlier one has it.
        where: see :attr:`longbert.records.DocumentRef.place`.
        digest, reader: of a ref.
        identity: see :class:`longbert.core.units.PlannedDocument`.
    """

    block: BlockPlace
    position: int
    name: str
    takes_id: bool
    where: str
    digest: str
    reader: str
    identity: str


class Held(NamedTuple):
    """What a document of the earlier output shows to others of its name.

    Attributes:
        ordinal, part: of the part that holds its rows.
        position: in that.
        again: whether it is to be encoded although it is unchanged.
    """

    ordinal: int
    part: str
    position: int
    name: str
    identity: str
    again: bool


class Settled(NamedTuple):
    """What becomes of a document of the inputs; none of these: it is new.

    Attributes:
        is_known: whether its rows are there already.
        taken_by: where the document is that has its id; empty if it is not a duplicate.
    """

    block: BlockPlace
    position: int
    is_known: bool
    taken_by: str


class Dropped(NamedTuple):
    """A document of the earlier output whose rows do not stay."""

    ordinal: int
    part: str
    position: int


class Gone(NamedTuple):
    """A document of the earlier output that the inputs no longer have."""

    ordinal: int
    position: int
    name: str


@dataclass(frozen=True, slots=True)
class NewDocuments:
    """What a block has to encode, and what was found of its documents.

    Attributes:
        place: of the block.
        refs: documents to encode, in order; duplicates are errors.
        n_documents: of the block.
    """

    place: BlockPlace
    refs: tuple[DocumentRef, ...]
    n_documents: int

    @property
    def size(self) -> Size:
        """What decides where stretches begin."""
        n_bytes = sum(ref.n_bytes for ref in self.refs)
        n_new = len(self.refs)
        return Size(self.place, n_new, n_bytes + n_new * DOCUMENT_OVERHEAD_BYTES)


class Size(NamedTuple):
    """How much a block has to encode.

    Attributes:
        weight: bytes, with the overhead of every document.
    """

    place: BlockPlace
    n_documents: int
    weight: int


def found_in(block: Block) -> Iterator[tuple[bytes, Found]]:
    """What the documents of a block show, each with the digest of its name."""
    for position, ref in enumerate(block.refs):
        planned = PlannedDocument.from_ref(ref)
        yield (
            name_key(planned.name),
            Found(
                block=block.place,
                position=position,
                name=planned.name,
                takes_id=ref.error is None and ref.document_id is not None,
                where=ref.place,
                digest=ref.digest,
                reader=ref.reader,
                identity=planned.identity,
            ),
        )


def held_by(part: Part, again: Collection[str]) -> Iterator[tuple[bytes, Held]]:
    """What the documents of a part show, each with the digest of its name.

    Args:
        part: of the earlier output.
        again: identities of documents to encode although they are unchanged.
    """
    for position, one in enumerate(part.documents):
        held = Held(
            part.ordinal, part.name, position, one.name, one.identity, one.identity in again
        )
        yield name_key(one.name), held


def settle(
    found: Iterable[Found], held: Iterable[Held], *, keep_missing: bool
) -> Iterator[Settled | Dropped | Gone]:
    """Decide about all that goes by one name.

    Of documents with one id the first in the order of the inputs stays, and the others become
    errors. Of two parts that hold the same document, as one and its copy do where no manifest says
    which of them counts, the first keeps it.

    Args:
        found: in the inputs.
        held: by the earlier output.
        keep_missing: whether documents that the inputs no longer have keep their rows.
    """
    held = sorted(held)
    again = {one.identity for one in held if one.again}
    known = {one.identity for one in held} - again
    wanted: set[str] = set()
    for one, identity, taken_by in identities(found):
        wanted.add(identity)
        if taken_by or identity in known:
            yield Settled(one.block, one.position, identity in known, taken_by)
    kept: set[str] = set()
    for earlier in held:
        if not wanted:
            yield Gone(earlier.ordinal, earlier.position, earlier.name)
        stays = earlier.identity in wanted - again if wanted else keep_missing
        if stays and earlier.identity not in kept:
            kept.add(earlier.identity)
        else:
            yield Dropped(earlier.ordinal, earlier.part, earlier.position)


def identities(found: Iterable[Found]) -> Iterator[tuple[Found, str, str]]:
    """Documents of one name in the order of the inputs, with what they turn out to be.

    Yields:
        The document; its identity, which is that of an error if it is a duplicate; and where the
        one is that has its id, else an empty string.
    """
    first: Found | None = None
    for one in sorted(found):
        identity, taken_by = one.identity, ""
        if one.takes_id and first is not None:
            taken_by = first.where
            error = duplicate_of(taken_by, document_id=one.name, where=one.where)
            identity = identity_of(one.name, one.where, one.digest, one.reader, error)
        elif one.takes_id:
            first = one
        yield one, identity, taken_by


def gather_block(block: Block, settled: Iterable[Settled]) -> NewDocuments:
    """The documents of a block that have to be encoded.

    Args:
        block: as scanned.
        settled: what becomes of its documents, in any order.
    """
    by_position = {one.position: one for one in settled}
    refs = []
    for position, ref in enumerate(block.refs):
        one = by_position.get(position)
        if one is None:
            refs.append(ref)
        elif not one.is_known:
            error = duplicate_of(one.taken_by, document_id=ref.document_id or "", where=ref.place)
            refs.append(replace(ref, error=error))
    return NewDocuments(block.place, tuple(refs), len(block.refs))


def begins_stretch(sizes: Iterable[Size], *, unit_bytes: int) -> Iterator[bool]:
    """Whether a stretch begins with each of some blocks.

    Args:
        sizes: of all blocks that have something to encode, in order.
        unit_bytes: as in :func:`pack_stretch`.
    """
    n_documents = weight = 0
    is_full = True
    for size in sizes:
        yield is_full
        if is_full:
            n_documents = weight = 0
        n_documents += size.n_documents
        weight += size.weight
        is_full = n_documents >= STRETCH_DOCUMENTS or weight >= STRETCH_UNITS * unit_bytes


def pack_stretch(
    refs: Iterable[DocumentRef], *, unit_bytes: int, fingerprint: str, first: int = 0
) -> Iterator[Unit]:
    """Pack documents into units of about ``unit_bytes``, in the order of the inputs.

    Args:
        refs: of a stretch, in order.
        unit_bytes: a document larger than that is a unit alone.
        fingerprint: digest of the row fingerprint of the run; it enters the names of parts.
        first: ordinal of the first unit.
    """
    sized = ((ref.n_bytes, ref) for ref in refs)
    for ordinal, packed in enumerate(pack(sized, unit_bytes), start=first):
        planned = tuple(map(PlannedDocument.from_ref, packed))
        part = Part(part_name(ordinal, planned, fingerprint), planned, fingerprint)
        yield Unit(part, refs=tuple(packed))


def copy_of_part(part: Part, dropped: Collection[int]) -> Unit | None:
    """What is left of a part of the earlier output that loses documents; None if nothing is.

    Args:
        part: as it is.
        dropped: positions of the documents that it loses.
    """
    kept = tuple(one for place, one in enumerate(part.documents) if place not in dropped)
    if not kept:
        return None
    # Its rows are still those of the fingerprint that they were made with.
    name = part_name(part.ordinal, kept, part.fingerprint)
    return Unit(Part(name, kept, part.fingerprint), copy_from=(part.name,))


def name_key(name: str) -> bytes:
    """By what all that goes by one name is brought together."""
    return blake2b(name.encode(errors="surrogatepass"), digest_size=_KEY_BYTES).digest()
