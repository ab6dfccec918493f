"""A small backbone, labelled documents, and heads trained on them once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.training import (
    WINDOW,
    Record,
    classified,
    labelled_with_several,
    train_head,
    with_entities,
    write_rows,
)

from longbert.training.scores import TrainingResult

LEARNS = {
    "ner": {"epochs": 40, "patience": 40, "learning_rate": 0.01},
    "classify": {"epochs": 8, "learning_rate": 0.02},
    "several": {"epochs": 20, "learning_rate": 0.02},
}


@pytest.fixture(scope="session")
def backbone(models: Callable[..., Path]) -> Path:
    """An embedding model with windows of 32."""
    return models("bert", sentence_transformers={"max_seq_length": WINDOW})


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Labelled documents of each kind."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = {
        "ner": with_entities(20),
        "classify": classified(24),
        "several": labelled_with_several(30),
    }
    # Some labels are wrong, so that no head is right everywhere.
    for row in rows["ner"]:
        row["entities"][1][2] = "LOC"
        del row["entities"][3]
    for row in rows["classify"][::5]:
        row["label"] = "neg"
    return {kind: write_rows(folder / f"{kind}.jsonl", rows[kind]) for kind in rows}


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, backbone: Path, files: dict[str, Path]
) -> Callable[[str], tuple[Path, TrainingResult, Record]]:
    """A head of a kind that has learnt, its outcome, and what was told on the way."""
    heads: dict[str, Any] = {}

    def head(kind: str) -> tuple[Path, TrainingResult, Record]:
        if kind not in heads:
            output = tmp_path_factory.mktemp("heads") / f"own-{kind}"
            record = Record()
            task = "ner" if kind == "ner" else "classify"
            outcome = train_head(
                task,
                files[kind],
                output,
                backbone,
                observer=record,
                license="CC0",
                **LEARNS[kind],
            )
            heads[kind] = output, outcome, record
        return heads[kind]

    return head
