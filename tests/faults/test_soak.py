"""Many small documents, some of them bad: every one is accounted for, and memory stays flat."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.runs import files_of, problems
from support.texts import long_text

from faults.harness import EVERY_FAULT, TIMEOUT_SECONDS, python_path
from faults.steps import Fault

_N_DOCUMENTS = 100_000 if EVERY_FAULT else 5_000
_N_FILES = 10
_BAD_EVERY = 100
_BYTES_A_DOCUMENT = 1_000
"""What the plan and the history of a run may keep in memory of each."""

_BAD = {
    ("plan", "bad_json"): "{",
    ("plan", "not_an_object"): "[]",
    ("plan", "no_text"): '{"id": "@"}',
    ("plan", "bad_text"): '{"id": "@", "text": 1}',
    ("plan", "bad_id"): '{"id": "", "text": "a text"}',
    ("plan", "duplicate_id"): '{"id": "0", "text": "another text"}',
    ("tokenize", "no_tokens"): '{"id": "@", "text": " "}',
}
"""A row for each kind of error, by stage and name; ``@`` stands for an id of its own."""


def write_corpus(folder: Path, n_documents: int) -> tuple[set[str], Counter[tuple[str, str]]]:
    """Write JSON lines; the ids of good documents, and how many errors there are of each kind."""
    texts = [long_text(30, seed=seed) for seed in range(100)]
    good: set[str] = set()
    bad: Counter[tuple[str, str]] = Counter()
    folder.mkdir()
    rows = iter(range(n_documents))
    for number in range(_N_FILES):
        with open(folder / f"{number}.jsonl", "w") as file:
            for row in islice(rows, n_documents // _N_FILES):
                # The first of all is good: its id is taken twice.
                if row % _BAD_EVERY == _BAD_EVERY - 1:
                    kind = [*_BAD][row // _BAD_EVERY % len(_BAD)]
                    bad[kind] += 1
                    file.write(_BAD[kind].replace("@", str(row)) + "\n")
                else:
                    good.add(str(row))
                    text = f"{row} {texts[row % len(texts)]}"
                    file.write(json.dumps({"id": str(row), "text": text}) + "\n")
    return good, bad


def start(docs: Path, output: Path) -> subprocess.Popen[bytes]:
    fault = Fault(str(output), f"{output}.log")
    return subprocess.Popen(
        [
            *(sys.executable, "-c", "from longbert.cli.main import main; main()"),
            *("run", "--input", docs, "--output", output, "--runner", "none"),
            *("--precision", "float32", "--unit-bytes", "200000"),
        ],
        stderr=subprocess.DEVNULL,
        env={**os.environ, **fault.environment, "PYTHONPATH": python_path()},
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Exit status, and the most memory that it took, in bytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss << 10


def rows_of(output: Path, table: str, *columns: str) -> Iterator[tuple[str, ...]]:
    for path in sorted(output.glob(f"{table}/*.parquet")):
        read = pq.read_table(path, columns=list(columns))
        yield from zip(*(read.column(one).to_pylist() for one in columns), strict=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_soak(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    write_corpus(few, _N_DOCUMENTS // 10)
    good, bad = write_corpus(many, _N_DOCUMENTS)
    assert len(good) + bad.total() == _N_DOCUMENTS

    status, n_bytes_few = finish(start(few, tmp_path / "out-few"))
    assert status == 3
    status, n_bytes_many = finish(start(many, tmp_path / "undisturbed"))
    assert status == 3
    output = tmp_path / "out"
    killed = start(many, output)
    wanted = random.Random(0).uniform(0.2, 0.8) * len(files_of(tmp_path / "undisturbed"))
    deadline = time.monotonic() + 10 * TIMEOUT_SECONDS
    while sum(1 for _ in output.rglob("*.*")) < wanted:
        assert killed.poll() is None, "it is over too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    assert finish(killed)[0] == -signal.SIGKILL
    n_done = len([*output.glob("receipts/*.json")])
    status, n_bytes_resumed = finish(start(many, output))
    assert status == 3

    ids = [one for (one,) in rows_of(output, "documents", "document_id")]
    assert len(ids) == len(good)
    assert {*ids} == good
    assert Counter(rows_of(output, "errors", "stage", "error")) == bad
    assert problems(output) == []
    assert files_of(output) == files_of(tmp_path / "undisturbed")
    run = json.loads((output / "run.json").read_text())["runs"][-1]
    assert 0 < run["units_resumed"] == n_done < run["units"]
    print(f"peak MB: {n_bytes_few >> 20} of {_N_DOCUMENTS // 10:,} documents")
    print(f"peak MB: {n_bytes_many >> 20} of {_N_DOCUMENTS:,}, {n_bytes_resumed >> 20} resumed")
    for n_bytes in (n_bytes_many, n_bytes_resumed):
        assert n_bytes - n_bytes_few < _BYTES_A_DOCUMENT * _N_DOCUMENTS
