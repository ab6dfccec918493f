"""Kinds of input: one record and one module each, and the versions that decide on what is read."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.listing import list_inputs
from support.reading import FILES, SETTINGS, documents, errors, items, scanned, write_lines

from longbert.core.units import PlannedDocument
from longbert.errors import FingerprintError, InputError
from longbert.readers import kinds
from longbert.readers.kinds import Extract, Kind, kind_named, kind_of
from longbert.records import Document

MEMO = Kind(
    name="memo",
    suffixes=(".memo",),
    reader="memo_reader",
    holds_records=False,
    version=3,
    libraries=("lxml",),
    extra="memo",
)


@pytest.fixture
def memo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A new kind of input: its module, and its record."""
    module = ModuleType("memo_reader")
    module.extract = lambda data, *, encoding: Extract(data.decode()[::-1], {"title": "M"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "memo_reader", module)
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, MEMO))
    return module


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions of libraries to pretend."""
    pretended: dict[str, str | None] = {}
    genuine = kinds.library_version
    monkeypatch.setattr(kinds, "library_version", lambda name: pretended.get(name, genuine(name)))
    return pretended


def test_a_new_kind_is_listed_planned_and_read(tmp_path: Path, memo: ModuleType) -> None:
    (tmp_path / "a.memo").write_bytes(b"cba")
    (tmp_path / "b.txt").write_bytes(b"b")
    listing = list_inputs(FILES, [str(tmp_path)])
    assert [(file.document_id, file.kind) for file in listing.files] == [
        ("a.memo", "memo"),
        ("b.txt", "text"),
    ]
    (ref,) = scanned(tmp_path / "a.memo")
    assert ref.reader.startswith("memo 3, lxml ")
    assert documents([ref]) == [Document("a.memo", "abc", str(tmp_path / "a.memo"), {"title": "M"})]
    (tmp_path / "b.txt").unlink()
    (tmp_path / "a.memo").rename(tmp_path / "a.mem")
    with pytest.raises(InputError, match=r"longbert reads .* \.parquet \.memo,"):
        list_inputs(FILES, [str(tmp_path)])


def test_a_library_that_is_missing_costs_the_files_of_its_kind(
    tmp_path: Path, memo: ModuleType, versions: dict[str, str | None]
) -> None:
    (tmp_path / "a.memo").write_bytes(b"cba")
    versions["lxml"] = None
    (without,) = scanned(tmp_path / "a.memo")
    assert without.error is not None
    assert without.error.error == "no_reader"
    assert "needs lxml: pip install 'longbert[memo]', or" in without.error.message
    assert items([without]) == [without.error]
    del versions["lxml"]
    (ref,) = scanned(tmp_path / "a.memo")
    assert errors([ref]) == [None]
    assert ref.digest == without.digest
    assert PlannedDocument.from_ref(ref).identity != PlannedDocument.from_ref(without).identity


def test_a_new_version_of_a_library_reads_its_kind_again_and_nothing_else(
    tmp_path: Path, versions: dict[str, str | None]
) -> None:
    (tmp_path / "ascii.txt").write_bytes(b"a")
    (tmp_path / "utf8.md").write_bytes("\ufeffé".encode())
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "cut.txt").write_bytes("caé".encode()[:-1])
    (tmp_path / "wide.rst").write_bytes("a".encode("utf-16"))
    (tmp_path / "page.html").write_bytes(b"<p>a")
    (tmp_path / "latin.html").write_bytes(b"<p>\xe9")
    write_lines(tmp_path / "rows.jsonl", '{"id": "a", "text": "one"}')

    def identities() -> dict[str, str]:
        files = list_inputs(FILES, [str(tmp_path)]).files
        refs = [ref for file in files for ref in scanned(Path(file.path))]
        return {ref.file.document_id: PlannedDocument.from_ref(ref).identity for ref in refs}

    def changed() -> set[str]:
        now = identities()
        return {name for name, identity in before.items() if now[name] != identity}

    before = identities()
    assert changed() == set()
    versions["lxml"] = "99"
    assert changed() == {"page.html", "latin.html"}
    versions.clear()
    versions["chardet"] = "99"
    assert changed() == {"latin.txt", "cut.txt", "wide.rst", "latin.html"}
    versions.clear()
    versions["pyarrow"] = "99"
    assert changed() == set()


@pytest.mark.parametrize("name", ["text", "html", "jsonl", "parquet"])
def test_our_own_version_is_part_of_the_fingerprint(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    before = kinds.reader_versions()
    assert before[name].startswith(f"{name} {kind_named(name).version}")
    newer = tuple(
        replace(kind, version=kind.version + 1) if kind.name == name else kind
        for kind in kinds.KINDS
    )
    monkeypatch.setattr(kinds, "KINDS", newer)
    after = kinds.reader_versions()
    assert {one for one in before if before[one] != after[one]} == {name}


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.html", "<p>a"), ("a.txt", "a"), ("a.jsonl", '{"id": "a", "text": "one"}')],
)
def test_a_machine_with_other_readers_than_the_plan_refuses(
    tmp_path: Path, name: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text(content)
    refs = scanned(tmp_path / name)
    monkeypatch.setattr(
        Kind, "fingerprint", lambda kind, is_utf8=True: f"{kind.name} of another machine"
    )
    with pytest.raises(FingerprintError, match=f"{name} was planned with the reader .* same versi"):
        items(refs)


def test_suffixes_and_names_are_unique() -> None:
    suffixes = [suffix for kind in kinds.KINDS for suffix in kind.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() for suffix in suffixes)
    assert len({kind.name for kind in kinds.KINDS}) == len(kinds.KINDS)


@pytest.mark.parametrize(
    ("path", "name", "suffix"),
    [
        ("a/b.TXT", "text", ".txt"),
        ("a/b.Jsonl.GZ", "jsonl", ".jsonl.gz"),
        ("b.txt.gz", None, ".txt.gz"),
        ("a.txt/b", None, ""),
        (".txt", None, ""),
        ("x.gz", None, ".gz"),
    ],
)
def test_kinds_go_by_the_suffix(path: str, name: str | None, suffix: str) -> None:
    kind, found = kind_of(path)
    assert (kind and kind.name, found) == (name, suffix)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(KeyError, match=r"'pdf'; there are \['text', 'html'"):
        kind_named("pdf")


def test_every_reader_offers_what_its_kind_needs() -> None:
    for kind in kinds.KINDS:
        if kind.holds_records:
            assert callable(kind.record_reader().rows)
            assert callable(kind.record_reader().open_rows)
        else:
            assert callable(kind.document_reader().extract)
    assert SETTINGS.id_field == "id"
