"""Search from LangChain and Haystack, with the real packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.runs import run, write_texts

import longbert
from longbert.errors import ConfigError

# Before Haystack is imported: it would report its use.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Pipeline
from langchain_core.runnables import RunnableLambda

from longbert.integrations import haystack, langchain

TEXTS = {
    "lease.txt": "The tenant pays the rent on the first day of each month.",
    "sale.txt": "The house is sold. The buyer pays the price in two parts.",
    "will.txt": "All goes to the children. Nothing else was written.",
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, models: Callable[..., Path]) -> Path:
    place = tmp_path_factory.mktemp("retrievers")
    model = models("bert", sentence_transformers={"max_seq_length": 32})
    run(write_texts(place / "docs", TEXTS), place / "out", embed=model)
    return place / "out"


def test_langchain_finds_passages_with_their_places(output: Path) -> None:
    retriever = langchain.LongbertRetriever(folder=output, k=2, rank="lexical")

    first, *_ = found = retriever.invoke("who pays the rent?")

    hits = longbert.open(output).search("who pays the rent?", 2, "lexical")
    assert [one.metadata["document_id"] for one in found] == [hit.document_id for hit in hits]
    assert first.page_content == TEXTS["lease.txt"]
    assert first.metadata == {
        "rank": 1,
        "document_id": "lease.txt",
        "score": pytest.approx(hits[0].score),
        "char_start": 0,
        "char_end": len(TEXTS["lease.txt"]),
        "passage_score": pytest.approx(hits[0].passages[0].score),
    }


def test_langchain_chains_and_filters(output: Path) -> None:
    retriever = langchain.LongbertRetriever(folder=output, filter="document_id != 'lease.txt'")
    chain = retriever | RunnableLambda(lambda found: [one.metadata["document_id"] for one in found])
    assert {*chain.invoke("rent")} == {"sale.txt", "will.txt"}


def test_haystack_pipelines_find_passages(output: Path) -> None:
    pipeline = Pipeline()
    pipeline.add_component("search", haystack.LongbertRetriever(output, k=1, rank="lexical"))

    (document,) = pipeline.run({"search": {"query": "children"}})["search"]["documents"]

    assert document.content == TEXTS["will.txt"]
    assert document.meta["document_id"] == "will.txt"
    assert (document.meta["char_start"], document.meta["char_end"]) == (0, len(TEXTS["will.txt"]))
    assert document.score is not None


def test_haystack_pipelines_are_written_and_read(output: Path) -> None:
    pipeline = Pipeline()
    retriever = haystack.LongbertRetriever(output, filter="document_id = 'sale.txt'")
    pipeline.add_component("search", retriever)

    read = Pipeline.loads(pipeline.dumps(), allowed_modules=["longbert.integrations.haystack"])

    (document,) = read.run({"search": {"query": "anything"}})["search"]["documents"]
    assert document.meta["document_id"] == "sale.txt"


def test_wrong_settings_are_told_as_by_search(output: Path) -> None:
    with pytest.raises(ConfigError, match="no field 'lable'"):
        langchain.LongbertRetriever(folder=output, filter="lable = 'x'").invoke("rent")
    with pytest.raises(ConfigError, match="k must be at least 1"):
        haystack.LongbertRetriever(output, k=0).run("rent")


@pytest.mark.parametrize("module", [langchain, haystack])
def test_a_retriever_is_short(module: object) -> None:
    source = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    assert len(source.splitlines()) < 60
