"""Invariant 9, accounting: what goes in comes out, as a row or as an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.manifests import parts_of
from support.runs import (
    last_run,
    problems,
    rows,
    run,
    some_texts,
    write_texts,
)

Settings = dict[str, Any]


class TestInvariant9Accounting:
    def test_the_numbers_add_up(self, tmp_path: Path, all_heads: Settings) -> None:
        texts = some_texts(5) | {"e.txt": "", "w.txt": "\n\n", "x/é.md": "Straße\r\n\x00 \ud7ff"}
        docs = write_texts(tmp_path / "docs", texts)
        output = tmp_path / "out"
        manifest = run(docs, output, **all_heads)

        counts = manifest["counts"]
        documents = rows(output, "documents")
        assert counts["documents"] + counts["errors"] == last_run(output)["documents"] == len(texts)
        for table in ("documents", "passages", "entities", "classifications", "errors"):
            assert counts[table] == len(rows(output, table))
            assert counts[table] > 0
        assert counts["chars"] == counts["chars_covered"]
        assert counts["chars"] == sum(len(texts[row["document_id"]]) for row in documents)
        assert counts["tokens"] == sum(row["n_tokens"] for row in documents)
        assert counts["windows"] == sum(row["n_windows"] for row in documents)
        assert counts["chars_unknown"] == sum(row["n_chars_unknown"] for row in documents)
        for name in counts:
            assert counts[name] == sum(part["counts"][name] for part in parts_of(output))
        assert problems(output) == []

    def test_documents_in_are_documents_out_errors_and_unchanged(
        self, tmp_path: Path, embedding: Settings
    ) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(5) | {"e.txt": ""})
        output = tmp_path / "out"
        run(docs, output, **embedding)
        write_texts(docs, {"f.txt": "", "g.txt": "more text"})
        manifest = run(docs, output, **embedding)

        entry = last_run(output)
        assert (entry["documents"], entry["unchanged"], entry["removed"]) == (8, 6, 0)
        assert (entry["encoded"]["documents"], entry["encoded"]["errors"]) == (1, 1)
        assert manifest["counts"]["documents"] + manifest["counts"]["errors"] == 8
