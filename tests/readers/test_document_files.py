"""Files that are one document."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.reading import (
    FILES,
    documents,
    errors,
    items,
    scanned,
)

from longbert.readers.documents import scan
from longbert.readers.inputs import list_inputs
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
