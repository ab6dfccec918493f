"""Which files the inputs name, with which ids, in which order."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.listing import Listing, list_inputs

from longbert.errors import InputError
from longbert.readers.documents import read, scan
from longbert.readers.inputs import IN_AN_OUTPUT
from longbert.readers.kinds import KINDS
from longbert.readers.settings import ReadSettings
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


def test_names_that_are_not_utf8_stay_apart(docs: Path) -> None:
    for name in (b"x\xff.txt", b"x\xfe.txt", b"x%FF.txt", b"100%.txt"):
        with open(os.path.join(os.fsencode(docs), b"more", name), "wb") as file:
            file.write(b"x")
    listed = list_inputs(LocalFileSystem(), ["more"]).files
    assert {file.document_id: file.path for file in listed} == {
        "100%.txt": "more/100%.txt",
        "b.txt": "more/b.txt",
        "x%25FF.txt": "more/x%FF.txt",
        "x%FE.txt": "more/x\udcfe.txt",
        "x%FF.txt": "more/x\udcff.txt",
    }
    assert all(file.source == f"more/{file.document_id}" for file in listed)
    for file in listed:
        (ref,) = scan(LocalFileSystem(), file, ReadSettings())
        (document,) = read(LocalFileSystem(), [ref], ReadSettings())
        assert (document.document_id, document.source) == (file.document_id, file.source)


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


class Locked(LocalFileSystem):
    """Local files, with a folder that cannot be listed: by itself, or below ``docs``."""

    def __init__(self, below: str = "") -> None:
        self.below = below

    def files(self, path: str) -> Iterator[FileInfo]:
        if not self.below:
            raise PermissionError(13, "Permission denied", path)
        yield from super().files(path)
        yield FileInfo(self.below, 0, problem="Permission denied")


def test_an_input_that_cannot_be_listed_is_refused(docs: Path) -> None:
    with pytest.raises(InputError, match="docs cannot be listed: Permission denied: make it"):
        list_inputs(Locked(), ["docs"])
    (docs / "empty").mkdir()
    message = "input empty cannot be listed: empty/sub: Permission denied: make it readable"
    with pytest.raises(InputError, match=message):
        list_inputs(Locked("empty/sub"), ["empty"])


def test_a_folder_below_that_cannot_be_listed_is_an_error_row(docs: Path) -> None:
    files = Locked("docs/a/z.jsonl")
    listed = list_inputs(files, ["docs"]).files
    assert [file.document_id for file in listed][2:5] == ["a/z.html", "a/z.jsonl", "b.txt"]
    (ref,) = scan(files, listed[3], ReadSettings())
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert ref.error is not None
    (row,) = read(files, [ref], ReadSettings())
    assert row == ref.error
    assert (row.source, row.document_id, row.stage, row.error) == (
        *("docs/a/z.jsonl", None, "plan", "unreadable"),
    )
    assert "docs/a/z.jsonl: it cannot be listed: Permission denied: make it re" in row.message
    assert (
        list_inputs(Locked("docs/.git/x"), ["docs"]).files
        == list_inputs(LocalFileSystem(), ["docs"]).files
    )


def test_what_is_no_file_is_counted_for_what_it_is(docs: Path) -> None:
    os.mkfifo(docs / "more" / "pipe.txt")
    (docs / "more" / "device.jsonl").symlink_to("/dev/null")
    for name in ("more", "more/*"):
        listing = list_inputs(LocalFileSystem(), [name])
        assert [file.document_id for file in listing.files] == ["b.txt"]
        assert listing.skipped == {"device": 1, "pipe": 1}
    with pytest.raises(InputError, match=r"more/pipe.txt is a pipe, which cannot be read twice"):
        list_inputs(LocalFileSystem(), ["more/pipe.txt"])
    with pytest.raises(InputError, match=r"device.jsonl is a device, which .* write what it gives"):
        list_inputs(LocalFileSystem(), ["more/device.jsonl"])


@pytest.mark.parametrize(
    # The last but one begins its walk at `sub`, the last one names the link.
    "pattern",
    ["t", "t/**/*.txt", "t/**", "*/**/one.txt", "t/*/**/*.txt", "t/sub/loop/*.txt"],
)
def test_a_link_to_a_folder_above_is_not_followed_by_globs_either(
    tmp_path: Path, pattern: str
) -> None:
    (tmp_path / "t" / "sub").mkdir(parents=True)
    (tmp_path / "t" / "one.txt").write_bytes(b"x")
    (tmp_path / "t" / "sub" / "loop").symlink_to("..")
    assert len(list_inputs(LocalFileSystem(), [f"{tmp_path}/{pattern}"]).files) == 1


# Outputs of longbert among the inputs


VERSION_2 = {"format": 2, "rows": {"settings": {}, "environment": {"longbert": "0.1.0"}}}
VERSION_1 = {"format": 1, "settings": {"longbert": "0.1.0"}}


def write_output(folder: Path, content: object, *names: str) -> None:
    for table in ("documents", "passages"):
        (folder / table).mkdir(parents=True, exist_ok=True)
        (folder / table / "000000-0123456789ab.parquet").write_bytes(b"PAR1")
    (folder / "README.md").write_bytes(b"mine")
    for name in names:
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize("content", [VERSION_1, VERSION_2, {"format": 9, "longbert": "3"}])
@pytest.mark.parametrize("name", ["manifest.json", "fingerprint.json"])
@pytest.mark.parametrize("place", ["docs/out", "docs/a/b/c/out"])
def test_an_output_under_the_inputs_is_skipped(
    docs: Path, content: object, name: str, place: str
) -> None:
    before = list_inputs(LocalFileSystem(), ["docs"])
    write_output(docs / place, content, name)
    after = list_inputs(LocalFileSystem(), ["docs"])
    assert after.files == before.files
    assert after.skipped == {**before.skipped, IN_AN_OUTPUT: 4}
    assert ids("docs/**/*.parquet") == ["t.parquet"]
    assert list_inputs(LocalFileSystem(), ["docs/**"]).skipped == after.skipped


@pytest.mark.parametrize(
    "content", [{"format": 2}, {"longbert": "0.1.0"}, "{", "[]", '"longbert"', "[" * 100_000]
)
def test_a_manifest_of_something_else_is_none(docs: Path, content: object) -> None:
    write_output(docs / "docs" / "out", content, "manifest.json")
    listed = list_inputs(LocalFileSystem(), ["docs"])
    assert "out/documents/000000-0123456789ab.parquet" in ids("docs")
    assert listed.skipped == {"": 1, ".json": 1, ".pdf": 2, ".txt.gz": 1}


def test_an_output_that_is_the_input_is_refused_but_its_tables_may_be_named(docs: Path) -> None:
    write_output(docs / "out", VERSION_2, "manifest.json")
    for name in ("out", "out/*/*.parquet", "./out/**"):
        with pytest.raises(InputError, match="holds nothing but an output of longbert: name the"):
            list_inputs(LocalFileSystem(), [name])
    assert ids("out/passages") == ids("out/passages/*") == ["000000-0123456789ab.parquet"]
    assert ids("out/passages/000000-0123456789ab.parquet") == ["000000-0123456789ab.parquet"]


def test_the_output_of_the_run_is_left_out_and_not_counted(docs: Path) -> None:
    before = list_inputs(LocalFileSystem(), ["docs"])
    write_output(docs / "docs" / "out", {})
    (docs / "link").symlink_to("docs/out")
    for output in ("docs/out", "docs/out/", "./docs/../link", str(docs / "docs" / "out")):
        assert list_inputs(LocalFileSystem(), ["docs"], output=output) == before
    with pytest.raises(InputError, match="holds nothing but an output of longbert"):
        list_inputs(LocalFileSystem(), ["docs/out"], output="docs/out")
    (docs / "docs" / "outside.txt").write_bytes(b"x")
    assert len(list_inputs(LocalFileSystem(), ["docs"], output="docs/out").files) == 9


def test_listing_is_immutable(docs: Path) -> None:
    listing = list_inputs(LocalFileSystem(), ["docs"])
    with pytest.raises(AttributeError):
        listing.files = ()  # type: ignore[misc]
    assert isinstance(listing, Listing)
