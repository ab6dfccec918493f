"""Queries read the prompt that the run recorded, and only documents' prompts make an output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from support.runs import files_of, last_run, problems, rows, run, some_texts, write_texts

import longbert
from longbert.errors import ConfigError, FingerprintError

E5 = {"query": "query: ", "passage": "passage: "}
QUERY = "the agreement in London"


@pytest.fixture(params=["mean", "cls"])
def folder(models: Callable[..., Path], request: pytest.FixtureRequest) -> Path:
    files = {"pooling": request.param, "prompts": E5, "max_seq_length": 96}
    return models("roberta", sentence_transformers=files)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(4))


def by_hand(folder: Path, output: Path, prompt: str) -> dict[str, float]:
    """Similarities of the query's vector, as the reference makes it, and the documents' vectors."""
    encoder = SentenceTransformer(str(folder), device="cpu")
    query = encoder.encode([QUERY], prompt=prompt)[0]
    return {
        row["document_id"]: float(np.array(row["embedding"], dtype=np.float32) @ query)
        for row in rows(output, "documents")
    }


def found(output: Path, **options: Any) -> dict[str, float]:
    hits = longbert.open(output, **options).search(QUERY, k=10, rank="document")
    return {hit.document_id: hit.score for hit in hits}


def test_a_search_reads_the_query_prompt(tmp_path: Path, docs: Path, folder: Path) -> None:
    output = tmp_path / "out"
    manifest = run(docs, output, embed=folder)
    assert manifest["models"]["query_prompt"] == "query: "
    for backbone in manifest["rows"]["settings"]["passes"]:
        assert backbone["prompt"] == "passage: "
    assert problems(output) == []
    expected = by_hand(folder, output, "query: ")
    assert found(output) == pytest.approx(expected, abs=1e-5)
    for prompt in ("", "passage: ", "Find: "):
        other = found(output, query_prompt=prompt)
        assert other == pytest.approx(by_hand(folder, output, prompt), abs=1e-5)
        assert other != pytest.approx(expected, abs=1e-5)
    with pytest.raises(ConfigError, match=r"^query_prompt must have fewer than 94 tokens"):
        found(output, query_prompt="word " * 100)


def test_another_query_prompt_encodes_nothing_anew(
    tmp_path: Path, docs: Path, folder: Path
) -> None:
    output = tmp_path / "out"
    before = run(docs, output, embed=folder)
    files = files_of(output)
    after = run(docs, output, embed=folder, query_prompt="Find: ")
    assert last_run(output)["units"] == 0
    assert after["models"]["query_prompt"] == "Find: "
    assert after["fingerprint"] == before["fingerprint"]
    changed = {name for name, data in files_of(output).items() if files.get(name) != data}
    assert changed == {"manifest.json"}
    assert problems(output) == []
    assert found(output) == pytest.approx(by_hand(folder, output, "Find: "), abs=1e-5)


def test_another_document_prompt_is_another_output(
    tmp_path: Path, docs: Path, folder: Path
) -> None:
    output = tmp_path / "out"
    run(docs, output, embed=folder)
    with pytest.raises(FingerprintError, match=r'passes\[0\]\.prompt: "passage: " -> ""'):
        run(docs, output, embed=folder, document_prompt="")


def test_prompts_that_are_given_or_switched_off(
    tmp_path: Path, docs: Path, folder: Path, models: Callable[..., Path]
) -> None:
    run(docs, tmp_path / "off", embed=folder, query_prompt="", document_prompt="")
    run(docs, tmp_path / "given", embed=folder, query_prompt="q ", document_prompt="d ")
    assert found(tmp_path / "off") == pytest.approx(by_hand(folder, tmp_path / "off", ""), abs=1e-5)
    expected = by_hand(folder, tmp_path / "given", "q ")
    assert found(tmp_path / "given") == pytest.approx(expected, abs=1e-5)
    vectors = [
        [row["embedding"] for row in rows(tmp_path / name, "documents")]
        for name in ("off", "given")
    ]
    assert vectors[0] != vectors[1]
    manifest = run(docs, tmp_path / "ner", embed="none", ner=models("bert", task="ner"))
    assert manifest["models"]["query_prompt"] is None


def test_a_loaded_encoder_reads_the_document_prompt(folder: Path) -> None:
    encoder = longbert.load(embed=str(folder), precision="float32")
    reference = SentenceTransformer(str(folder), device="cpu")
    expected = reference.encode([QUERY], prompt="passage: ")
    assert np.abs(encoder.embed([QUERY]) - expected).max() < 1e-6
