"""JSON lines: every way a line can be wrong."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pytest
from support.reading import (
    FILES,
    documents,
    errors,
    items,
    scanned,
    write_lines,
)

from longbert.readers.documents import read
from longbert.readers.settings import ReadSettings
from longbert.records import Document, ErrorRow


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    path = write_lines(
        tmp_path / name,
        '{"id": "a", "text": "one", "title": "T", "n": 5, "x": null, "l": [1, {"k": "é"}]}',
        "",
        ' {"text": "two\\r\\n"}\r',
        '{"id": 7, "text": ""}',
    )
    refs = scanned(path)
    assert [(ref.document_id, ref.row, ref.place, ref.source) for ref in refs] == [
        ("a", 0, f"{path}#1", str(path)),
        (f"{name}#3", 2, f"{path}#3", f"{path}#3"),
        ("7", 3, f"{path}#4", str(path)),
    ]
    content = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    assert [json.loads(content[s.start : s.stop])["text"] for s in refs] == ["one", "two\r\n", ""]
    assert [document.text for document in documents(refs)] == ["one", "two\r\n", ""]
    assert documents(refs)[0].metadata == {"title": "T", "n": "5", "l": '[1,{"k":"é"}]'}


def test_the_last_line_needs_no_line_break_and_the_first_may_have_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n{"text": "b"}')
    assert [document.text for document in documents(scanned(path))] == ["a", "b"]


LONG_ID = "x" * 10_000

WRONG_LINES = {
    "bad_json": ['{"id": "a", "text": "secret"', "{" * 3, '{"text": ' + "[" * 100_000, "{'a': 1}"],
    "encoding": [b'{"text": "secret caf\xe9"}'],
    "not_an_object": ['["secret"]', '"secret"', "5", "null", "true"],
    "no_text": ["{}", '{"id": "a", "body": "secret"}', '{"text": null}'],
    "bad_text": ['{"text": 5}', '{"text": ["secret"]}', '{"text": {"secret": 1}}'],
    "bad_id": [
        '{"id": "", "text": "a"}',
        '{"id": 1.5, "text": "a"}',
        '{"id": true, "text": "a"}',
        '{"id": ["secret"], "text": "a"}',
        json.dumps({"id": LONG_ID, "text": "a"}),
    ],
}


@pytest.mark.parametrize(
    ("error", "line"), [(error, line) for error, lines in WRONG_LINES.items() for line in lines]
)
def test_a_wrong_line_costs_itself(tmp_path: Path, error: str, line: str | bytes) -> None:
    good = '{"id": "good", "text": "good"}'
    path = write_lines(tmp_path / "rows.jsonl", good, line, good)
    refs = scanned(path)
    assert errors(refs) == [None, error, None]
    found = items(refs)
    assert [isinstance(item, Document) for item in found] == [True, False, True]
    row = found[1]
    assert isinstance(row, ErrorRow)
    assert (row.stage, row.source) == ("plan", f"{path}#2")
    assert row.message.startswith(f"{path}#2: ")
    assert "secret" not in row.message
    assert LONG_ID[:1_001] not in pickle.dumps(refs).decode("latin-1")


def test_wrong_ids_say_their_length_and_limit(tmp_path: Path) -> None:
    line = json.dumps({"id": LONG_ID, "text": "a"})
    (ref,) = scanned(write_lines(tmp_path / "rows.jsonl", line))
    assert ref.error is not None
    assert "1 to 1,000 characters, got 10,000" in ref.error.message
    ok = json.dumps({"id": "x" * 1_000, "text": "a"})
    assert errors(scanned(write_lines(tmp_path / "rows.jsonl", ok))) == [None]


def test_a_document_with_an_id_keeps_it_in_its_error(tmp_path: Path) -> None:
    refs = scanned(write_lines(tmp_path / "rows.jsonl", '{"id": "a"}', "{}", "[]"))
    assert [s.error and s.error.document_id for s in refs] == ["a", "rows.jsonl#2", None]


def test_a_line_has_one_digest_wherever_it_stands(tmp_path: Path) -> None:
    line = '{"id": "a", "text": "one"}'
    (first,) = scanned(write_lines(tmp_path / "rows.jsonl", line, end=b""))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(f'\ufeff{{"text": "b"}}\r\n  {line} \r\n'.encode())
    assert scanned(path)[1].digest == first.digest


def test_digests_change_with_the_line_errors_included(tmp_path: Path) -> None:
    lines = ['{"text": "a"}', '{"text": "b"}', "[1]", "[2]", '{"text": "a", "m": 1}']
    refs = scanned(write_lines(tmp_path / "rows.jsonl", *lines))
    assert len({ref.digest for ref in refs}) == len(lines)


def test_blank_lines_alone_are_an_empty_file(tmp_path: Path) -> None:
    assert errors(scanned(write_lines(tmp_path / "rows.jsonl", "", " ", "\r"))) == ["empty"]


def test_utf16_lines_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"text": "a"}\n{"text": "b"}\n'.encode("utf-16"))
    assert errors(scanned(path)) == ["encoding"]


@pytest.mark.parametrize("damage", ["cut", "changed", "not gzip"])
def test_damaged_gzip_keeps_the_lines_before(tmp_path: Path, damage: str) -> None:
    lines = [json.dumps({"text": str(n**9)}) for n in range(20_000)]
    path = write_lines(tmp_path / "rows.jsonl.gz", *lines)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "changed":
        data[len(data) // 2 :] = b"\xff" * (len(data) // 2)
    else:
        data = bytearray(b"plain")
    path.write_bytes(data)
    *good, bad = scanned(path)
    assert (len(good) > 1_000) == (damage != "not gzip")
    assert set(errors(good)) <= {None}
    assert bad.error is not None
    assert bad.error.error == "bad_gzip"
    assert [item.text for item in documents(good)] == [str(n**9) for n in range(len(good))]


def test_names_of_fields_are_settings(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", '{"key": "k", "body": "b", "id": 1, "text": "t"}')
    settings = ReadSettings(id_field="key", text_field="body")
    (document,) = read(FILES, scanned(path, settings), settings)
    assert document == Document("k", "b", str(path), {"id": "1", "text": "t"}, 0)


def test_lone_surrogates_are_replaced_one_for_one(tmp_path: Path) -> None:
    line = r'{"id": "\ud800i", "text": "a\ud800\udc00b\udfffc\ud800", "\udc01k": "\udc02v"}'
    refs = scanned(write_lines(tmp_path / "rows.jsonl", line))
    (document,) = documents(refs)
    assert document.text == "a\U00010000b\ufffdc\ufffd"
    assert document.n_chars_replaced == 2
    assert document.document_id == refs[0].document_id == "\ufffdi"
    assert document.metadata == {"\ufffdk": "\ufffdv"}
