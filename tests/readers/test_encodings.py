"""Encodings that the user names, for all files or for some."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.listing import list_inputs
from support.reading import documents, errors, items, scanned, write_lines

from longbert.core.units import PlannedDocument
from longbert.errors import ConfigError
from longbert.readers.document_files import UnusedEncodings
from longbert.readers.encodings import (
    NamedEncoding,
    is_over_ascii,
    named_encoding,
    parse_encodings,
)
from longbert.readers.settings import ReadSettings
from longbert.records import ErrorRow, InputFile
from longbert.store.filesystem import LocalFileSystem


def file(document_id: str, path: str = "") -> InputFile:
    path = path or f"in/{document_id}"
    return InputFile(path, "text", False, document_id, order=0, n_bytes=1, source=path)


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("cp850", NamedEncoding("cp850")),
        ("Latin-1", NamedEncoding("cp1252")),
        ("UTF-8", NamedEncoding("utf-8")),
        ("dos/**=CP850", NamedEncoding("cp850", "dos/**")),
        ("a=b/*.txt= mac_roman", NamedEncoding("mac-roman", "a=b/*.txt")),
    ],
)
def test_a_name_for_all_files_or_for_some(value: str, parsed: NamedEncoding) -> None:
    assert parse_encodings([value]) == (parsed,)


@pytest.mark.parametrize(
    "value", ["", "cp125", "*.txt=", "*.txt", "unicode_escape", "base64", "rot13", "idna", "a\0b"]
)
def test_what_python_does_not_know_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="encoding must be NAME or GLOB=NAME with an encoding"):
        parse_encodings([value])


def test_a_misspelt_name_is_put_right() -> None:
    with pytest.raises(ConfigError, match="got 'mac_romam'; did you mean 'mac_roman'"):
        parse_encodings(["mac_romam"])


@pytest.mark.parametrize(
    ("one", "codec"),
    [
        (file("a.txt"), "cp1252"),
        (file("dos/a.txt"), "cp850"),
        (file("dos/old/a.txt"), "cp437"),
        (file("x/a.txt"), "cp1252"),
        (file("x.log", "/mnt/x.log"), "utf-16-le"),
    ],
)
def test_the_last_glob_that_fits_counts_and_the_name_alone_last(one: InputFile, codec: str) -> None:
    values = ["dos/**=cp850", "cp1252", "dos/old/*=cp437", "/mnt/*.log=utf-16-le"]
    assert named_encoding(one, parse_encodings(values)) == codec
    assert named_encoding(file("a.txt"), parse_encodings(values[:1])) is None


@pytest.mark.parametrize(
    ("codec", "is_over"),
    [
        *((name, True) for name in ("utf-8", "cp1252", "cp932", "gb18030", "koi8-r", "euc_jp")),
        *((name, False) for name in ("utf-16", "utf-32-be", "cp037", "iso2022_jp", "hz", "utf-7")),
    ],
)
def test_encodings_over_ascii(codec: str, is_over: bool) -> None:
    assert is_over_ascii(codec) == is_over


def test_only_files_that_the_name_decides_on_are_read_again(tmp_path: Path) -> None:
    contents = {
        "ascii.txt": b"a",
        "utf8.txt": "é".encode(),
        "old.txt": "Größe".encode("cp850"),
        "old.html": b"<meta charset=utf-8><p>" + "Größe".encode("cp850"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    write_lines(tmp_path / "rows.jsonl", '{"id": "a", "text": "one"}')

    def identities(*encodings: str) -> dict[str, str]:
        settings = ReadSettings(encodings=parse_encodings(encodings))
        refs = [ref for path in sorted(tmp_path.iterdir()) for ref in scanned(path, settings)]
        return {ref.file.document_id: PlannedDocument.from_ref(ref).identity for ref in refs}

    before, after = identities(), identities("cp850")
    assert {name for name in before if before[name] != after[name]} == {"old.txt", "old.html"}
    assert identities("*.html=cp850")["old.txt"] == before["old.txt"]
    wide = identities("utf-16-le")
    assert {name for name in before if before[name] == wide[name]} == {"rows.jsonl"}

    settings = ReadSettings(encodings=parse_encodings(["cp850"]))
    for name, text in {"old.txt": "Größe", "old.html": "Größe", "utf8.txt": "é"}.items():
        (document,) = documents(scanned(tmp_path / name, settings), settings)
        assert document.text.strip() == text


def test_a_file_in_doubt_is_an_error_until_its_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Größe".encode("cp850"))
    refs = scanned(path)
    assert errors(refs) == [None]
    (item,) = items(refs)
    assert isinstance(item, ErrorRow)
    assert item.error == "encoding"
    assert "--encoding" in item.message


def test_a_glob_that_no_file_fits_is_told(tmp_path: Path) -> None:
    for name in ("a.txt", "dos/b.txt", "rows.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    files = list_inputs(LocalFileSystem(), [str(tmp_path)], output="none").files

    def unused(*encodings: str) -> tuple[str, ...]:
        left = UnusedEncodings(ReadSettings(encodings=parse_encodings(encodings)))
        assert list(left.passing(files)) == list(files)
        return left.globs

    assert unused("cp850", "*.txt=cp850", "dos/*=cp850", f"{tmp_path}/dos/*=cp437") == ()
    assert unused("dso/*=cp850", "*.txt=cp850", "*.jsonl=cp850") == ("dso/*", "*.jsonl")
