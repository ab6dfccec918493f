"""Finding the rows of the documents of the inputs, to pack them anew as a fresh run would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from longbert.core.planning import BlockPlace, Found, identities, name_key
from longbert.core.units import Part, PlannedDocument


class HeldDocument(NamedTuple):
    """A document of the output.

    Attributes:
        ordinal, part: of the part that holds its rows.
        position: in that.
        fingerprint: digest of the row fingerprint that its rows were made with.
    """

    ordinal: int
    part: str
    position: int
    fingerprint: str
    document: PlannedDocument


class Placed(NamedTuple):
    """A document of the inputs.

    Attributes:
        block, position: where it is in the order of the inputs.
        is_duplicate: whether an earlier one has its id.
        held: its rows; None if the output has none.
    """

    block: BlockPlace
    position: int
    is_duplicate: bool
    held: HeldDocument | None


def documents_of(part: Part) -> Iterator[tuple[bytes, HeldDocument]]:
    """The documents of a part, each with the digest of its name."""
    for position, one in enumerate(part.documents):
        yield (
            name_key(one.name),
            HeldDocument(part.ordinal, part.name, position, part.fingerprint, one),
        )


def place(found: Iterable[Found], held: Iterable[HeldDocument]) -> Iterator[Placed | HeldDocument]:
    """Find the rows of all documents that go by one name.

    Args:
        found: in the inputs.
        held: in the output.

    Yields:
        A row for each that was found, then what is held beside these.
    """
    by_identity = {one.document.identity: one for one in held}
    left = dict(by_identity)
    for one, identity, taken_by in identities(found):
        yield Placed(one.block, one.position, bool(taken_by), by_identity.get(identity))
        left.pop(identity, None)
    yield from left.values()
