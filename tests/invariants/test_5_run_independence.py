"""Invariant 5, run independence: rows depend on their document and the settings alone."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.runs import (
    files_of,
    rows,
    rows_by_document,
    run,
    some_texts,
    write_texts,
)
from support.texts import HOSTILE_TEXTS, long_text

Settings = dict[str, Any]


class TestInvariant5RunIndependence:
    def test_two_runs_write_the_same_bytes(self, tmp_path: Path, all_heads: Settings) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(4) | {"empty.txt": " \n"})
        for name in ("one", "two"):
            run(docs, tmp_path / name, **all_heads)

        one = files_of(tmp_path / "one")
        assert one == files_of(tmp_path / "two")
        assert {name.partition("/")[0] for name in one} >= {"manifest.json", "index", "entities"}

    def test_the_order_of_files_on_disk_does_not_matter(
        self, tmp_path: Path, embedding: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = some_texts(6) | {f"b/{name}": text for name, text in some_texts(3).items()}
        names = list(texts)
        outputs = []
        for seed in range(2):
            random.Random(seed).shuffle(names)
            place = tmp_path / str(seed)
            write_texts(place / "docs", {name: texts[name] for name in names})
            monkeypatch.chdir(place)
            run(Path("docs"), Path("out"), **embedding)
            outputs.append(files_of(place / "out"))
        assert outputs[0] == outputs[1]
        ids = [row["document_id"] for row in rows(Path("out"), "documents")]
        assert ids == sorted(texts)

    def test_a_documents_rows_are_the_same_alone_and_among_many(
        self, tmp_path: Path, all_heads: Settings
    ) -> None:
        many = {f"{i}.txt": hostile.text[:500] for i, hostile in enumerate(HOSTILE_TEXTS)}
        many |= {f"z{i}.txt": long_text(10 + 7 * i, seed=i) for i in range(30)}
        many["m.txt"] = long_text(200, seed=99)
        many["s.txt"] = "Short."
        docs = write_texts(tmp_path / "docs", many)
        run(docs, tmp_path / "many", unit_bytes=1_000_000, **all_heads)
        among = rows_by_document(tmp_path / "many")
        assert Counter(table for table, _ in among["m.txt"])["passages"] > 3
        assert {table for table, _ in among["m.txt"]} > {"documents", "entities", "classifications"}
        # Of many windows, of one that is filled up with padding, and of odd characters.
        for name in ("m.txt", "s.txt", "0.txt"):
            run(docs / name, tmp_path / name, **all_heads)
            assert among[name] == rows_by_document(tmp_path / name)[name]

    def test_the_size_of_batches_does_not_matter(self, tmp_path: Path, all_heads: Settings) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(5))
        for n in (1, 100, 100_000):
            manifest = run(docs, tmp_path / str(n), batch_tokens=n, **all_heads)
            backbones = manifest["rows"]["settings"]["passes"]
            assert [one["batch_invariant"] for one in backbones] == [True, True]
        first, *others = (files_of(tmp_path / str(n)) for n in (1, 100, 100_000))
        assert all(other == first for other in others)
