"""Plans of units in memory: those of the planner, and what they have to be, worked out plainly."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from longbert.core.planning import Block, blocks
from longbert.core.units import Part, PlannedDocument, Unit, duplicate_of, pack, part_name
from longbert.engine.planner import EarlierPart, plan_pieces
from longbert.records import DocumentRef, ErrorRow, InputFile


@dataclass(frozen=True)
class Plan:
    """What a plan comes to.

    Attributes:
        missing: names of the earlier documents that are gone from the inputs.
    """

    parts: tuple[str, ...] = ()
    units: tuple[Unit, ...] = ()
    n_documents: int = 0
    n_unchanged: int = 0
    n_removed: int = 0
    n_earlier: int = 0
    missing: tuple[str, ...] = ()


UNREADABLE = ErrorRow("broken", None, "read", "not_json", "the line is not JSON")


def ref(
    row: int,
    document_id: str | None = None,
    *,
    digest: str = "",
    n_bytes: int = 100,
    reader: str = "jsonl 1",
    error: ErrorRow | None = None,
) -> DocumentRef:
    """A line of one file; without an id of its own it has its place's."""
    file = InputFile(
        *("rows.jsonl", "jsonl", False, "rows.jsonl"), order=0, n_bytes=10**6, source="rows.jsonl"
    )
    return DocumentRef(
        file=file,
        row=row,
        start=1000 * row,
        stop=1000 * row + n_bytes,
        document_id=None if error else document_id or f"d{row}",
        digest=digest or f"digest {row}",
        reader=reader,
        has_own_id=document_id is not None,
        error=error,
    )


class Output:
    """What an output folder holds after the units of a plan are done."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[PlannedDocument, ...]] = {}

    @property
    def parts(self) -> list[Part]:
        return [Part(name, documents, "f") for name, documents in self.rows.items()]

    @property
    def identities(self) -> list[str]:
        return [document.identity for part in self.parts for document in part.documents]

    def apply(self, plan: Plan) -> list[str]:
        """Make the parts of a plan; return the identities that were encoded."""
        made: dict[str, tuple[PlannedDocument, ...]] = {}
        encoded = []
        for unit in plan.units:
            name, documents = unit.part.name, unit.part.documents
            assert name not in made
            assert documents
            if not unit.copy_from:
                assert [PlannedDocument.from_ref(one) for one in unit.refs] == list(documents)
                encoded += [document.identity for document in documents]
            else:
                assert not unit.refs
                (earlier,) = unit.copy_from
                held = [document.identity for document in self.rows[earlier]]
                kept = [document.identity for document in documents]
                assert kept == [identity for identity in held if identity in kept]
                assert len(kept) < len(held)
            made[name] = documents
        assert set(made) == set(plan.parts) - set(self.rows)
        self.rows = {name: made[name] if name in made else self.rows[name] for name in plan.parts}
        return encoded


def refs_of(lines: Mapping[int, tuple[str, int]]) -> list[DocumentRef]:
    return [
        ref(row, document_id, digest=f"{document_id} {version}", n_bytes=600)
        for row, (document_id, version) in sorted(lines.items())
    ]


LINES = st.dictionaries(
    st.integers(0, 11), st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1)), max_size=12
)


def blocks_of(refs: Iterable[DocumentRef]) -> list[Block]:
    """The blocks of documents that come in order."""
    return [*blocks(0, refs)]


def plan_here(
    refs: Iterable[DocumentRef],
    *,
    unit_bytes: int,
    fingerprint: str,
    earlier: Sequence[Part] = (),
    again: Collection[str] = (),
    keep_missing: bool = False,
    outdated: Collection[str] = (),
) -> Plan:
    """The plan of this machine."""
    held = {part.name: part for part in earlier}
    planned = plan_pieces(
        blocks_of(refs),
        (EarlierPart(one, frozenset(again), one.name in outdated) for one in earlier),
        held.__getitem__,
        unit_bytes=unit_bytes,
        fingerprint=fingerprint,
        keep_missing=keep_missing,
    )
    counts = planned.counts
    plan = Plan(
        parts=tuple(planned.parts),
        units=tuple(planned.units),
        n_documents=counts.documents,
        n_unchanged=counts.unchanged,
        n_removed=counts.removed,
        n_earlier=counts.earlier,
        missing=tuple(one.name for one in counts.first_missing),
    )
    assert counts.units == len(plan.units)
    assert counts.n_bytes == sum(unit.n_bytes for unit in plan.units)
    assert counts.reindexed == sum(unit.keeps_rows for unit in plan.units)
    assert counts.copied + counts.reindexed == sum(bool(unit.copy_from) for unit in plan.units)
    return plan


def plan_plainly(
    refs: Iterable[DocumentRef],
    *,
    unit_bytes: int,
    fingerprint: str,
    earlier: Sequence[Part] = (),
    again: Collection[str] = (),
    keep_missing: bool = False,
    outdated: Collection[str] = (),
) -> Plan:
    """The same, all documents at once; they have to fit into one stretch."""
    documents = [(ref, PlannedDocument.from_ref(ref)) for ref in _with_duplicates_refused(refs)]
    wanted = {planned.identity for _, planned in documents}.difference(again)
    names = {planned.name for _, planned in documents}
    missing = [one for part in earlier for one in part.documents if one.name not in names]
    if keep_missing:
        wanted |= {planned.identity for planned in missing}
    known = {planned.identity for part in earlier for planned in part.documents}.difference(again)
    parts: list[str] = []
    units: list[Unit] = []
    n_removed = 0
    for part in earlier:
        kept = tuple(planned for planned in part.documents if planned.identity in wanted)
        n_removed += len(part.documents) - len(kept)
        if kept == part.documents:
            if part.name in outdated:
                units.append(Unit(part, copy_from=(part.name,)))
            parts.append(part.name)
        elif kept:
            copy = Part(part_name(part.ordinal, kept, part.fingerprint), kept, part.fingerprint)
            units.append(Unit(copy, copy_from=(part.name,)))
            parts.append(copy.name)
    new = [pair for pair in documents if pair[1].identity not in known]
    first = 1 + max((part.ordinal for part in earlier), default=-1)
    sized = [(ref.n_bytes, (ref, planned)) for ref, planned in new]
    for ordinal, packed in enumerate(pack(sized, unit_bytes), start=first):
        planned = tuple(document for _, document in packed)
        made = Part(part_name(ordinal, planned, fingerprint), planned, fingerprint)
        units.append(Unit(made, refs=tuple(ref for ref, _ in packed)))
        parts.append(made.name)
    return Plan(
        parts=tuple(parts),
        units=tuple(units),
        n_documents=len(documents),
        n_unchanged=len(documents) - len(new),
        n_removed=n_removed,
        n_earlier=sum(len(part.documents) for part in earlier),
        missing=tuple(planned.name for planned in missing)[:10],
    )


def _with_duplicates_refused(refs: Iterable[DocumentRef]) -> list[DocumentRef]:
    first: dict[str, DocumentRef] = {}
    checked = []
    for ref in refs:
        if ref.error is None and ref.document_id is not None:
            earlier = first.setdefault(ref.document_id, ref)
            if earlier is not ref:
                error = duplicate_of(earlier.place, document_id=ref.document_id, where=ref.place)
                ref = replace(ref, error=error)
        checked.append(ref)
    return checked
