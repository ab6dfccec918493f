"""Files that are one document."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.listing import list_inputs
from support.reading import (
    FILES,
    CountingFileSystem,
    documents,
    errors,
    items,
    listed,
    scanned,
)

from longbert.core.units import PlannedDocument
from longbert.readers.documents import scan
from longbert.readers.settings import ReadSettings
from longbert.records import Document, ErrorRow


def test_text_is_not_normalised(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffe\u0301\r\n\0\ufeff😀 ".encode())
    (ref,) = scanned(path)
    assert (ref.document_id, ref.source, ref.error) == ("a.txt", str(path), None)
    assert ref.n_bytes == path.stat().st_size
    (document,) = documents([ref])
    assert document == Document("a.txt", "e\u0301\r\n\0\ufeff😀 ", str(path), {}, 0)


def test_html_becomes_its_text(tmp_path: Path) -> None:
    path = tmp_path / "a.HTML"
    path.write_bytes("<meta charset=windows-1251><p>да".encode("cp1251"))
    (document,) = documents(scanned(path))
    assert document.text.strip() == "да"


@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_file_that_cannot_be_opened_is_an_error_ref(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    (file,) = list_inputs(FILES, [str(tmp_path)]).files
    (ref,) = scan(FILES, file, ReadSettings())
    assert ref.error is not None
    assert (ref.error.stage, ref.error.error) == ("plan", "unreadable")
    assert "No such file" in ref.error.message
    assert str(tmp_path / name) in ref.error.message
    assert len(ref.digest) == 64
    assert items([ref]) == [ref.error]


@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.jsonl"])
def test_a_file_of_0_bytes_is_an_error_ref(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert errors(scanned(tmp_path / name)) == ["empty"]


def test_text_that_cannot_be_decoded_is_an_error_row(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9")
    (item,) = items(scanned(path))
    assert isinstance(item, ErrorRow)
    assert (item.stage, item.error, item.document_id) == ("read", "encoding", "a.txt")


def test_white_space_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b" \n")
    assert documents(scanned(tmp_path / "a.txt"))[0].text == " \n"


@pytest.mark.parametrize(
    ("name", "setting"), [("a.txt", "max_text_bytes"), ("a.html", "max_record_bytes")]
)
def test_a_file_may_have_so_many_bytes_and_no_more(tmp_path: Path, name: str, setting: str) -> None:
    path = tmp_path / name
    settings = ReadSettings(**{setting: 1_000})
    path.write_bytes(b"x" * 1_000)
    assert errors(scanned(path, settings)) == [None]
    path.write_bytes(b"x" * 1_001)
    files = CountingFileSystem()
    (ref,) = scan(files, listed(path), settings)
    assert ref.error is not None
    assert (ref.error.error, ref.error.document_id) == ("too_large", name)
    assert f"the file has 1,001 bytes, and {setting} is 1,000: raise" in ref.error.message
    assert items([ref], files, settings) == [ref.error]
    assert files.n_opened == 0
    assert PlannedDocument.from_ref(ref) != PlannedDocument.from_ref(scanned(path)[0])


def test_a_text_that_grows_over_the_limit_when_it_is_decoded_is_an_error_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("中".encode("utf-16") * 400)
    settings = ReadSettings(max_text_bytes=2_000)
    (item,) = items(scanned(path, settings), settings=settings)
    assert isinstance(item, ErrorRow)
    assert (item.stage, item.error) == ("read", "too_large")
