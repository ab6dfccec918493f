"""FAISS for a GPU is used where there is one; a stand-in shows when, since builders have none."""

from typing import Any

import numpy as np
import pytest
from fakes.memory_files import MemoryFiles
from support.vectors import clustered, indexed, open_table, write_rows

from longbert.index.backend import load_faiss, on_gpu
from longbert.index.kinds import INDEX_KINDS

WIDTH = 16


class Gpu:
    """Stands for FAISS's functions for a GPU; indexes stay where they are, and are counted."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.moved: list[str] = []

    def __call__(self, resources: object, device: int, index: Any) -> Any:
        assert device == 0
        self.moved.append(type(index).__name__)
        return index


def install(monkeypatch: pytest.MonkeyPatch, count: int) -> Gpu:
    gpu, faiss = Gpu(count), load_faiss()
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: gpu.count)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", gpu, raising=False)
    return gpu


def test_an_index_stays_where_it_is_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    index = load_faiss().IndexFlatIP(4)
    assert on_gpu(index) is index
    gpu = install(monkeypatch, 0)
    assert on_gpu(index) is index
    assert gpu.moved == []


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_training_truth_and_search_use_the_gpu(type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFiles()
    write_rows(files, "a", 2_000, WIDTH)
    plain = indexed(files, ["a"], type)
    gpu = install(monkeypatch, 1)

    assert indexed(files, ["a"], type) == plain

    kind = INDEX_KINDS[type]
    assert len(gpu.moved) == kind.has_cells + (not kind.is_exact)
    gpu.moved.clear()
    table = open_table(files, plain, ["a"])
    query = clustered(1, WIDTH, seed=3)[0]
    allowed = np.ones(2_000, np.bool_)
    np.testing.assert_array_equal(
        table.search(query, 20).rows, table.search(query, 20, allowed=allowed).rows
    )
    # Once for all searches, and never for those of some rows only.
    assert len(gpu.moved) == kind.on_gpu
