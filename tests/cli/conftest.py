"""Calling the command line in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from support.commands import MARKER
from support.runs import write_texts

from longbert.cli.main import main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """``longbert ARGUMENTS``, its streams apart; what it changes in the process is put back."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    level = logging.getLogger().level
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def invoke(*arguments: str | Path) -> Result:
        given = [str(argument) for argument in arguments]
        return CliRunner().invoke(main, given, prog_name="longbert")

    yield invoke
    logging.getLogger().setLevel(level)
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def small(models: Callable[..., Path]) -> Path:
    """An embedding model with windows of 32."""
    return models("bert", sentence_transformers={"max_seq_length": 32})


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with one document."""
    return write_texts(tmp_path / "docs", {"a.txt": f"{MARKER} is a dragonfly."})
