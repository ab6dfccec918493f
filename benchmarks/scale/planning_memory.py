"""How much memory and disk planning takes as a corpus grows.

The corpus is not there: a file system makes its listing and its bytes as they are asked for, so
that nothing but planning takes memory. Each line is one plan in a process of its own::

    python benchmarks/scale/planning_memory.py 100000,1000000 lines,files,again

``lines`` are files of a thousand JSON lines; ``files`` one document each, in one folder, listed in
no order; ``again`` plans lines against an output that holds all of them, one in a hundred in
another state. Memory is what the process takes at most beyond what it took with everything
imported; disk is what its temporary files take at most, looked at twice a second.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, BinaryIO

from typing_extensions import override

from longbert.config import run_config
from longbert.core.planning import Block
from longbert.core.units import Part, PlannedDocument
from longbert.engine.context import RunContext
from longbert.engine.plan import list_groups, scan_group
from longbert.engine.planner import EarlierPart, Planned, plan_pieces
from longbert.store.filesystem import FileInfo, FileSystem

LINES_OF_A_FILE = 1000
PART_DOCUMENTS = 1000
CHANGED = 100
UNIT_BYTES = 1_000_000
# Odd, so that numbers come in no order and each comes once.
_STEP = 7_368_787


class MadeFiles(FileSystem):
    """A corpus that is made as it is read.

    Args:
        n_documents: in all.
        kind: ``lines`` or ``files``.
        version: what the texts say.
    """

    def __init__(self, n_documents: int, kind: str, version: str = "now") -> None:
        self._n_documents = n_documents
        self._kind = kind
        self._version = version

    @override
    def is_folder(self, path: str) -> bool:
        return path == "corpus"

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        if self._kind == "files":
            for place in range(self._n_documents):
                number = place * _STEP % self._n_documents
                yield FileInfo(f"corpus/{number:09d}.txt", len(self._text(number)))
            return
        for number in range(self._n_documents // LINES_OF_A_FILE):
            yield FileInfo(f"corpus/{number:07d}.jsonl", 100 * LINES_OF_A_FILE)

    @override
    def open(self, path: str) -> BinaryIO:
        if not path.startswith("corpus/"):
            raise FileNotFoundError(2, "No such file or directory", path)
        number = int(path.rpartition("/")[2].partition(".")[0])
        if self._kind == "files":
            return io.BytesIO(self._text(number).encode())
        first = number * LINES_OF_A_FILE
        rows = range(first, first + LINES_OF_A_FILE)
        lines = (f'{{"id": "document-{row:09d}", "text": "{self._text(row)}"}}\n' for row in rows)
        return io.BytesIO("".join(lines).encode())

    def _text(self, number: int) -> str:
        version = self._version if number % CHANGED == 0 else "always"
        return f"Document number {number:09d} as it is {version}."

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        return iter(())

    @override
    def local_path(self, path: str) -> str | None:
        return None

    @override
    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        raise PermissionError(13, "a corpus is read", path)

    @override
    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        raise PermissionError(13, "a corpus is read", path)

    @override
    def remove(self, path: str) -> None:
        raise PermissionError(13, "a corpus is read", path)


def context_of(files: FileSystem) -> RunContext:
    """A run over the corpus."""
    return RunContext(run_config({"input": ["corpus"], "output": "out"}), files)


def blocks_of(context: RunContext) -> Iterator[Block]:
    """What scanning gives."""
    for group in list_groups(context):
        yield from scan_group(context, group)


def earlier_parts(context: RunContext) -> Iterator[EarlierPart]:
    """An output that holds all documents, a thousand in a part."""
    ordinal = 0
    documents: list[PlannedDocument] = []
    for block in blocks_of(context):
        for ref in block.refs:
            documents.append(PlannedDocument.from_ref(ref))
            if len(documents) == PART_DOCUMENTS:
                yield EarlierPart(Part(f"{ordinal:06d}-made", tuple(documents), "f"))
                ordinal += 1
                documents = []


def part_named(name: str) -> Part:
    """One of those, made again from the lines of its file."""
    number = int(name.partition("-")[0])
    context = context_of(MadeFiles(0, "lines", "then"))
    info = FileInfo(f"corpus/{number:07d}.jsonl", 0)
    context.filesystem.files = lambda path: iter([info])  # type: ignore[method-assign]
    (block,) = blocks_of(context)
    return Part(name, tuple(map(PlannedDocument.from_ref, block.refs)), "f")


def plan(n_documents: int, kind: str) -> Planned:
    """Plan a corpus."""
    is_again = kind == "again"
    made = "lines" if is_again else kind
    before = context_of(MadeFiles(n_documents, made, "then"))
    return plan_pieces(
        blocks_of(context_of(MadeFiles(n_documents, made))),
        earlier_parts(before) if is_again else (),
        part_named,
        unit_bytes=UNIT_BYTES,
        fingerprint="f",
    )


class Disk(threading.Thread):
    """Looks at what the files without a name of this process take."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        """Look, twice a second."""
        while True:
            n_bytes = 0
            for handle in os.listdir("/proc/self/fd"):
                try:
                    status = os.stat(f"/proc/self/fd/{handle}")
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    n_bytes += status.st_size
            self.most = max(self.most, n_bytes)
            time.sleep(0.5)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def measure(n_documents: int, kind: str) -> None:
    """Plan once in this process, and write what it took."""
    plan(2 * LINES_OF_A_FILE, kind)
    before = _peak_bytes()
    disk = Disk()
    disk.start()
    began = time.process_time()
    planned = plan(n_documents, kind)
    result = {
        "documents": n_documents,
        "kind": kind,
        "units": planned.counts.units,
        "memory_MB": round((_peak_bytes() - before) / 1e6, 1),
        "disk_MB": round(disk.most / 1e6),
        "cpu_seconds": round(time.process_time() - began, 1),
    }
    assert planned.counts.documents == n_documents
    print(json.dumps(result), flush=True)


def main() -> None:
    """Measure each size and kind in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", help="numbers of documents, with commas")
    parser.add_argument("kinds", help="lines, files or again, with commas")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    cases = [(n, kind) for kind in given.kinds.split(",") for n in given.sizes.split(",")]
    if given.here:
        ((n, kind),) = cases
        measure(int(n), kind)
        return
    for n, kind in cases:
        subprocess.run([sys.executable, __file__, n, kind, "--here"], check=True)


if __name__ == "__main__":
    main()
