"""Models of the invariants that are about runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

Settings = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower with more, above all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def embedding(models: Callable[..., Path]) -> Settings:
    """An embedding model with windows of 32."""
    return {"embed": models("bert", sentence_transformers={"max_seq_length": 32})}


@pytest.fixture(scope="module")
def all_heads(embedding: Settings, models: Callable[..., Path]) -> Settings:
    """Every head: two share the backbone, one has its own."""
    ner = models("bert", task="ner", backbone_seed=0, seed=1)
    classify = models("bert-cased", task="classify", seed=2)
    return {**embedding, "ner": [str(ner)], "classify": [str(classify)], "window": 32}
