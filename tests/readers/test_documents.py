"""What holds for every kind of input."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reading import (
    CountingFileSystem,
    documents,
    items,
    scanned,
    write_lines,
    write_table,
)

from longbert.records import Document, ErrorRow


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
