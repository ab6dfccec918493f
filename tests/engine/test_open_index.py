"""An open index is a snapshot; whatever runs came before, the ranking is that of a fresh one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.local_files import Death, FailingFiles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.runs import problems, run, run_on, some_texts, write_texts
from support.texts import long_text

import longbert
from longbert.encoders.models import load_models
from longbert.index.search import Hit, Index
from longbert.store.filesystem import LocalFileSystem

Settings = dict[str, Any]
QUERIES = ("the agreement in London", "Harbour Bank", "same words")
RANKS = ("lexical", "hybrid", "best", "best-mean", "document")


@pytest.fixture(scope="module")
def embedding(models: Callable[..., Path]) -> Settings:
    return {"embed": models("bert", sentence_transformers={"max_seq_length": 32}), "ner": []}


def everything(index: Index) -> list[list[Hit]]:
    """Hits with their texts, titles and scores, for some queries and all ranks."""
    found = [hits for rank in RANKS for hits in index.search_many(QUERIES, 20, rank)]
    return [*found, index.like(index.document_ids[0], 20)]


def test_an_open_index_goes_on_as_it_was_until_it_is_reloaded(
    tmp_path: Path, embedding: Settings
) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(4))
    output = tmp_path / "out"
    run(docs, output, **embedding)
    used, unused = longbert.open(output), longbert.open(output)
    before = everything(used)
    write_texts(docs, {"00.txt": long_text(60, seed=70), "new.txt": long_text(60, seed=71)})
    (docs / "01.txt").unlink()
    run(docs, output, prune=True, **embedding)

    assert everything(used) == before
    # One that had not searched when the files were there knows no less.
    assert everything(unused) == before
    shutil.copytree(output, tmp_path / "kept")
    shutil.rmtree(output)
    assert everything(unused) == before
    shutil.move(tmp_path / "kept", output)

    assert unused.reload()
    assert not unused.reload()
    after = everything(unused)
    assert after == everything(longbert.open(output))
    assert {hit.document_id for hits in after for hit in hits} == {
        "00.txt", "02.txt", "03.txt", "new.txt"
    }  # fmt: skip
    assert everything(used) == before


def test_a_prompt_that_a_later_run_recorded_is_read_after_reloading(
    tmp_path: Path, embedding: Settings
) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(3))
    output = tmp_path / "out"
    run(docs, output, query_prompt="one: ", **embedding)
    index = longbert.open(output)
    before = index.search("the agreement", rank="best")
    run(docs, output, query_prompt="another: ", **embedding)

    assert index.search("the agreement", rank="best") == before
    assert index.reload()
    after = index.search("the agreement", rank="best")
    assert after == longbert.open(output).search("the agreement", rank="best")
    assert [hit.score for hit in after] != [hit.score for hit in before]


NAMES = ("a.txt", "b.txt", "c.txt", "d.txt", "e.txt")
# Few contents, so that documents are equal and scores tied; ids alone order them.
CONTENTS = ("Same words here.", "Same words here. ", long_text(40, seed=3), "Harbour Bank is shut.")
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CONTENTS), min_size=1),
        st.one_of(st.none(), st.integers(0, 40)),
    ),
    min_size=2,
    max_size=4,
)


@pytest.mark.slow
@settings(
    derandomize=True,
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_any_sequence_of_runs_ranks_as_a_fresh_one(
    embedding: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[dict[str, str], int | None]],
) -> None:
    """Each step is what the inputs hold, and the write at which the run dies, if it does."""
    folder = tmp_path_factory.mktemp("living")
    given_settings = {**embedding, "unit_bytes": 1200}
    loaded = None

    def load(config: Any, *, threads: int | None) -> Any:
        nonlocal loaded
        loaded = loaded or load_models(config, threads=threads)
        return loaded

    def run_step(files: LocalFileSystem, texts: dict[str, str], output: Path) -> None:
        shutil.rmtree(folder / "docs", ignore_errors=True)
        docs = write_texts(folder / "docs", texts)
        run_on(files, docs, output, load=load, prune=True, **given_settings)

    index = None
    for texts, dies_at in steps:
        try:
            run_step(FailingFiles(dies_at, "death"), texts, folder / "out")
        except Death:
            if index is not None:
                everything(index)
            run_step(LocalFileSystem(), texts, folder / "out")
        if index is None:
            index = longbert.open(folder / "out")
        else:
            index.reload()
    run_step(LocalFileSystem(), steps[-1][0], folder / "fresh")

    assert index is not None
    fresh = longbert.open(folder / "fresh")
    for rank in RANKS:
        assert index.search_many(QUERIES, 20, rank) == fresh.search_many(QUERIES, 20, rank), rank
    for name in steps[-1][0]:
        assert index.like(name, 20) == fresh.like(name, 20)
    assert problems(folder / "out") == []
