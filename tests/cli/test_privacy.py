"""Text of documents is in tables and indexes alone, never in messages, logs and metrics."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from support.commands import MARKER
from support.runs import command, some_texts, write_texts

from longbert.config import Execution, run_config
from longbert.launch import run_job

HOLDS_TEXT = ("documents", "passages", "entities", "lexical", "index")
"""Folders of an output that are there to hold it."""

LIMITS = {"max_record_bytes": 4000, "max_text_bytes": 3000, "max_metadata_bytes": 500}


def bad_lines() -> Iterator[str | bytes]:
    """JSON lines that go wrong each in its own way, all with the marker in what is not an id."""
    yield json.dumps({"id": "good", "text": f"{MARKER} is a dragonfly."})
    yield '{"id": "cut", "text": "' + MARKER
    yield json.dumps({"id": "textless", "body": MARKER})
    yield json.dumps({"id": "listed", "text": [MARKER]})
    yield json.dumps({"id": "", "text": MARKER})
    yield json.dumps({"id": [MARKER], "text": MARKER})
    yield json.dumps({"id": "good", "text": f"{MARKER} again"})
    yield json.dumps({"id": "null", "text": None, "more": MARKER})
    yield json.dumps([MARKER])
    yield json.dumps(MARKER)
    yield f"{MARKER} and no JSON"
    yield f'{{"id": "twice", "text": "{MARKER}", "text": "{MARKER} again"}}'
    yield f'{{"id": "number", "text": "{MARKER}", "more": 1e{MARKER}}}'
    yield json.dumps({"id": "long line", "text": f"{MARKER} " * 900})
    yield json.dumps({"id": "long metadata", "text": MARKER, "more": MARKER * 100})
    yield '{"id": "deep", "text": "' + MARKER + '", "more": ' + "[" * 900 + "]" * 900 + "}"
    yield '{"id": "half", "text": "' + MARKER + ' \\ud800"}'
    yield b'{"id": "bytes", "text": "' + MARKER.encode() + b' \xc0\xaf"}'
    yield json.dumps({"id": "no tokens", "text": "\u200b", "more": MARKER})


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Documents of every kind that can go wrong, among some that do not."""
    folder = tmp_path / "bad"
    texts = {name: f"{text} {MARKER}" for name, text in some_texts(3).items()}
    write_texts(folder, texts | {"empty.txt": "", "white.md": " \n\t"})
    raw = [line if isinstance(line, bytes) else line.encode() for line in bad_lines()]
    (folder / "lines.jsonl").write_bytes(b"\n".join(raw))
    packed = gzip.compress(b"\n".join(raw[:1] * 400))
    (folder / "cut.jsonl.gz").write_bytes(packed[:-20])
    (folder / "damaged.jsonl.gz").write_bytes(packed[:30] + bytes(9) + packed[39:])
    (folder / "overlong.txt").write_bytes(MARKER.encode() + b" abc \xc0\xaf def")
    (folder / "latin.txt").write_bytes(f"{MARKER}, où l'été a été chaud".encode("latin-1"))
    (folder / "wide.txt").write_bytes(MARKER.encode("utf-16-le"))
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 8 + MARKER.encode() + bytes(3000))
    (folder / "long.txt").write_text(f"{MARKER} " * 500)
    (folder / "page.html").write_bytes(b"<p>\xff" + MARKER.encode() + b"<a href='" + bytes(9))
    (folder / "long.html").write_text(f"<p>{MARKER}</p>" * 500)
    pq.write_table(pa.table({"id": ["p"], "body": [MARKER]}), folder / "column.parquet")
    pq.write_table(pa.table({"id": ["q"], "text": [[MARKER]]}), folder / "type.parquet")
    pq.write_table(pa.table({"id": ["r"], "text": [f"{MARKER} " * 900]}), folder / "row.parquet")
    (folder / "no.parquet").write_bytes(f"{MARKER}, no Parquet".encode())
    return folder


def written_elsewhere(folder: Path) -> Iterator[tuple[str, str]]:
    """What a run wrote where no text belongs: the name of each file and what is in it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if name.startswith(HOLDS_TEXT):
            continue
        is_table = path.suffix == ".parquet"
        content = str(pq.read_table(path).to_pylist()) if is_table else path.read_text("latin-1")
        yield name, content


def test_nothing_that_is_printed_or_written_tells_a_text(
    call: Callable[..., Result],
    bad: Path,
    tmp_path: Path,
    small: Path,
    models: Callable[..., Path],
) -> None:
    ner = models("bert", task="ner", backbone_seed=0, seed=1)
    output = tmp_path / "out"
    limits = [f"--{name.replace('_', '-')}={value}" for name, value in LIMITS.items()]
    arguments = ["run", "--input", bad, "--output", output, "--embed", small, "--ner", ner, *limits]
    ran = command(*arguments)
    assert ran.returncode == 3, ran.stderr
    again = call(*arguments)
    assert "nothing to do" in again.stderr
    verified = call("verify", output)
    asked = call("query", "a dragonfly", "--index", output, "--format", "json")
    assert MARKER in asked.stdout, "what was found is shown"
    damaged = next((output / "passages").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-9])
    complaint = call("verify", output)
    assert complaint.exit_code == 1
    report = call("verify", output, "--inputs", "--format", "json")
    assert json.loads(report.stdout)["problems"]
    forecast = call(*arguments, "--dry-run")
    assert forecast.exit_code == 3
    mended = call("--debug", *arguments)
    assert mended.exit_code == 3
    compacted = call("--debug", "compact", output)
    assert compacted.exit_code == 0

    printed = [ran.stdout, ran.stderr, again.stderr, verified.stdout, verified.stderr]
    printed += [asked.stderr, complaint.stdout, complaint.stderr]
    for one in (report, forecast, mended, compacted):
        printed += [one.stdout, one.stderr]
    assert MARKER not in "\n".join(printed)
    files = dict(written_elsewhere(output))
    assert {"manifest.json", "run.json", "fingerprint.json"} <= files.keys()
    errors = "".join(content for name, content in files.items() if name.startswith("errors/"))
    kinds = ("bad_json", "no_text", "bad_text", "bad_id", "duplicate_id", "not_an_object")
    more = ("duplicate_field", "too_large", "bad_gzip", "bad_parquet", "encoding", "no_tokens")
    for kind in (*kinds, *more, "empty"):
        assert f"'{kind}'" in errors, kind
    for name, content in files.items():
        assert MARKER not in content, name


def test_no_metric_tells_a_text(bad: Path, tmp_path: Path, small: Path) -> None:
    """What processes count, and leave for each other while they run."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    config = run_config({"input": [str(bad)], "output": str(tmp_path / "out"), "embed": str(small)})
    run_job(config, Execution(), meter_folder=str(folder), notify=print)
    found = list(folder.iterdir())
    assert found
    for path in found:
        assert MARKER.encode() not in path.read_bytes()
