"""The documents of a benchmark: those of the user as they are read, and made ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.runs import write_texts

from longbert.bench.documents import made, sample, write
from longbert.config import run_config
from longbert.errors import InputError


def test_the_first_documents_that_can_be_read(tmp_path: Path) -> None:
    write_texts(tmp_path, {"a.txt": "one", "b.txt": "  \n", "c.txt": "three", "d.txt": "four"})
    (tmp_path / "aa.jsonl").write_text("no JSON\n")
    config = run_config({"input": [str(tmp_path)]})
    assert sample(config, n_documents=2) == ["one", "three"]


def test_inputs_without_a_document_are_refused(tmp_path: Path) -> None:
    write_texts(tmp_path, {"a.txt": " "})
    with pytest.raises(InputError, match="no document that can be read"):
        sample(run_config({"input": [str(tmp_path)]}), n_documents=2)


def test_made_documents_are_the_same_each_time_and_long() -> None:
    texts = made(n_documents=3)
    assert texts == made(n_documents=3)
    assert len(set(texts)) == 3
    assert all(len(text.split()) >= 600 for text in texts)


def test_documents_are_written_as_json_lines(tmp_path: Path) -> None:
    write(["a", "ü\n"], tmp_path / "x.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert rows == [{"id": "000000", "text": "a"}, {"id": "000001", "text": "ü\n"}]
