"""Runs whose models lie in an object store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.faulty_proxy import Faults
from support.runs import UNIT_BYTES, command, files_of, last_run, run, some_texts, write_texts
from support.stores import fresh_store

import longbert
from longbert.beam.filesystem import BeamFileSystem
from longbert.config import run_config
from longbert.core.units import Unit
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo
from longbert.engine.prepare import Prepared
from longbert.engine.run import RunModels, do_units_here, run_in_process
from longbert.engine.spool import Spool
from longbert.errors import FingerprintError

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Faults]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with fresh_store("s3") as store:
        yield store


@pytest.fixture
def embed(models: Callable[..., Path]) -> Path:
    return models("bert", sentence_transformers={"max_seq_length": 32})


def upload(folder: Path, place: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            BeamFileSystem().write(f"{place}/{path.relative_to(folder)}", path.read_bytes())
    return place


@pytest.mark.slow
def test_workers_share_one_copy(
    store: tuple[str, Faults], tmp_path: Path, embed: Path, models: Callable[..., Path]
) -> None:
    """The real command with processes of its own, then others in this process."""
    root, faults = store
    ner = models("bert", task="ner")
    names = {
        "embed": upload(embed, f"{root}/models/{embed.name}"),
        "ner": upload(ner, f"{root}/models/{ner.name}"),
    }
    inputs = write_texts(tmp_path / "in", some_texts(6))
    downloads: list[str] = []

    def choose(method: str, path: str) -> None:
        if method == "GET" and path.endswith("model.safetensors"):
            downloads.append(path)

    faults.choose = choose
    done = command(
        *("run", "--input", inputs, "--output", tmp_path / "out", "--workers", "2"),
        *("--embed", names["embed"], "--ner", names["ner"], "--precision", "float32"),
        *("--unit-bytes", str(UNIT_BYTES)),
    )
    assert done.returncode == 0, done.stderr
    assert len(downloads) == 2, "each model once"
    run(inputs, tmp_path / "here", embed=embed, ner=[ner])
    found, expected = files_of(tmp_path / "out"), files_of(tmp_path / "here")
    manifests = [json.loads(files.pop("manifest.json")) for files in (found, expected)]
    assert found == expected
    assert manifests[0]["models"]["embed"] == names["embed"], "as the user named it"
    assert manifests[0]["rows"] == manifests[1]["rows"]

    run(inputs, tmp_path / "out", embed=names["embed"], ner=[names["ner"]])
    assert last_run(tmp_path / "out")["units"] == 0
    assert longbert.open(tmp_path / "out").search("a word", rank="best")
    assert longbert.load(embed=names["embed"])("some words").embedding is not None
    assert len(downloads) == 2, "nothing was downloaded again"


def test_a_worker_that_finds_another_model_writes_nothing(
    store: tuple[str, Faults], tmp_path: Path, embed: Path, models: Callable[..., Path]
) -> None:
    name = upload(embed, f"{store[0]}/models/mine")
    other = models("bert", sentence_transformers={"max_seq_length": 32}, seed=1)
    inputs = write_texts(tmp_path / "in", some_texts(2))
    settings = {"input": str(inputs), "output": str(tmp_path / "out"), "embed": name}
    context = RunContext(run_config({**settings, "precision": "float32"}), BeamFileSystem())

    def later(
        context: RunContext, units: Spool[Unit], prepared: Prepared, models: RunModels
    ) -> None:
        upload(other, name)
        do_units_here(context, units, prepared, RunModels(context))

    with pytest.raises(FingerprintError, match="would not write the planned rows") as refused:
        run_in_process(context, RunInfo("none"), later)
    assert refused.value.exit_status == 4
    assert not list((tmp_path / "out").glob("receipts/*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models/none", "is no model folder: there is no s3://box/models/none/config.json"),
        ("../nobox/models", "cannot be listed"),
    ],
)
def test_a_model_that_is_not_there_is_wrong_usage(
    store: tuple[str, Faults], tmp_path: Path, name: str, message: str
) -> None:
    place = f"{store[0]}/{name}".replace("box/../", "")
    inputs = write_texts(tmp_path / "in", some_texts(1))
    with pytest.raises(longbert.ModelError, match=message) as refused:
        longbert.run(inputs, output=tmp_path / "out", embed=place, runner="none")
    assert refused.value.exit_status == 2
    assert not (tmp_path / "out").exists()
