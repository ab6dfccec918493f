"""On a GPU a process does several units at a time, which changes nothing of the output."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.encoder import fake_models
from runners.conformance import SETTINGS
from support.runs import files_of, run_on, some_texts, write_texts

from longbert.config import ModelConfig
from longbert.encoders.batch import TokenWindow
from longbert.encoders.models import Models
from longbert.errors import OutputError
from longbert.store.filesystem import LocalFileSystem

PROCESSOR = "cuda stand-in"
LOADED: list[Models] = []


def load(config: ModelConfig, *, threads: int | None, watch: Any = None) -> Models:
    """Models that say that they are on a GPU."""
    LOADED.append(replace(fake_models(config, watch=watch), processor=PROCESSOR))
    return LOADED[-1]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    LOADED.clear()
    return write_texts(tmp_path / "in", some_texts(8, n_words=200))


def test_several_are_at_work_and_the_output_is_the_same(inputs: Path, tmp_path: Path) -> None:
    run_on(LocalFileSystem(), inputs, tmp_path / "one", load=load_one, **SETTINGS)
    three = threading.Barrier(3)
    is_first = threading.local()

    def watch(windows: Sequence[TokenWindow]) -> None:
        if not hasattr(is_first, "done"):
            is_first.done = True
            # Only together they pass.
            three.wait(60)

    run_on(
        LocalFileSystem(), inputs, tmp_path / "three", load=partial(load, watch=watch), **SETTINGS
    )
    one, several = files_of(tmp_path / "one"), files_of(tmp_path / "three")
    assert len([name for name in one if name.startswith("documents/")]) == 8
    named = {name for name in one if name.startswith(("documents/", "passages/"))}
    # Names and contents tell of the processor, and rows do not.
    assert len(named) == len([n for n in several if n.startswith(("documents/", "passages/"))])
    assert sorted(one[name] for name in named) == sorted(
        data for name, data in several.items() if name.startswith(("documents/", "passages/"))
    )


def load_one(config: ModelConfig, *, threads: int | None) -> Models:
    return replace(fake_models(config), processor="cpu stand-in")


def test_models_are_loaded_once(inputs: Path, tmp_path: Path) -> None:
    run_on(LocalFileSystem(), inputs, tmp_path / "out", load=load, **SETTINGS)
    assert len(LOADED) == 1


def test_an_error_of_one_unit_stops_the_run(inputs: Path, tmp_path: Path) -> None:
    class Full(LocalFileSystem):
        def create(self, path: str) -> Any:
            if "/passages/" in path:
                raise OutputError("cannot write: no room left")
            return super().create(path)

    with pytest.raises(OutputError, match="no room left"):
        run_on(Full(), inputs, tmp_path / "out", load=load, **SETTINGS)
