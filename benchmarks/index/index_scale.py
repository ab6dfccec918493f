"""How an index of vectors grows: build time, memory, recall and query time by type and size.

The vectors are drawn, since what is measured is the index: topics, documents around topics, and
passages around documents, most of it in 48 dimensions, as in vectors of sentences, and a little in
all. Queries are further passages of documents that are there. Times of queries are those of the
processor on one thread and of the clock, in a warm process, and those of building are of the
processor over all threads and of the clock. Other work changes those of the processor little.

Each size and type is built from tables by longbert's own code in a process of its own, and searched
in another one, as a query would be::

    python benchmarks/index/index_scale.py FOLDER 1000000 flat,ivf,ivf-sq8

FOLDER takes the tables and indexes (about 4 GB for a million rows), and the results as
``results.jsonl``, which ``chart_scale.py`` draws. The tables of a size are made once and kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from longbert.arrays import FloatArray, IntArray
from longbert.core.passages import passage_id
from longbert.index.backend import load_faiss
from longbert.index.build import build_index
from longbert.index.dense import DenseSearch
from longbert.index.opened import VectorIndex
from longbert.index.sentences import SentenceSearch
from longbert.index.table import OpenTable
from longbert.store.filesystem import LocalFileSystem
from longbert.store.fingerprints import IndexSettings
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile
from longbert.store.index_description import IndexEntry

WIDTH = 384
DIMENSIONS = 48
PASSAGES = 20
ROWS_OF_PART = 20_000
QUERIES = 400
K = 10
RECALL = 0.95

Floats = npt.NDArray[np.float32]

_BASIS = np.random.default_rng(1).standard_normal((DIMENSIONS, WIDTH)).astype(np.float32)


def draw(rows: int, seed: int, *, of: int) -> tuple[Floats, Floats]:
    """Vectors of documents in a corpus of ``of`` passages, and of their ``rows`` passages."""
    topics = _noise(np.random.default_rng(0), max(10, round(of**0.5)))
    draw = np.random.default_rng(seed)
    documents = topics[draw.integers(len(topics), size=rows // PASSAGES)]
    documents = _unit(documents + 0.8 * _noise(draw, len(documents)))
    passages = np.repeat(documents, PASSAGES, axis=0)
    return documents, _unit(passages + _noise(draw, len(passages)))


def write_tables(folder: Path, rows: int) -> None:
    """Write the columns that an index is built from, part by part."""
    for part in range(rows // ROWS_OF_PART):
        documents, passages = draw(ROWS_OF_PART, part + 1, of=rows)
        ids = [f"{part:05}/{number}" for number in range(len(documents))]
        owners = np.repeat(np.array(ids, object), PASSAGES)
        ordinals = np.tile(np.arange(PASSAGES, dtype=np.int32), len(ids))
        numbers = [passage_id(*one) for one in zip(owners, ordinals.tolist(), strict=True)]
        zeros = np.zeros(len(owners), np.int64)
        for table, columns in (
            ("documents", {"document_id": ids, "embedding": _column(documents)}),
            (
                "passages",
                {
                    "passage_id": np.array(numbers, np.int64),
                    "document_id": owners,
                    "ordinal": ordinals,
                    "char_start": zeros,
                    "char_end": zeros,
                    "embedding": _column(passages),
                },
            ),
        ):
            path = folder / table / f"{_part(part)}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path, compression="zstd")


def build(folder: Path, rows: int, type: str) -> dict[str, Any]:
    """Build an index, and measure time and memory."""
    began, before = (time.perf_counter(), time.process_time()), _anonymous_mb()
    with _Peak() as peak:
        built = build_index(_output(folder), _parts(rows), _settings(type))
    seconds = time.perf_counter() - began[0]
    processor_seconds = time.process_time() - began[1]
    assert built.entry is not None
    assert built.report.passages is not None
    index = _output(folder).index_description(built.entry).passages
    (segment,) = index.segments
    return {
        "build_seconds": round(seconds, 1),
        "build_processor_seconds": round(processor_seconds, 1),
        "steps": built.report.passages.seconds,
        "build_mb": peak.mb - before,
        "build_estimate_mb": built.report.passages.build_bytes // 10**6,
        "disk_mb": segment.n_bytes // 10**6,
        "memory_mb": segment.memory_bytes // 10**6,
        "type": index.type,
        "effort": index.tuning.effort,
        "candidates": index.tuning.candidates,
        "recall_held_out": index.tuning.recall_at_10,
        "entry": {"file": built.entry.file, "sha256": built.entry.sha256},
    }


def search(folder: Path, rows: int, entry: dict[str, str]) -> dict[str, Any]:
    """Open an index, and measure time, memory and recall of queries."""
    output, parts = _output(folder), _parts(rows)
    opened, before = time.perf_counter(), _anonymous_mb()
    description = output.index_description(IndexEntry(**entry))
    files = {name: HeldFile(output, name) for name in description.files}
    passages = OpenTable.open(files, description.passages, parts, metric=description.metric)
    documents = OpenTable.open(files, description.documents, parts, metric=description.metric)
    vectors = VectorIndex(description, passages, documents)
    opening = time.perf_counter() - opened
    centres, _ = draw(ROWS_OF_PART, 1, of=rows)
    again = np.random.default_rng(10**6)
    picked = again.integers(len(centres), size=QUERIES)
    queries = _unit(centres[picked] + _noise(again, QUERIES))
    snapshot = _Snapshot(rows)
    dense = SentenceSearch(DenseSearch(snapshot, vectors), snapshot.ids)  # type: ignore[arg-type]
    load_faiss().omp_set_num_threads(1)
    measured: dict[str, Any] = {"open_ms": round(opening * 1000, 1)}
    for rank, k in (("best", K), ("best-mean", K), ("best-mean", 50)):
        for query in queries[:50]:
            dense.top(query[np.newaxis], k, rank, allowed=None)
        seconds = np.zeros((len(queries), 2))
        for query, row in zip(queries, seconds, strict=True):
            began = np.array((time.process_time(), time.perf_counter()))
            dense.top(query[np.newaxis], k, rank, allowed=None)
            row[:] = (time.process_time(), time.perf_counter()) - began
        for column, suffix in enumerate(("ms", "clock_ms")):
            p50, p99 = np.percentile(seconds[:, column], (50, 99)) * 1000
            measured[f"{rank}@{k}_{suffix}"] = {"p50": round(p50, 2), "p99": round(p99, 2)}
    measured["held_mb"] = _anonymous_mb() - before
    truth = _nearest(folder, rows, queries)
    found = [vectors.passages.search(query, 100).rows[:K] for query in queries]
    shares = [np.isin(one, two).mean() for one, two in zip(truth, found, strict=True)]
    measured["recall_queries"] = round(float(np.mean(shares)), 4)
    return measured


class _Snapshot:
    """Stands for the tables: every document has twenty passages."""

    def __init__(self, rows: int) -> None:
        self.n_documents = rows // PASSAGES

    def documents_of(self, passages: IntArray) -> IntArray:
        return passages // PASSAGES

    def rows_of(self, documents: IntArray) -> tuple[IntArray, IntArray]:
        rows = documents[:, np.newaxis] * PASSAGES + np.arange(PASSAGES)
        return rows.ravel(), np.full(len(documents), PASSAGES)

    def ids(self, documents: IntArray) -> list[str]:
        return [f"{number:09}" for number in documents.tolist()]


def _nearest(folder: Path, rows: int, queries: Floats) -> npt.NDArray[np.int64]:
    """The true nearest passages, by looking at all of them."""
    best = load_faiss().ResultHeap(len(queries), K, keep_max=True)
    for number, part in enumerate(_parts(rows)):
        column = pq.read_table(folder / "passages" / f"{part}.parquet", columns=["embedding"])
        values = column.column(0).combine_chunks().flatten().to_numpy()
        block = load_faiss().IndexFlatIP(WIDTH)
        block.add(np.ascontiguousarray(values.reshape(-1, WIDTH)))
        scores, found = block.search(queries, K)
        best.add_result(scores, found + number * ROWS_OF_PART)
    best.finalize()
    nearest: npt.NDArray[np.int64] = best.I
    return nearest


def _noise(draw: np.random.Generator, n: int) -> Floats:
    """Directions, of which most lies in few dimensions."""
    few = draw.standard_normal((n, DIMENSIONS), np.float32) @ _BASIS
    return _unit(_unit(few) + 0.3 * _unit(draw.standard_normal((n, WIDTH), np.float32)))


def _unit(vectors: FloatArray) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _column(vectors: Floats) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH)


def _part(number: int) -> str:
    return f"{number:06}-{0:012x}"


def _parts(rows: int) -> list[str]:
    return [_part(number) for number in range(rows // ROWS_OF_PART)]


def _output(folder: Path) -> OutputFolder:
    return OutputFolder(LocalFileSystem(), str(folder))


def _settings(type: str) -> IndexSettings:
    return IndexSettings(metric="cosine", type=type, memory_bytes=None, recall=RECALL, faiss="")


def _anonymous_mb() -> int:
    """Memory of this process that is no mapped file."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) // 1000


class _Peak:
    """The most memory of this process that is no mapped file, while a block runs."""

    def __enter__(self) -> _Peak:
        self.mb = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.mb = max(self.mb, _anonymous_mb())


def _apart(*arguments: str) -> dict[str, Any]:
    """Run a step of this script in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", help="sizes, with commas")
    parser.add_argument("types", help="types of index, with commas")
    parser.add_argument("--step", choices=("build", "search"), help=argparse.SUPPRESS)
    parser.add_argument("--entry", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        folder, rows = given.folder, int(given.rows)
        if given.step == "build":
            print(json.dumps(build(folder, rows, given.types)))
        else:
            print(json.dumps(search(folder, rows, json.loads(given.entry))))
        return
    for rows in map(int, given.rows.split(",")):
        folder = given.folder / str(rows)
        if not folder.exists():
            write_tables(folder, rows)
        for type in given.types.split(","):
            here = str(folder), str(rows), type
            result = {"rows": rows} | _apart(*here, "--step", "build")
            entry = json.dumps(result.pop("entry"))
            result |= _apart(*here, "--step", "search", "--entry", entry)
            for file in (folder / "index").iterdir():
                file.unlink()
            with (given.folder / "results.jsonl").open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
