"""The lexical file of a large document made in blocks, against that made in memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load
from support.texts import SCRIPTS, long_text

from longbert.index import array_stream
from longbert.index.array_file import pack
from longbert.index.array_stream import ArrayOnDisk, write_arrays
from longbert.index.lexical import large
from longbert.index.lexical.build import build_lexical
from longbert.index.lexical.large import write_large_part
from longbert.store import parquet
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.part_writer import write_part
from longbert.store.tables import schemas_of

PART = "000000-0123456789ab"


def tables_of(text: str, starts: list[int]) -> dict[str, pa.Table]:
    """A document and its passages."""
    schemas = schemas_of(["documents", "passages"], width=None)
    ends = [*starts[1:], len(text)]
    passages = [
        {
            "passage_id": number,
            "document_id": "a",
            "ordinal": number,
            "char_start": start,
            "char_end": end,
            "text": text[start:end],
            "embedding": None,
        }
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    document = {
        **dict.fromkeys(schemas["documents"].names, 0),
        **{"document_id": "a", "source": "a", "content_sha256": "", "n_chars": len(text)},
        **{"embedding": None, "metadata": []},
    }
    return {
        "documents": pa.Table.from_pylist([document], schema=schemas["documents"]),
        "passages": pa.Table.from_pylist(passages, schema=schemas["passages"]),
    }


def both(folder: Path, text: str, starts: list[int], language: str) -> Iterator[bytes]:
    tables = tables_of(text, starts)
    yield build_lexical(tables["documents"], tables["passages"], language=language)
    output = OutputFolder(LocalFileSystem(), str(folder))
    with write_part(output, PART, {name: one.schema for name, one in tables.items()}) as written:
        written.add(tables)
    file = io.BytesIO()
    write_large_part(file, output=output, part=PART, language=language)
    yield file.getvalue()


WORDS = (
    "the",
    "harbour's",
    "Harbour",
    "it's",
    "l’eau",
    "'",
    "北京是",
    "서울",
    "x_1",
    "Straße",
    "é",
)
GAPS = (" ", "\n", "", "", ". ", "-", "'", " ’")


@pytest.mark.parametrize("language", ["auto", "none", "en"])
def test_blocks_give_the_bytes_of_one_piece(tmp_path: Path, language: str) -> None:
    @given(seed=st.integers(0, 999), block=st.integers(1, 60), rows=st.integers(1, 5))
    def check(seed: int, block: int, rows: int) -> None:
        generator = np.random.default_rng(seed)
        n_words = int(generator.integers(0, 80))
        text = "".join(
            word + gap
            for word, gap in zip(
                generator.choice(WORDS, n_words), generator.choice(GAPS, n_words), strict=True
            )
        )
        # Passages end anywhere, inside words too, and some begin where the one before does.
        starts = np.sort(generator.integers(0, len(text) + 1, int(generator.integers(0, 12))))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(large, "BLOCK_OCCURRENCES", block)
            patch.setattr(parquet, "BATCH_ROWS", rows)
            patch.setattr(array_stream, "CHUNK_ITEMS", 7)
            whole, found = both(tmp_path, text, [0, *starts.tolist()], language)
        assert found == whole

    check()


def test_a_longer_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "BLOCK_OCCURRENCES", 1_000)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 8)
    text = long_text(4_000) + "".join(SCRIPTS)
    starts = [one.start() for one in re.finditer(r"(?s).{1,150}", text)]
    whole, found = both(tmp_path, text, starts, "auto")
    assert found == whole
    assert len(load(found)["terms"]) > 1_000


@given(st.lists(st.lists(st.integers(0, 70_000), max_size=9), min_size=1, max_size=4))
def test_arrays_on_disk_are_written_as_safetensors_does(values: list[list[int]]) -> None:
    arrays, expected = {}, {}
    for number, one in enumerate(values):
        name = f"a{number}"
        arrays[name] = ArrayOnDisk()
        for value in one:
            arrays[name].append(np.array([value]))
        expected[name] = np.array(one, arrays[name].kind)
    file = io.BytesIO()
    write_arrays(file, arrays, {"a0": np.int64}, {"a": "ü"})
    for one in arrays.values():
        one.__exit__()
    expected["a0"] = expected["a0"].astype(np.int64)
    assert file.getvalue() == pack(expected, {"a": "ü"})
