"""Small runs in this process, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import longbert
from longbert.config import run_config
from longbert.encoders.models import load_models
from longbert.engine.context import ModelLoader, RunContext
from longbert.engine.finish import RunInfo, RunResult
from longbert.engine.run import run_in_process
from longbert.engine.verify.output import verify_output
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.tables import TABLES

from .manifests import part_names_of
from .texts import long_text

DEFAULT_TABLES = tuple(table.name for table in TABLES.values() if table.setting is None)
"""Those that every run writes."""

UNIT_BYTES = 1000
"""Of the runs here: a document of 60 words and its overhead fill a unit."""


def write_texts(folder: Path, texts: Mapping[str, str]) -> Path:
    """Write documents by name, folders included."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def some_texts(n: int, *, n_words: int = 60, seed: int = 0) -> dict[str, str]:
    """Texts that differ, as ``00.txt``, ``01.txt``, ..."""
    return {f"{i:02}.txt": long_text(n_words, seed=seed + i) for i in range(n)}


def run(inputs: Path | Sequence[Path], output: Path, **settings: Any) -> dict[str, Any]:
    """``longbert.run`` without Beam, in float32; a document fills a unit unless told otherwise."""
    paths = [inputs] if isinstance(inputs, Path) else inputs
    return longbert.run(*paths, output=output, runner="none", **_settings(settings))


def run_on(
    files: Any, inputs: Path, output: Path, *, load: ModelLoader = load_models, **settings: Any
) -> RunResult:
    """As :func:`run`, with another file system, or with models that something else loads."""
    config = run_config({"input": [str(inputs)], "output": str(output), **_settings(settings)})
    return run_in_process(RunContext(config, files, load=load), RunInfo("none"))


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = {"precision": "float32", "unit_bytes": UNIT_BYTES, **settings}
    return {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}


def files_of(output: Path) -> dict[str, bytes]:
    """All files of an output but ``run.json``, which tells of times."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path != output / "run.json"
    }


def rows(output: Path, table: str) -> list[dict[str, Any]]:
    """Rows of one table in the order of the manifest's parts."""
    return [
        row
        for part in part_names_of(output)
        for row in pq.read_table(output / table / f"{part}.parquet").to_pylist()
    ]


def rows_by_document(output: Path) -> dict[str, list[Any]]:
    """All rows of each document, the table's name before each."""
    found: dict[str, list[Any]] = {}
    tables = [table for table in TABLES if (output / table).exists()]
    for table in tables:
        for row in rows(output, table):
            found.setdefault(str(row["document_id"] or row["source"]), []).append((table, row))
    return found


def last_run(output: Path) -> dict[str, Any]:
    """The last entry of ``run.json``."""
    entry: dict[str, Any] = json.loads((output / "run.json").read_text())["runs"][-1]
    return entry


def without_times(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``run.json`` but for times, and where and by whom the work was done."""
    of_place = ("began", "seconds", "measured", "runner", "workers", "device", "models", "settings")
    return {name: value for name, value in entry.items() if name not in of_place}


def problems(output: Path) -> list[str]:
    """What ``longbert verify`` finds."""
    return list(map(str, verify_output(OutputFolder(LocalFileSystem(), str(output)))))


def damage(output: Path) -> list[str]:
    """What ``longbert verify`` finds but for the files that a stopped run has left."""
    return [one for one in problems(output) if "is left from another run" not in one]


def command_line(*arguments: str | Path) -> list[str]:
    """The installed command, found beside this Python."""
    return [str(Path(sys.executable).with_name("longbert")), *map(str, arguments)]


def command(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end."""
    return subprocess.run(
        command_line(*arguments),
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )
