"""Documents that cannot be done: each is a row of errors with a reason, its neighbours are done."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from support.commands import MARKER, run_arguments
from support.runs import command, files_of, problems, rows, some_texts, write_texts

Call = Callable[..., Result]

LONG_ID = "i" * 10_240


def bad_documents(folder: Path) -> Path:
    """One document that is well among all that are not."""
    good = json.dumps({"id": "good", "text": f"{MARKER} is a dragonfly. It flies at dusk."})
    lines = [
        good,
        '{"id": "cut", "text": "' + MARKER,
        json.dumps({"id": "textless", "body": MARKER}),
        json.dumps({"id": "listed", "text": [MARKER]}),
        json.dumps({"id": "", "text": MARKER}),
        json.dumps({"id": LONG_ID, "text": MARKER}),
        json.dumps({"id": "good", "text": f"{MARKER} again"}),
        json.dumps([MARKER]),
        f'"{MARKER}"',
        json.dumps({"id": "nothing", "text": None}),
        json.dumps({"id": ["x"], "text": MARKER}),
        good.replace('"good"', '"last"'),
    ]
    write_texts(folder, {"lines.jsonl": "\n".join(lines), "empty.txt": "", "white.md": " \n\t"})
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 8 + MARKER.encode() + bytes(3000))
    (folder / "nul.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + MARKER.encode() + b"\x00" * 2000)
    (folder / "dangling.txt").symlink_to("nowhere")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(good.encode())[:12])
    pq.write_table(pa.table({"id": ["p"], "body": [MARKER]}), folder / "column.parquet")
    (folder / "no.parquet").write_bytes(f"{MARKER}, no Parquet".encode())
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


class Ran:
    """A run of the installed command over bad documents."""

    def __init__(self, place: Path, model: Path) -> None:
        self.docs = bad_documents(place / "docs")
        self.output = place / "out"
        self.done = command(
            *("run", "--input", self.docs, "--output", self.output, "--embed", model),
            *("--precision", "float32", "--unit-bytes", "2000"),
        )
        self.errors = {
            str(Path(row["source"]).relative_to(self.docs)): row
            for row in rows(self.output, "errors")
        }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Ran:
    return Ran(tmp_path_factory.mktemp("bad"), small)


def test_the_command_ends_with_3_and_its_neighbours_are_done(ran: Ran) -> None:
    assert ran.done.returncode == 3
    assert ran.done.stdout == ""
    ids = [row["document_id"] for row in rows(ran.output, "documents")]
    assert ids == ["good", "last"]
    reasons = f"{len(ran.errors)} rows in {ran.output}/errors, each with a reason"
    assert reasons in ran.done.stderr
    assert "skipped 1 file that longbert does not read: .png 1" in ran.done.stderr
    assert problems(ran.output) == []


@pytest.mark.parametrize(
    ("source", "document_id", "stage", "error", "message"),
    [
        ("dangling.txt", "dangling.txt", "plan", "unreadable", "No such file or directory: make"),
        ("binary.txt", "binary.txt", "read", "encoding", "it is binary"),
        ("nul.txt", "nul.txt", "read", "encoding", "it is binary"),
        ("empty.txt", "empty.txt", "plan", "empty", "0 bytes: leave it out"),
        ("white.md", "white.md", "tokenize", "no_tokens", "white space"),
        ("lines.jsonl#2", None, "plan", "bad_json", "not valid JSON: .* at character"),
        ("lines.jsonl#3", "textless", "plan", "no_text", "the fields are id, body: .*--text-field"),
        ("lines.jsonl#4", "listed", "plan", "bad_text", "must be a string, got list"),
        ("lines.jsonl#5", None, "plan", "bad_id", "must have 1 to 1,000 characters, got 0:"),
        ("lines.jsonl#6", None, "plan", "bad_id", "1 to 1,000 characters, got 10,240: shorten"),
        ("lines.jsonl#7", "good", "plan", "duplicate_id", "already taken by .*lines.jsonl#1"),
        ("lines.jsonl#8", None, "plan", "not_an_object", "a JSON array, not an object"),
        ("lines.jsonl#9", None, "plan", "not_an_object", "a JSON string, not an object"),
        ("lines.jsonl#10", "nothing", "plan", "no_text", "text field 'text' is null: give it"),
        ("lines.jsonl#11", None, "plan", "bad_id", "must be a string or an integer, got list"),
        ("column.parquet", None, "plan", "no_text", "the columns are id, body: .*--text-field"),
        ("no.parquet", None, "plan", "bad_parquet", "is not Parquet, or is damaged"),
    ],
)
def test_a_bad_document_is_a_row_with_a_reason(
    ran: Ran, source: str, document_id: str | None, stage: str, error: str, message: str
) -> None:
    row = ran.errors[source]
    assert (row["document_id"], row["stage"], row["error"]) == (document_id, stage, error)
    assert re.search(message, row["message"])


def test_a_gzip_that_was_cut_short_is_an_error(ran: Ran) -> None:
    row = ran.errors["cut.jsonl.gz"]
    assert (row["document_id"], row["stage"], row["error"]) == (None, "plan", "bad_gzip")
    assert "damaged or cut short" in row["message"]


def test_no_message_holds_text_of_a_document(ran: Ran) -> None:
    assert ran.errors
    assert MARKER.lower() not in json.dumps(list(ran.errors.values())).lower()
    assert MARKER.lower() not in ran.done.stderr.lower()
    for path in ran.output.rglob("*.json"):
        assert MARKER.lower() not in path.read_text().lower(), path
    names = {path.name for path in ran.output.rglob("*.json")}
    assert names > {"manifest.json", "run.json", "fingerprint.json"}


def test_a_rerun_keeps_the_rows_and_the_status(ran: Ran, call: Call, small: Path) -> None:
    before = files_of(ran.output)
    result = call(
        *("run", "--input", ran.docs, "--output", ran.output, "--embed", small),
        *("--precision", "float32", "--unit-bytes", "2000", "--runner", "none"),
    )
    assert result.exit_code == 3
    assert "nothing to do" in result.stderr
    assert files_of(ran.output) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path, call: Call, small: Path) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(2))
    (docs / "00.txt").chmod(0)
    result = call(*run_arguments(docs, tmp_path / "out", small))
    assert result.exit_code == 3
    (row,) = rows(tmp_path / "out", "errors")
    assert (row["error"], row["document_id"]) == ("unreadable", "00.txt")
