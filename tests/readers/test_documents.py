"""Scanning and reading: every kind of file, every way a document can be wrong."""

from __future__ import annotations

import datetime
import gzip
import json
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.readers.documents import read, scan
from longbert.readers.inputs import list_inputs
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import LocalFileSystem


class CountingFileSystem(LocalFileSystem):
    """Counts how often files are opened; ``failing`` cannot be."""

    def __init__(self, failing: str = "") -> None:
        self.n_opened = 0
        self.failing = failing

    def open(self, path: str) -> BinaryIO:
        self.n_opened += 1
        if self.failing and path.endswith(self.failing):
            raise PermissionError(13, "Permission denied", path)
        return super().open(path)


FILES = LocalFileSystem()


def listed(path: Path) -> InputFile:
    (file,) = list_inputs(FILES, [str(path)]).files
    return file


def scanned(path: Path, *, id_field: str = "id", text_field: str = "text") -> list[DocumentRef]:
    refs = list(scan(FILES, listed(path), id_field=id_field, text_field=text_field))
    assert pickle.loads(pickle.dumps(refs)) == refs
    return refs


def items(refs: Sequence[DocumentRef], files: LocalFileSystem = FILES) -> list[Document | ErrorRow]:
    found = list(read(files, refs, id_field="id", text_field="text"))
    assert len(found) == len(refs)
    return found


def documents(refs: Sequence[DocumentRef]) -> list[Document]:
    found = [item for item in items(refs) if isinstance(item, Document)]
    assert len(found) == len(refs)
    return found


def errors(refs: Sequence[DocumentRef]) -> list[str | None]:
    return [ref.error and ref.error.error for ref in refs]


def write_lines(path: Path, *lines: str | bytes, end: bytes = b"\n") -> Path:
    data = b"".join((ln.encode() if isinstance(ln, str) else ln) + end for ln in lines)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


# Files that are one document


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
def test_a_file_that_cannot_be_opened_is_an_error_stub(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    (file,) = list_inputs(FILES, [str(tmp_path)]).files
    (ref,) = scan(FILES, file, id_field="id", text_field="text")
    assert ref.error is not None
    assert (ref.error.stage, ref.error.error) == ("plan", "unreadable")
    assert "No such file" in ref.error.message
    assert str(tmp_path / name) in ref.error.message
    assert len(ref.digest) == 64
    assert items([ref]) == [ref.error]


@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.jsonl"])
def test_a_file_of_0_bytes_is_an_error_stub(tmp_path: Path, name: str) -> None:
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


# JSON lines


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
    assert [(s.document_id, s.row, s.source) for s in refs] == [
        ("a", 0, f"{path}#1"),
        (f"{name}#3", 2, f"{path}#3"),
        ("7", 3, f"{path}#4"),
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
    refs = scanned(path, id_field="key", text_field="body")
    (document,) = read(FILES, refs, id_field="key", text_field="body")
    assert document == Document("k", "b", f"{path}#1", {"id": "1", "text": "t"}, 0)


def test_lone_surrogates_are_replaced_one_for_one(tmp_path: Path) -> None:
    line = r'{"id": "\ud800i", "text": "a\ud800\udc00b\udfffc\ud800", "\udc01k": "\udc02v"}'
    refs = scanned(write_lines(tmp_path / "rows.jsonl", line))
    (document,) = documents(refs)
    assert document.text == "a\U00010000b\ufffdc\ufffd"
    assert document.n_chars_replaced == 2
    assert document.document_id == refs[0].document_id == "\ufffdi"
    assert document.metadata == {"\ufffdk": "\ufffdv"}


# Parquet


def write_table(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def test_parquet_rows(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "t.parquet",
        {
            "id": [1, None, 3],
            "text": ["one", "two", None],
            "when": [datetime.date(2020, 1, 2), None, None],
            "exact": pa.array([1_500_000_000_000_000_001, None, 0], pa.timestamp("ns")),
            "price": [Decimal("1.50"), None, None],
            "raw": [b"\xff", None, None],
            "tags": [["a", "b"], None, []],
        },
    )
    refs = scanned(path)
    assert [ref.source for ref in refs] == [f"{path}#{n}" for n in (1, 2, 3)]
    assert [ref.document_id for ref in refs] == ["1", "t.parquet#2", "3"]
    assert errors(refs) == [None, None, "no_text"]
    first, second, _ = items(refs)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert first.metadata == {
        "when": "2020-01-02",
        "exact": "2017-07-14 02:40:00.000000001",
        "price": "1.50",
        "raw": "/w==",
        "tags": '["a","b"]',
    }
    assert second.metadata == {}


def test_a_row_is_the_same_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    first = scanned(write_table(tmp_path / "a.parquet", {"text": ["t"], "m": ["v"]}))
    second = scanned(write_table(tmp_path / "b.parquet", {"m": ["v"], "text": ["t"]}))
    other = scanned(write_table(tmp_path / "c.parquet", {"m": ["w"], "text": ["t"]}))
    assert first[0].digest == second[0].digest != other[0].digest


def test_parquet_without_the_text_column_names_what_there_is(tmp_path: Path) -> None:
    (ref,) = scanned(write_table(tmp_path / "t.parquet", {"id": ["a"], "body": ["b"]}))
    assert ref.error is not None
    assert ref.error.error == "no_text"
    assert "the columns are id, body: name the one" in ref.error.message


@pytest.mark.parametrize("damage", ["cut", "not parquet", "no bytes"])
def test_damaged_parquet_is_one_error(tmp_path: Path, damage: str) -> None:
    path = write_table(tmp_path / "t.parquet", {"text": ["a" * 100] * 100})
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-20], "not parquet": b"plain", "no bytes": b""}[damage])
    refs = scanned(path)
    assert errors(refs) == ["bad_parquet"]
    path.write_bytes(path.read_bytes() + b"x")
    assert scanned(path)[0].digest != refs[0].digest


def test_parquet_damaged_in_the_middle_keeps_the_rows_before(tmp_path: Path) -> None:
    texts = [f"{n**9}" for n in range(200)]
    path = write_table(tmp_path / "t.parquet", {"text": texts}, row_group_size=100)
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 30] = b"\xff" * 30
    path.write_bytes(data)
    refs = scanned(path)
    assert errors(refs) == [None] * 100 + ["bad_parquet"]
    assert [document.text for document in documents(refs[:100])] == texts[:100]


def test_parquet_without_rows_is_empty(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet", {"text": pa.array([], pa.string())})
    assert errors(scanned(path)) == ["empty"]


def test_a_cell_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    cells = pa.array([b"a", b"\xff", b"c"], pa.binary())
    text = pa.StringArray.from_buffers(3, cells.buffers()[1], cells.buffers()[2])
    refs = scanned(write_table(tmp_path / "t.parquet", {"text": text}))
    assert errors(refs) == [None, "bad_row", None]
    assert [isinstance(item, Document) for item in items(refs)] == [True, False, True]


def test_large_rows_are_read_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{n}" + "x" * 1_000 for n in range(500)]
    path = write_table(tmp_path / "t.parquet", {"text": texts}, use_dictionary=False)
    sizes = []
    genuine = pq.ParquetFile.iter_batches

    def spy(self: Any, **options: Any) -> Iterator[Any]:
        for batch in genuine(self, **options):
            sizes.append(batch.num_rows)
            yield batch

    monkeypatch.setattr("longbert.readers.parquet._BATCH_BYTES", 20_000)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    assert [document.text for document in documents(scanned(path))] == texts
    assert max(sizes) <= 20


# All kinds


def three_kinds(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    lines = [json.dumps(row) for row in rows]
    names = sorted({name for row in rows for name in row})
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return [
        write_lines(folder / "rows.jsonl", *lines),
        write_lines(folder / "rows.jsonl.gz", *lines),
        write_table(folder / "rows.parquet", columns, row_group_size=2),
    ]


ODD_TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from("\0\r\n\ufeff\u2028😀é\x85")
    )
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"text": ODD_TEXT, "title": ODD_TEXT}, optional={"id": ODD_TEXT.filter(bool)}
        ),
        min_size=1,
        max_size=8,
    )
)
def test_json_lines_gzip_and_parquet_give_equal_documents(rows: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path in three_kinds(Path(folder), rows):
            found = documents(scanned(path))
            assert [
                (document.document_id, document.text, document.metadata) for document in found
            ] == [
                (row.get("id", f"{path.name}#{n}"), row["text"], {"title": row["title"]})
                for n, row in enumerate(rows, start=1)
            ]


@given(st.lists(st.text(st.characters()), min_size=1, max_size=8))
def test_surrogates_of_any_text_are_replaced_and_counted(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Two halves that JSON would join are one character, so that they are joined here, too.
        joined = [
            t.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for t in texts
        ]
        lines = [json.dumps({"text": text}) for text in joined]
        for text, document in zip(
            joined,
            documents(scanned(write_lines(Path(folder) / "rows.jsonl", *lines))),
            strict=True,
        ):
            lone = ["\ud800" <= char <= "\udfff" for char in text]
            assert document.n_chars_replaced == sum(lone)
            assert document.text == "".join(
                "\ufffd" if is_lone else char for char, is_lone in zip(text, lone, strict=True)
            )


ROWS = [{"id": str(n), "text": f"text {n}"} for n in range(9)]


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("rows", [[3, 4, 5], [0, 8], [8, 2, 3], [4, 4], [7, 6, 5]])
def test_any_rows_in_any_order_with_the_file_opened_once(
    tmp_path: Path, kind: int, rows: list[int]
) -> None:
    path = three_kinds(tmp_path, ROWS)[kind]
    refs = scanned(path)
    files = CountingFileSystem()
    found = items([refs[row] for row in rows], files)
    assert [item.document_id for item in found] == [str(row) for row in rows]
    assert all(isinstance(item, Document) for item in found)
    assert files.n_opened == 1


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_what_changed_since_it_was_planned_is_an_error_row(tmp_path: Path, kind: int) -> None:
    refs = scanned(three_kinds(tmp_path, ROWS)[kind])
    three_kinds(tmp_path, [*ROWS[:4], {"id": "4", "text": "TEXT 4"}, *ROWS[5:]])
    found = items(refs)
    assert [isinstance(item, Document) for item in found] == [row != 4 for row in range(9)]
    assert isinstance(found[4], ErrorRow)
    assert (found[4].stage, found[4].error, found[4].document_id) == ("read", "changed", "4")
    assert "run again" in found[4].message
    three_kinds(tmp_path, ROWS[:1])
    assert [isinstance(item, Document) for item in items(refs)] == [True] + [False] * 8


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("rubbish", [b"", b"rubbish"])
def test_a_file_that_became_something_else_is_changed(
    tmp_path: Path, kind: int, rubbish: bytes
) -> None:
    path = three_kinds(tmp_path, ROWS)[kind]
    refs = scanned(path)
    path.write_bytes(rubbish)
    found = items(refs)
    assert {item.error for item in found if isinstance(item, ErrorRow)} == {"changed"}


def test_a_changed_text_file_is_an_error_row(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one")
    refs = scanned(path)
    path.write_bytes(b"two")
    (item,) = items(refs)
    assert isinstance(item, ErrorRow)
    assert item.error == "changed"


def test_a_file_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "z.txt").write_bytes(b"z")
    paths = [tmp_path / "a.txt", *three_kinds(tmp_path, ROWS[:2]), tmp_path / "z.txt"]
    refs = [ref for path in paths for ref in scanned(path)]
    for path in paths:
        found = items(refs, CountingFileSystem(failing=path.name))
        assert [isinstance(item, ErrorRow) for item in found] == [
            ref.file.path == str(path) for ref in refs
        ]
        rows = [item for item in found if isinstance(item, ErrorRow)]
        assert {(row.stage, row.error) for row in rows} == {("read", "unreadable")}
        assert all("Permission denied" in row.message for row in rows)


def test_a_file_without_good_rows_is_not_opened(tmp_path: Path) -> None:
    refs = scanned(write_lines(tmp_path / "rows.jsonl", "[]", "{}"))
    files = CountingFileSystem()
    assert items(refs, files) == [ref.error for ref in refs]
    assert files.n_opened == 0
