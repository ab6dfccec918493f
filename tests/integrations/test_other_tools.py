"""The example that reads an index without longbert does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from support.runs import run, write_texts
from support.texts import long_text

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_plain_faiss_finds_passages_that_duckdb_joins(
    tmp_path: Path, models: Callable[..., Path]
) -> None:
    model = models("bert", sentence_transformers={"max_seq_length": 32})
    docs = write_texts(
        tmp_path / "docs", {"guide.md": long_text(60), "other.md": long_text(60, seed=1)}
    )
    output = tmp_path / "longbert-output"
    run(docs, output, embed=model, passage=16)
    (example,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
        if "import faiss" in block
    )

    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in done.stdout.splitlines()
        if ".md" in line
    ]
    assert len(rows) == 5
    document, ordinal, start, end, score = rows[0]
    assert (document, ordinal, start) == ("guide.md", "0", "0")
    assert abs(float(score) - 1) < 1e-3
    first = pq.read_table(output / "passages").to_pylist()[0]
    assert int(end) == first["char_end"]
