"""Object stores as their own emulators have them, with the faults that real ones have."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest
from fakes.encoder import fake_models
from fakes.faulty_proxy import ALL_FAULTS, CUT_AFTER, CUT_INSIDE, Faults, at_random
from support.runs import UNIT_BYTES, files_of, run_on, some_texts, write_texts
from support.stores import fresh_store

import longbert
from longbert.beam.filesystem import BeamFileSystem
from longbert.beam.objects import READ_BYTES, ObjectFiles
from longbert.engine.verify.output import verify_output
from longbert.store.filesystem import FileInfo, LocalFileSystem
from longbert.store.folder import OutputFolder

SETTINGS = {"embed": "fake", "ner": ["names"], "window": 12, "unit_bytes": UNIT_BYTES}

pytestmark = [
    # Sockets of cut connections, and what moto says of its own libraries.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(params=["gs", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[tuple[str, Faults]]:
    with fresh_store(request.param) as store:
        yield store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses before another try take no time here."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.002)))


def objects_of(store: str) -> ObjectFiles:
    found = BeamFileSystem().objects(store)
    assert found is not None
    return found


def content(store: str, folder: str) -> dict[str, bytes]:
    """Objects under a folder, but for ``run.json``, which tells of times."""
    files = BeamFileSystem()
    found = {}
    for info in files.files(f"{store}/{folder}"):
        with files.open(info.path) as file:
            found[info.path.removeprefix(f"{store}/{folder}/")] = file.read()
    found.pop("run.json", None)
    return found


def test_files_are_as_on_the_local_disk(store: tuple[str, Faults], tmp_path: Path) -> None:
    names = [
        *("a.txt", "deep/er/b.txt", "deep/er/.hidden.txt", "c.md", "odd[1]*/e.txt", "odd1x/e.txt"),
        *("empty", "d?.txt", "spät & früh/ü%20.txt"),
    ]
    local, remote = LocalFileSystem(), BeamFileSystem()
    folders = {f"{tmp_path}/box/in": local, f"{store[0]}/in": remote}
    for folder, files in folders.items():
        for name in names:
            files.write(f"{folder}/{name}", name.encode() if name != "empty" else b"")
        files.write(f"{folder}side/f.txt", b"not inside")

    def seen(pattern: str) -> list[list[tuple[str, int]]]:
        return [
            sorted(
                (info.path.removeprefix(folder), info.n_bytes)
                for info in files.match(f"{folder}/{pattern}")
            )
            for folder, files in folders.items()
        ]

    for pattern in (
        *("*.txt", "**/*.txt", "**", "deep/**/*.txt", "odd*/e.txt", "odd[1]*/e.txt", "d?.txt"),
        *("a.txt", "none.txt", "*/er/*", "[ac].*", "spät & früh/*", "deep", "deep/er"),
    ):
        here, there = seen(pattern)
        assert here == there, pattern
    for folder, files in folders.items():
        assert sorted(info.path for info in files.files(folder)) == sorted(
            f"{folder}/{name}" for name in names
        )
        assert files.is_folder(folder)
        assert files.is_folder(f"{folder}/deep")
        assert not files.is_folder(f"{folder}/dee")
        assert not files.is_folder(f"{folder}/a.txt")
        for name in names:
            with files.open(f"{folder}/{name}") as file:
                assert file.read() == (name.encode() if name != "empty" else b"")
        # Only the one of this name goes.
        for name in ("odd[1]*/e.txt", "d?.txt", "d?.txt"):
            files.remove(f"{folder}/{name}")
        assert len(list(files.files(folder))) == len(names) - 2
        with pytest.raises(FileNotFoundError, match=r"none\.txt"):
            files.open(f"{folder}/none.txt")
    assert remote.local_path(f"{store[0]}/in/a.txt") is None


def test_large_objects_are_read_from_any_place(store: tuple[str, Faults]) -> None:
    files = BeamFileSystem()
    path = f"{store[0]}/large"
    data = os.urandom(2 * READ_BYTES + 12_345)
    files.write(path, data)
    assert list(files.match(path)) == [FileInfo(path, len(data))]
    with files.open(path) as file:
        assert file.read() == data
        assert file.read() == b""
        file.seek(-5, io.SEEK_END)
        assert file.read() == data[-5:]
        file.seek(READ_BYTES - 3)
        assert file.read(6) == data[READ_BYTES - 3 : READ_BYTES + 3]
        file.seek(4, io.SEEK_CUR)
        assert file.read(1) == data[READ_BYTES + 7 : READ_BYTES + 8]
        file.seek(len(data) + 10)
        assert file.read(3) == b""


def test_an_object_that_is_replaced_is_never_read_in_part(store: tuple[str, Faults]) -> None:
    files = BeamFileSystem()
    path = f"{store[0]}/replaced"
    files.write(path, b"a" * (READ_BYTES + 1))
    with files.open(path) as file:
        assert file.read(1) == b"a"
        files.write(path, b"b" * (READ_BYTES + 1))
        with pytest.raises(OSError, match="was replaced while it was read"):
            file.read(READ_BYTES)


def test_listings_of_many_pages_are_whole(store: tuple[str, Faults]) -> None:
    files = BeamFileSystem()
    names = [f"{store[0]}/many/{number:04}" for number in range(1_021)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: files.write(name, b"."), names))
    assert [info.path for info in files.files(f"{store[0]}/many")] == names


def test_a_write_on_a_condition_has_one_winner(store: tuple[str, Faults]) -> None:
    path = f"{store[0]}/lock"
    objects = objects_of(store[0])
    assert not objects.write_if(path, b"x", expected=b"")
    before: bytes | None = None
    for round_ in range(3):
        start = threading.Barrier(6)
        contents = [f"writer {writer} of round {round_}".encode() for writer in range(6)]

        def write(
            data: bytes, before: bytes | None = before, start: threading.Barrier = start
        ) -> bool:
            start.wait()
            return objects.write_if(path, data, expected=before)

        with ThreadPoolExecutor(6) as pool:
            won = list(pool.map(write, contents))
        assert won.count(True) == 1, round_
        before = contents[won.index(True)]
        with objects.open(path) as file:
            assert file.read() == before
    assert not objects.write_if(path, b"x", expected=None)
    objects.remove(path)
    assert objects.write_if(path, b"", expected=None)
    assert objects.write_if(path, b"x", expected=b"")


@pytest.mark.usefixtures("impatient")
def test_a_condition_holds_although_answers_are_lost(store: tuple[str, Faults]) -> None:
    path = f"{store[0]}/lock"
    objects = objects_of(store[0])
    lost = iter([CUT_AFTER])
    store[1].choose = lambda method, _: next(lost, None) if method in ("PUT", "POST") else None
    assert objects.write_if(path, b"first", expected=None), "it took effect at the first try"
    assert store[1].happened == {CUT_AFTER: 1}
    assert not objects.write_if(path, b"other", expected=None)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_every_request_is_tried_again(fault: str | int, store: tuple[str, Faults]) -> None:
    path = f"{store[0]}/a/b"
    files, faults = BeamFileSystem(), store[1]
    objects_of(store[0])

    def twice(method: str, _: str) -> str | int | None:
        return fault if faults.n_requests % 3 != 0 else None

    def failing(*methods: str) -> None:
        faults.n_requests = 0
        faults.choose = lambda method, url: twice(method, url) if method in methods else None

    every = ("GET", "HEAD", "PUT", "POST", "DELETE")
    failing(*every)
    files.write(path, b"some data")
    failing(*every)
    with files.open(path) as file:
        assert file.read() == b"some data"
    failing(*every)
    assert list(files.files(f"{store[0]}/a")) == [FileInfo(path, 9)]
    failing(*every)
    assert list(files.match(path)) == [FileInfo(path, 9)]
    if fault not in (CUT_INSIDE,):
        failing(*every)
        files.remove(path)
        assert list(files.match(path)) == []
    assert faults.happened[fault] >= 6


@pytest.mark.usefixtures("impatient")
def test_a_run_under_faults_loses_nothing(store: tuple[str, Faults], tmp_path: Path) -> None:
    root, faults = store
    texts = some_texts(4) | {"empty.txt": ""}
    files = BeamFileSystem()
    for name, text in texts.items():
        files.write(f"{root}/in/{name}", text.encode())
    run_on(files, f"{root}/in", f"{root}/calm", load=fake_models, **SETTINGS)
    faults.choose = at_random(0.1, seed=9)
    run_on(files, f"{root}/in", f"{root}/out", load=fake_models, **SETTINGS)
    faults.choose = lambda method, path: None
    assert set(faults.happened) == set(ALL_FAULTS)
    assert content(root, "out") == content(root, "calm")
    assert list(verify_output(OutputFolder(files, f"{root}/out"))) == []


class _Refusing(BeamFileSystem):
    """A store in which one object may not be written."""

    refused = ""

    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        if path.endswith(self.refused):
            raise PermissionError(13, "403 Forbidden", path)
        return super().create(path)


def test_a_run_goes_on_where_the_store_stopped_it(
    store: tuple[str, Faults], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = store[0]
    inputs = write_texts(tmp_path / "in", some_texts(4))
    run_on(LocalFileSystem(), inputs, tmp_path / "out", load=fake_models, **SETTINGS)
    monkeypatch.setattr(_Refusing, "refused", sorted(files_of(tmp_path / "out/passages"))[2])
    with pytest.raises(longbert.OutputError, match=r"cannot be written .*Forbidden"):
        run_on(_Refusing(), inputs, f"{root}/out", load=fake_models, **SETTINGS)
    assert "manifest.json" not in content(root, "out")
    result = run_on(BeamFileSystem(), inputs, f"{root}/out", load=fake_models, **SETTINGS)
    assert result.entry.units_resumed == 2
    assert content(root, "out") == files_of(tmp_path / "out")


def test_two_writers_at_once_leave_a_whole_output(
    store: tuple[str, Faults], tmp_path: Path
) -> None:
    root = store[0]
    inputs = write_texts(tmp_path / "in", some_texts(4))
    run_on(LocalFileSystem(), inputs, tmp_path / "out", load=fake_models, **SETTINGS)
    files = BeamFileSystem()
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(run_on, files, inputs, f"{root}/out", load=fake_models, **SETTINGS)
            for _ in range(2)
        ]
    refused = [one.exception() for one in runs if one.exception() is not None]
    assert len(refused) < 2
    assert all(isinstance(one, longbert.LockError) for one in refused)
    assert content(root, "out") == files_of(tmp_path / "out")


def test_what_a_store_refuses_is_said(store: tuple[str, Faults], tmp_path: Path) -> None:
    root, faults = store
    files = BeamFileSystem()
    scheme = root.partition("://")[0]
    with pytest.raises(OSError, match=r"nobox.*(404|NoSuchBucket)"):
        list(files.match(f"{scheme}://nobox/*"))
    faults.choose = lambda method, path: 403
    for refused in (
        lambda: files.open(f"{root}/a"),
        lambda: files.write(f"{root}/a", b""),
        lambda: list(files.files(f"{root}/in")),
        lambda: files.remove(f"{root}/a"),
    ):
        with pytest.raises(OSError, match=f"{root}/.*403"):
            refused()
