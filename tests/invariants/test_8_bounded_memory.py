"""Invariant 8, bounded memory: documents are held a unit at a time."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.local_files import WatchedFiles
from support.runs import (
    problems,
    run_on,
    some_texts,
    write_texts,
)
from support.texts import long_text

from longbert.records import Document
from longbert.store.shards import n_parts

Settings = dict[str, Any]


class TestInvariant8BoundedMemory:
    def test_documents_are_read_and_released_unit_by_unit(
        self, tmp_path: Path, embedding: Settings
    ) -> None:
        n_units, in_a_unit = 20, 3
        docs = write_texts(tmp_path / "docs", some_texts(n_units * in_a_unit, n_words=30))
        sizes = [path.stat().st_size for path in docs.iterdir()]
        unit_bytes = in_a_unit * (max(sizes) + 512)
        assert unit_bytes < (in_a_unit + 1) * (min(sizes) + 512)
        alive = []

        def watch(path: str) -> None:
            # A unit's documents are read one after the other, then its receipt is written.
            if path.endswith(".json") or path.endswith(("0.txt", "5.txt")):
                alive.append(sum(type(one) is Document for one in gc.get_objects()))

        gc.collect()
        gc.freeze()  # Looking through all that was there before would take most of the time.
        try:
            outcome = run_on(
                WatchedFiles(watch), docs, tmp_path / "out", unit_bytes=unit_bytes, **embedding
            )
        finally:
            gc.unfreeze()

        assert n_parts(outcome.manifest.shards) == n_units
        assert 0 < max(alive) <= in_a_unit
        assert alive[-1] == 0

    @pytest.mark.slow
    def test_a_document_five_times_as_large_takes_no_more(self, tmp_path: Path) -> None:
        lines = long_text(20_000, seed=8).replace(". ", ".\n")
        n_bytes = 1_200_000
        peaks_kib = []
        for times in (1, 5):
            document = tmp_path / f"{times}.txt"
            repeats = -(-times * n_bytes // len(lines))
            document.write_text("\n".join([lines] * repeats))
            finished = subprocess.run(
                [sys.executable, "-m", "support.peak_memory", document, tmp_path / str(times)],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            before, peak = map(int, finished.stdout.split())
            peaks_kib.append(peak - before)
            assert problems(tmp_path / str(times)) == []
        # Held as a whole, each of the 4.8 megabytes more would take twenty.
        assert peaks_kib[1] - peaks_kib[0] < 25 << 10
