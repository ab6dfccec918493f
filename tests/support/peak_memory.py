"""How much memory a run over one document takes, in a process of its own.

Pieces, row groups and blocks are small here, so that a few megabytes are many of each::

    python -m support.peak_memory DOCUMENT OUTPUT

writes to standard output what the process had before, at least, and at most; in KiB.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from fakes.encoder import fake_models

from longbert.index.lexical import large
from longbert.readers import piecewise
from longbert.store import parquet
from longbert.store.filesystem import LocalFileSystem

from .runs import run_on


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(document: str, output: str) -> None:
    """Run over a document with every kind of head."""
    piecewise.PIECE_BYTES = 1 << 16
    parquet.ROW_GROUP_ROWS = 1 << 10
    large.BLOCK_OCCURRENCES = 1 << 17
    before = _peak_kib()
    run_on(
        LocalFileSystem(),
        Path(document),
        Path(output),
        load=fake_models,
        unit_bytes=1 << 16,
        embed="fake",
        classify=["c"],
        ner=["n", "m"],
        window_scores=True,
        language="en",
        window=66,
    )
    print(before, _peak_kib())


if __name__ == "__main__":
    main(*sys.argv[1:])
