"""JSON lines: every way a line can be wrong."""

from __future__ import annotations

import gzip
import json
import pickle
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from longbert.readers.values import WrittenNumber, to_json
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
    "duplicate_field": [
        '{"id": "a", "text": "secret", "text": "secret too"}',
        '{"text": "secret", "m": [{"k": 1, "k": 1}]}',
    ],
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


@pytest.mark.parametrize("number", ["1.0", "1.10"])
def test_every_depth_is_a_document_or_an_error(tmp_path: Path, number: str) -> None:
    lines = [
        f'{{"id": "{depth}", "text": "a", "m": {"[" * depth}{number}{"]" * depth}}}'
        for depth in range(0, 1_100, 7)
    ]
    found = errors(scanned(write_lines(tmp_path / "rows.jsonl", *lines)))
    assert found[0] is None
    assert found[-1] == "bad_json"
    assert set(found) <= {None, "bad_json", "bad_metadata"}


def test_the_message_names_the_key_that_stands_twice(tmp_path: Path) -> None:
    lines = ['{"id": "d", "text": "first", "text": "second", "id": "e", "text": "third"}']
    (ref,) = scanned(write_lines(tmp_path / "rows.jsonl", *lines))
    assert ref.error is not None
    assert "the key 'text' stands 3 times in one object" not in ref.error.message
    assert "the key 'id' stands 2 times in one object" in ref.error.message
    assert ref.document_id is None


NUMBERS = ["1e400", "-1E-400", "1.10", "1.0", "0.1", "-0", "-0.0", "10000000000000000000001", "1E5"]


@pytest.mark.parametrize("number", [*NUMBERS, "9" * 5_000, "NaN", "-Infinity"])
def test_numbers_are_kept_as_they_are_written(tmp_path: Path, number: str) -> None:
    line = f'{{"text": "a", "n": {number}, "m": [1, {{"é": {number}, "e": []}}, "1.10", {{}}]}}'
    (document,) = documents(scanned(write_lines(tmp_path / "rows.jsonl", line)))
    assert document.metadata == {"n": number, "m": f'[1,{{"é":{number},"e":[]}},"1.10",{{}}]'}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON_VALUES, st.booleans())
def test_values_come_out_as_compact_json(value: object, is_spelled_otherwise: bool) -> None:
    written = to_json([value, WrittenNumber("1e2")] if is_spelled_otherwise else [value, 1e2])
    end = "1e2]" if is_spelled_otherwise else "100.0]"
    expected = json.dumps([value], ensure_ascii=False, separators=(",", ":"))
    assert written == f"{expected[:-1]},{end}"


def test_a_number_is_no_id_and_no_text(tmp_path: Path) -> None:
    lines = ['{"id": 1.50, "text": "a"}', '{"id": 1, "text": 1e5}', f'{{"id": {"9" * 5_000}}}']
    refs = scanned(write_lines(tmp_path / "rows.jsonl", *lines))
    assert errors(refs) == ["bad_id", "bad_text", "bad_id"]
    assert all(ref.error and "got float" in ref.error.message for ref in refs)


# Limits


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_may_have_so_many_bytes_and_no_more(tmp_path: Path, name: str, end: bytes) -> None:
    lines = [f'{{"text": "{"é" * n}"}}' for n in (1, 44, 45, 46, 3_000_000, 2)]
    sizes = [len(line.encode()) for line in lines]
    assert sizes[1:4] == [100, 102, 104]
    settings = ReadSettings(max_record_bytes=102)
    path = write_lines(tmp_path / name, *lines, end=end)
    refs = scanned(path, settings)
    assert errors(refs) == [None, None, None, "too_large", "too_large", None]
    assert [ref.stop - ref.start for ref in refs] == [size + len(end) for size in sizes]
    assert refs[3].error is not None
    assert (
        f"the line has {104 + len(end)} bytes, and max_record_bytes is 102: raise max_record_bytes,"
        in refs[3].error.message
    )
    found = items(refs, settings=settings)
    assert [isinstance(item, Document) for item in found] == [
        error is None for error in errors(refs)
    ]
    assert len({ref.digest for ref in refs}) == len(refs)


@pytest.mark.parametrize("n_chars", [9, 10, 11])
@pytest.mark.parametrize("white", [b"", b" ", b"\r", b"\r\r\r", b" \r \r"])
def test_white_space_that_ends_a_line_cuts_none_in_two(
    tmp_path: Path, white: bytes, n_chars: int
) -> None:
    """A reading that is stopped by the limit may end just before or in it."""
    path = tmp_path / "rows.jsonl"
    line = json.dumps({"text": "x" * n_chars}).encode()
    path.write_bytes((line + white + b"\n") * 2 + line + white)
    settings = ReadSettings(max_record_bytes=len(json.dumps({"text": "x" * 10})))
    refs = scanned(path, settings)
    assert [ref.row for ref in refs] == [0, 1, 2]
    assert len(set(errors(refs)[:2])) == 1
    found = items(refs, settings=settings)
    assert all(item.text == "x" * n_chars for item in found if isinstance(item, Document))
    if n_chars == 11 or not white.strip(b"\r"):
        assert [error is None for error in errors(refs)[:2]] == [
            n_chars <= 10 and len(white) < 2
        ] * 2


def test_a_line_that_unpacks_to_much_takes_little_memory(tmp_path: Path) -> None:
    lines = ['{"id": "a", "text": "one"}', json.dumps({"text": " " * 50_000_000})]
    path = write_lines(tmp_path / "rows.jsonl.gz", *lines, lines[0].replace("a", "b"))
    settings = ReadSettings(max_record_bytes=1_000_000)
    tracemalloc.start()
    refs = scanned(path, settings)
    items(refs, settings=settings)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert errors(refs) == [None, "too_large", None]
    assert peak_bytes < 6_000_000


def test_a_large_text_takes_a_small_multiple_of_its_size(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl.gz", json.dumps({"text": "word " * 2_000_000}))
    tracemalloc.start()
    (document,) = documents(scanned(path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(document.text) == 10_000_000
    assert peak_bytes < 6 * len(document.text)


def test_metadata_may_have_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    lines = [json.dumps({"text": "a", "k": "é" * n, "z": [1]}) for n in (9, 10, 11)]
    settings = ReadSettings(max_metadata_bytes=25)
    refs = scanned(write_lines(tmp_path / "rows.jsonl", *lines), settings)
    assert errors(refs) == [None, None, "too_large"]
    assert refs[2].error is not None
    assert refs[2].error.message.endswith(
        "the metadata has 27 bytes, and max_metadata_bytes is 25: raise max_metadata_bytes, or "
        "leave fields out; the largest is 'k'"
    )


@pytest.mark.parametrize("char", ["a", "é", "\u4e2d", "😀", "\ud800"])
def test_a_text_may_have_so_many_bytes_and_no_more(tmp_path: Path, char: str) -> None:
    size = len(char.encode(errors="surrogatepass"))
    lines = [json.dumps({"text": char * n}) for n in (9, 10, 11)]
    settings = ReadSettings(max_text_bytes=10 * size)
    refs = scanned(write_lines(tmp_path / "rows.jsonl", *lines), settings)
    assert errors(refs) == [None, None, "too_large"]
    assert refs[2].error is not None
    assert f"has {11 * size} bytes, and max_text_bytes is {10 * size}" in refs[2].error.message
