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
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.runs import files_of, problems
from support.texts import long_text

from faults.harness import EVERY_FAULT, python_path
from faults.steps import Fault

_N_DOCUMENTS = 100_000 if EVERY_FAULT else 5_000
_N_FILES = 10
_BAD_EVERY = 100
_FLAT_BYTES = 16 << 20
"""By which runs over ten times as many documents may take more memory at their peak."""
_SAMPLED_SECONDS = 0.1

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


@dataclass(frozen=True)
class Finished:
    """How a run ended.

    Attributes:
        status: exit status; negative for a signal.
        peak_bytes: the most memory that it took.
        tenths: bytes that it had in memory when a tenth of its units was done, two tenths, ...
    """

    status: int
    peak_bytes: int
    tenths: tuple[int, ...]


def finish(process: subprocess.Popen[bytes], output: Path) -> Finished:
    """Watch a run until it ends."""
    samples: list[tuple[int, int]] = []
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        samples.append((_n_units_done(output), _resident_bytes(process.pid)))
        time.sleep(_SAMPLED_SECONDS)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    n_units = samples[-1][0]
    tenths = (
        next(n_bytes for done, n_bytes in samples if done >= n_units * tenth / 10)
        for tenth in range(1, 11)
    )
    return Finished(process.returncode, usage.ru_maxrss << 10, tuple(tenths))


def _n_units_done(output: Path) -> int:
    return sum(1 for _ in output.glob("receipts/*.json"))


def _resident_bytes(pid: int) -> int:
    """Of a process; of one that has just ended, 0."""
    n_pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(n_pages) * os.sysconf("SC_PAGE_SIZE")


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

    undisturbed = tmp_path / "undisturbed"
    of_few = finish(start(few, tmp_path / "out-few"), tmp_path / "out-few")
    of_many = finish(start(many, undisturbed), undisturbed)
    print(f"peak MB: {of_few.peak_bytes >> 20} of {_N_DOCUMENTS // 10:,} documents")
    print(f"peak MB: {of_many.peak_bytes >> 20} of {_N_DOCUMENTS:,}")
    print(f"MB at each tenth: {[n_bytes >> 20 for n_bytes in of_many.tenths]}", flush=True)
    assert (of_few.status, of_many.status) == (3, 3)
    output = tmp_path / "out"
    killed = start(many, output)
    wanted = random.Random(0).uniform(0.2, 0.8) * _n_units_done(undisturbed)
    while _n_units_done(output) < wanted:
        assert killed.poll() is None, "it is over too early"
        time.sleep(_SAMPLED_SECONDS)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    n_done = _n_units_done(output)
    resumed = finish(start(many, output), output)
    print(f"peak MB: {resumed.peak_bytes >> 20} resumed", flush=True)
    assert resumed.status == 3

    ids = [one for (one,) in rows_of(output, "documents", "document_id")]
    assert len(ids) == len(good)
    assert {*ids} == good
    assert Counter(rows_of(output, "errors", "stage", "error")) == bad
    assert problems(output) == []
    assert files_of(output) == files_of(undisturbed)
    run = json.loads((output / "run.json").read_text())["runs"][-1]
    assert 0 < run["units_resumed"] == n_done < run["units"]
    for one in (of_many, resumed):
        assert one.peak_bytes - of_few.peak_bytes < _FLAT_BYTES
