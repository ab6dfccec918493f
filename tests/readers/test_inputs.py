"""Which files the inputs name, with which ids, in which order."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from longbert.errors import InputError
from longbert.readers.inputs import Listing, list_inputs
from longbert.readers.kinds import KINDS
from longbert.store.filesystem import FileInfo, LocalFileSystem


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "docs/b.txt",
        "docs/A.MD",
        "docs/a/z.html",
        "docs/a-b.rst",
        "docs/rows.jsonl",
        "docs/rows.JSONL.GZ",
        "docs/t.parquet",
        "docs/page.htm",
        "docs/scan.PDF",
        "docs/other.pdf",
        "docs/notes.txt.gz",
        "docs/README",
        "docs/.hidden.txt",
        "docs/.git/x.txt",
        "docs/a/.cache/x.txt",
        "docs/c.txt.tmp",
        "more/b.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text")
    return tmp_path


def ids(*inputs: str) -> list[str]:
    return [file.document_id for file in list_inputs(LocalFileSystem(), inputs).files]


def test_a_folder_is_listed_recursively_in_code_point_order(docs: Path) -> None:
    listing = list_inputs(LocalFileSystem(), ["docs"])
    assert [(file.document_id, file.kind, file.compressed) for file in listing.files] == [
        ("A.MD", "text", False),
        ("a-b.rst", "text", False),
        ("a/z.html", "html", False),
        ("b.txt", "text", False),
        ("page.htm", "html", False),
        ("rows.JSONL.GZ", "jsonl", True),
        ("rows.jsonl", "jsonl", False),
        ("t.parquet", "parquet", False),
    ]
    assert [file.order for file in listing.files] == list(range(8))
    assert {file.n_bytes for file in listing.files} == {4}
    assert {file.kind for file in listing.files} == {kind.name for kind in KINDS}
    assert listing.skipped == {"": 1, ".pdf": 2, ".txt.gz": 1}
    assert pickle.loads(pickle.dumps(listing)) == listing


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["docs/b.txt"], ["b.txt"]),
        (["docs/*.txt"], ["b.txt"]),
        (["docs/**/*.html"], ["a/z.html"]),
        (["*/b.txt"], ["docs/b.txt", "more/b.txt"]),
        (["more/"], ["b.txt"]),
        (["more//"], ["b.txt"]),
        (["more/", "docs/*.txt"], ["more/b.txt", "docs/b.txt"]),
        (["./more", "*/A.MD"], ["./more/b.txt", "docs/A.MD"]),
        (["docs/b.txt", "more"], ["docs/b.txt", "more/b.txt"]),
        (["docs/[b].txt", "docs/**/z*"], ["docs/b.txt", "docs/a/z.html"]),
        (["more", "more"], ["more/b.txt"]),
        (["docs/b.txt", "docs/*.txt", "more/b.txt"], ["docs/b.txt", "more/b.txt"]),
    ],
)
def test_ids(docs: Path, inputs: list[str], expected: list[str]) -> None:
    assert ids(*inputs) == expected


def test_inputs_keep_their_order(docs: Path) -> None:
    assert ids("more", "docs/b.txt", "docs/a") == ["more/b.txt", "docs/b.txt", "docs/a/z.html"]


def test_order_does_not_depend_on_the_disk(docs: Path) -> None:
    class Shuffled(LocalFileSystem):
        def __init__(self, seed: int) -> None:
            self.random = random.Random(seed)

        def files(self, path: str) -> Iterator[FileInfo]:
            found = sorted(super().files(path), key=lambda info: info.path)
            self.random.shuffle(found)
            return iter(found)

    listings = [list_inputs(Shuffled(seed), ["docs"]) for seed in range(5)]
    assert all(listing == listings[0] for listing in listings)


def test_a_wildcard_in_the_name_of_a_file(docs: Path) -> None:
    (docs / "more" / "x[1].txt").write_bytes(b"x")
    assert ids("more/x[1].txt") == ["x[1].txt"]


def test_undecodable_names_become_printable_ids(docs: Path) -> None:
    path = os.path.join(os.fsencode(docs), b"more", b"\xff.txt")
    with open(path, "wb") as file:
        file.write(b"x")
    (_, listed) = list_inputs(LocalFileSystem(), ["more"]).files
    assert listed.document_id == "\ufffd.txt"
    assert listed.path == "more/\udcff.txt"


def test_a_hidden_folder_that_is_named_is_read(docs: Path) -> None:
    assert ids("docs/.git") == ["x.txt"]


def test_a_dangling_link_is_listed(docs: Path) -> None:
    (docs / "more" / "gone.txt").symlink_to("nowhere")
    assert ids("more") == ["b.txt", "gone.txt"]
    assert ids("more/*.txt") == ["b.txt", "gone.txt"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no input was given"),
        (["nowhere"], "nowhere does not exist"),
        (["docs/nowhere.txt"], "does not exist"),
        (["docs/scan.PDF"], r"does not read: it reads \.txt .*convert"),
        (["docs/README"], "does not read"),
        (["docs/*.pdf"], r"other kinds \(1 \.pdf\)"),
        (["docs/*.xyz"], "no file"),
        (["empty"], "input empty holds no file"),
        (["docs", "empty"], "input empty holds no file"),
    ],
)
def test_an_input_without_documents_is_refused(docs: Path, inputs: list[str], message: str) -> None:
    (docs / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        list_inputs(LocalFileSystem(), inputs)


def test_a_folder_that_cannot_be_listed_is_refused(docs: Path) -> None:
    class Locked(LocalFileSystem):
        def files(self, path: str) -> Iterator[FileInfo]:
            raise PermissionError(13, "Permission denied", path)

    with pytest.raises(InputError, match="docs cannot be listed: Permission denied: make it"):
        list_inputs(Locked(), ["docs"])


def test_listing_is_immutable(docs: Path) -> None:
    listing = list_inputs(LocalFileSystem(), ["docs"])
    with pytest.raises(AttributeError):
        listing.files = ()  # type: ignore[misc]
    assert isinstance(listing, Listing)
