"""How much memory the steps of a run that look at all parts take as an output grows.

The output is not there: a file system makes receipts, shards and listings as they are asked for,
ten documents to a part. Each line is one step in a process of its own::

    python benchmarks/scale/parts_memory.py 10000,100000 run,remove,compact

``run`` plans a run with nothing to do and gathers all receipts into shards; ``remove`` looks for
files that the manifest does not name; ``compact`` packs all documents anew. Memory is what the
process takes at most beyond what it took for a small output.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from planning_memory import MadeFiles
from typing_extensions import override

from longbert.config import run_config
from longbert.core.units import PlannedDocument
from longbert.engine.compaction import plan_compaction
from longbert.engine.context import RunContext
from longbert.engine.gather import gather_shard
from longbert.engine.plan import earlier_parts, list_groups, scan_group
from longbert.engine.planner import plan_pieces
from longbert.records import DocumentRef
from longbert.store.filesystem import FileInfo
from longbert.store.layout import LEXICAL, PART_SUFFIXES, RECEIPTS, part_file
from longbert.store.leftovers import unnamed_files
from longbert.store.receipts import DocumentEntry, FileEntry, PartEntry, Receipt
from longbert.store.record import to_json
from longbert.store.shards import PARTS_OF_A_SHARD

PART_DOCUMENTS = 10
UNIT_BYTES = 5_700
"""Of which ten documents fill one."""
FILE_BYTES = 1000
STEPS = ("run", "remove", "compact")


def part_of(number: int) -> str:
    """The name of a part."""
    return f"{number:06d}-{number:012x}"


class MadeOutput(MadeFiles):
    """Documents, and an output that has them all."""

    def __init__(self, n_parts: int) -> None:
        super().__init__(n_parts * PART_DOCUMENTS, "lines")
        self.n_parts = n_parts
        self._refs: tuple[int, list[DocumentRef]] = (-1, [])

    def receipt(self, number: int) -> Receipt:
        """Of a part."""
        rows = range(number * PART_DOCUMENTS, (number + 1) * PART_DOCUMENTS)
        documents = [PlannedDocument.from_ref(self._ref(row)) for row in rows]
        return Receipt(
            part=part_of(number),
            fingerprint="f" * 64,
            lexical="e" * 64,
            counts={"documents": PART_DOCUMENTS, "passages": PART_DOCUMENTS, "errors": 0},
            files={
                folder: FileEntry(sha256="d" * 64, n_bytes=FILE_BYTES, n_rows=PART_DOCUMENTS)
                for folder in PART_SUFFIXES
                if folder != RECEIPTS
            },
            documents=tuple(map(DocumentEntry.of, documents)),
        )

    def entries(self) -> Iterator[PartEntry]:
        """What shards say of all parts."""
        for number in range(self.n_parts):
            yield PartEntry(
                name=part_of(number), fingerprint="f" * 64, lexical="e" * 64, counts={}, files={}
            )

    @override
    def is_folder(self, path: str) -> bool:
        return True

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        folder = path.removeprefix("out/")
        if path == "corpus":
            yield from super().files(path)
        elif folder in PART_SUFFIXES:
            for number in reversed(range(self.n_parts)):
                name = part_of(number) + ("-" + "e" * 12 if folder == LEXICAL else "")
                yield FileInfo(f"out/{part_file(folder, name)}", FILE_BYTES)

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        if pattern.startswith("out/") and "*" not in pattern and "manifest" not in pattern:
            yield FileInfo(pattern, FILE_BYTES)

    @override
    def open(self, path: str) -> BinaryIO:
        folder, _, name = path.removeprefix("out/").partition("/")
        if folder == RECEIPTS:
            return io.BytesIO(to_json(self.receipt(int(name.partition("-")[0]))))
        return super().open(path)

    @override
    @contextmanager
    def create(self, path: str) -> Iterator[IO[bytes]]:
        yield io.BytesIO()

    def _ref(self, row: int) -> DocumentRef:
        """The file's other rows are asked for next."""
        number = row // 1000
        if self._refs[0] != number:
            file = next(one for group in list_groups(context_of(_OneFile(number))) for one in group)
            (block,) = scan_group(context_of(self), [file])
            self._refs = number, list(block.refs)
        return self._refs[1][row % 1000]


class _OneFile(MadeFiles):
    def __init__(self, number: int) -> None:
        super().__init__(0, "lines")
        self._number = number

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        yield FileInfo(f"corpus/{self._number:07d}.jsonl", 100_000)


def context_of(files: MadeFiles) -> RunContext:
    """A run over the corpus."""
    return RunContext(run_config({"input": ["corpus"], "output": "out", "embed": "none"}), files)


def do(step: str, files: MadeOutput) -> int:
    """Do a step; how many parts it saw."""
    context = context_of(files)
    blocks = (one for group in list_groups(context) for one in scan_group(context, group))
    names = map(part_of, range(files.n_parts))
    if step == "remove":
        return files.n_parts - len([*unnamed_files(context.output, files.entries(), [])])
    if step == "compact":
        earlier = (files.receipt(number).planned for number in range(files.n_parts))
        plan = plan_compaction(blocks, unit_bytes=UNIT_BYTES, earlier=earlier)
        assert plan.n_held == plan.n_documents
        return plan.n_parts_before
    planned = plan_pieces(
        blocks,
        earlier_parts(context, names),
        lambda name: files.receipt(int(name.partition("-")[0])).planned,
        unit_bytes=UNIT_BYTES,
        fingerprint="f" * 64,
    )
    assert planned.counts.unchanged == planned.counts.documents
    parts = iter(planned.parts)
    shards = [
        gather_shard(context, number, [next(parts) for _ in range(min(PARTS_OF_A_SHARD, left))])
        for number, left in enumerate(range(files.n_parts, 0, -PARTS_OF_A_SHARD))
    ]
    return sum(one.n_parts for one in shards)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def measure(n_parts: int, step: str) -> None:
    """Do a step once in this process, and write what it took."""
    do(step, MadeOutput(200))
    before, began = _peak_bytes(), time.process_time()
    assert do(step, MadeOutput(n_parts)) == n_parts
    result = {
        "parts": n_parts,
        "step": step,
        "memory_MB": round((_peak_bytes() - before) / 1e6, 1),
        "cpu_seconds": round(time.process_time() - began, 1),
    }
    print(json.dumps(result), flush=True)


def main() -> None:
    """Measure each size and step in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", help="numbers of parts, with commas")
    parser.add_argument("steps", help=f"{', '.join(STEPS)}, with commas")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    cases = [(n, step) for step in given.steps.split(",") for n in given.sizes.split(",")]
    if given.here:
        ((n, step),) = cases
        measure(int(n), step)
        return
    for n, step in cases:
        subprocess.run([sys.executable, __file__, n, step, "--here"], check=True)


if __name__ == "__main__":
    main()
