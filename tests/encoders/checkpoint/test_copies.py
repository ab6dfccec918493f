"""Models in object stores, copied to this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.faulty_proxy import Faults
from support.stores import fresh_store

from longbert.beam.filesystem import BeamFileSystem
from longbert.config import ModelConfig
from longbert.encoders.checkpoint.copies import local_copies, local_copy
from longbert.errors import ModelError

FILES = {
    "config.json": b"{}",
    "model.safetensors": os.urandom(300_000),
    "1_Pooling/config.json": b'{"pooling": 1}',
    "vocab.txt": b"a\nb\n",
}
OTHERS = {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"other", "README.md": b"text"}

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CHILD = """
import sys
from longbert.beam.filesystem import BeamFileSystem
from longbert.config import ModelConfig
from longbert.encoders.checkpoint.copies import local_copy
print(local_copy(sys.argv[1], ModelConfig(), BeamFileSystem()))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "longbert" / "models"


@pytest.fixture(params=["gs", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[tuple[str, Faults]]:
    with fresh_store(request.param) as (root, faults):
        upload(root)
        yield f"{root}/models/mine", faults


@pytest.fixture
def amazon() -> Iterator[tuple[str, Faults]]:
    """That of which other processes need nothing but the environment."""
    with fresh_store("s3") as (root, faults):
        upload(root)
        yield f"{root}/models/mine", faults


def upload(root: str) -> None:
    files = BeamFileSystem()
    for name, data in (FILES | OTHERS).items():
        files.write(f"{root}/models/mine/{name}", data)
    files.write(f"{root}/models/mine-2/config.json", b"another")


def copied(name: str, **settings: bool) -> Path:
    return Path(local_copy(name, ModelConfig(**settings), BeamFileSystem()))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def count_downloads(faults: Faults) -> list[str]:
    """What is read of weights from now on."""
    seen: list[str] = []

    def choose(method: str, path: str) -> None:
        # Google's downloads say so in the query.
        is_read = "alt=media" in path or "/storage/v1/" not in path
        if method == "GET" and "model.safetensors" in path and is_read:
            seen.append(path)

    faults.choose = choose
    return seen


def child(name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, name], stdout=subprocess.PIPE, text=True)


def test_what_a_model_is_loaded_from_is_copied_once(store: tuple[str, Faults], cache: Path) -> None:
    name, faults = store
    downloads = count_downloads(faults)
    folder = copied(name)
    assert contents(folder) == FILES
    assert folder.name == "mine"
    assert folder.is_relative_to(cache)
    assert len(downloads) == 1
    before = faults.n_requests
    assert copied(name + "/") == copied(name) == folder
    assert faults.n_requests == before + 2, "a listing is enough"


def test_pickles_are_copied_for_those_who_trust_them(store: tuple[str, Faults]) -> None:
    folder = copied(store[0], trust_pickle=True)
    assert contents(folder) == FILES | {"pytorch_model.bin": b"pickle"}
    assert folder != copied(store[0])


def test_another_version_is_another_copy(store: tuple[str, Faults]) -> None:
    first = copied(store[0])
    # Of the same size.
    BeamFileSystem().write(f"{store[0]}/vocab.txt", b"b\na\n")
    second = copied(store[0])
    assert (first / "vocab.txt").read_bytes() == b"a\nb\n"
    assert (second / "vocab.txt").read_bytes() == b"b\na\n"


def test_processes_and_threads_copy_once(amazon: tuple[str, Faults]) -> None:
    name, faults = amazon
    downloads = count_downloads(faults)
    process = child(name)
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(copied(name))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = process.communicate()[0].strip()
    assert [told] * 3 == [*map(str, folders)]
    assert contents(folders[0]) == FILES
    assert len(downloads) == 1


def test_half_a_copy_is_never_taken_for_one(amazon: tuple[str, Faults], cache: Path) -> None:
    name, faults = amazon
    is_asked, may_go_on = threading.Event(), threading.Event()

    def stall(method: str, path: str) -> None:
        if method == "GET" and path.endswith("vocab.txt"):
            is_asked.set()
            may_go_on.wait(60)

    faults.choose = stall
    process = child(name)
    assert is_asked.wait(60)
    process.kill()
    assert process.communicate()[0] == ""
    may_go_on.set()
    left = {path.name for path in cache.rglob("*") if path.is_file()}
    assert "model.safetensors" in left, "it had got that far"
    assert not list(cache.glob("*/mine"))
    faults.choose = lambda method, path: None
    assert contents(copied(name)) == FILES
    assert not list(cache.glob("*/unfinished"))


def test_a_model_that_is_replaced_meanwhile_is_refused(
    store: tuple[str, Faults], cache: Path
) -> None:
    name, faults = store
    once = iter([True])

    def replace(method: str, path: str) -> None:
        # The last one that is read.
        if method == "GET" and "vocab.txt" in path and next(once, False):
            threading.Thread(
                target=lambda: BeamFileSystem().write(f"{name}/config.json", b'{"other": 1}')
            ).start()
            time.sleep(0.5)

    faults.choose = replace
    with pytest.raises(ModelError, match=r"models/mine' was changed while it was copied"):
        copied(name)
    assert not list(cache.glob("*/mine"))
    assert (copied(name) / "config.json").read_bytes() == b'{"other": 1}'


def test_what_is_not_there_is_said(store: tuple[str, Faults]) -> None:
    name, faults = store
    scheme = name.partition("://")[0]
    with pytest.raises(ModelError, match=r"box/models' is no model folder: there is no .*config"):
        copied(name.rpartition("/")[0])
    with pytest.raises(
        ModelError, match=r"'\w\w://nobox/mine' cannot be listed .*check the bucket"
    ):
        copied(f"{scheme}://nobox/mine")
    faults.choose = lambda method, path: 403 if "model.safetensors" in path else None
    with pytest.raises(ModelError, match=r"cannot be copied to .*403"):
        copied(name)


def test_names_of_this_machine_stay(store: tuple[str, Faults]) -> None:
    class NoFiles(BeamFileSystem):
        def files(self, path: str) -> Iterator[object]:  # type: ignore[override]
            raise AssertionError(path)

    config = ModelConfig(classify=("some/model@main", "./folder"))
    assert local_copies(config, NoFiles()) is config
    both = ModelConfig(embed=store[0], ner=("entities-en", store[0]))
    copies = local_copies(both, BeamFileSystem())
    assert copies.embed == str(copied(store[0]))
    assert copies.ner == ("entities-en", copies.embed)
