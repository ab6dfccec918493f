"""Trainings stopped, begun again, repeated, and such that fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from support.training import (
    Record,
    Stopped,
    classified,
    files_in,
    train_head,
    write_rows,
)

from longbert.errors import FingerprintError, InputError, LongbertError, OutputError
from longbert.training.config import TrainConfig
from longbert.training.train import train

TASKS = {"ner": "ner", "classify": "classify"}
FILES = {
    *("README.md", "config.json", "head.safetensors", "scores.json", "training.jsonl"),
    "training.svg",
}


@pytest.mark.parametrize("kind", ["ner", "classify"])
def test_twice_is_the_same_to_the_byte(
    kind: str,
    files: dict[str, Path],
    backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        train_head(TASKS[kind], files[kind], Path("head"), backbone)
        found.append(files_in(tmp_path / name))
    assert found[0] == found[1]
    monkeypatch.chdir(tmp_path / "one")
    train_head(TASKS[kind], files[kind], Path("head-2"), backbone, seed=1, features="head.features")
    assert (tmp_path / "one/head-2/head.safetensors").read_bytes() != found[0][
        "head/head.safetensors"
    ]


@pytest.mark.parametrize("stop_after", [1, 3, 5, 8])
@pytest.mark.parametrize("kind", ["ner", "classify"])
def test_stopped_and_begun_again_is_the_same_to_the_byte(
    kind: str,
    stop_after: int,
    files: dict[str, Path],
    backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: Callable[[str], dict[str, bytes]],
) -> None:
    monkeypatch.chdir(tmp_path)
    head = (TASKS[kind], files[kind], Path("head"), backbone)
    with pytest.raises(Stopped):
        train_head(*head, n_folds=2, observer=Record(stop_after))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.features", "head.training"]
    record = Record()
    train_head(*head, n_folds=2, observer=record)
    assert files_in(tmp_path) == whole(kind)
    done = stop_after // 3
    # Finished folds are read back, of the others only what is left is learnt.
    assert record.n_steps[:done] == [0] * done
    assert len(record.epochs) == 9


@pytest.fixture(scope="module")
def whole(
    files: dict[str, Path], backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, bytes]]:
    """All files of a training with folds that was never stopped."""
    done: dict[str, dict[str, bytes]] = {}

    def of_kind(kind: str) -> dict[str, bytes]:
        if kind not in done:
            folder = tmp_path_factory.mktemp("whole")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                train_head(TASKS[kind], files[kind], Path("head"), backbone, n_folds=2)
            done[kind] = files_in(folder)
        return done[kind]

    return of_kind


def test_no_folder_when_writing_fails(
    files: dict[str, Path], backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = ("classify", files["classify"], tmp_path / "head", backbone)
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.parent.name == "head.unfinished" and self.name == "training.jsonl":
            raise OSError(28, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match=r"No space left on device.*make room"):
            train_head(*head)
    assert not (tmp_path / "head").exists()
    record = Record()
    train_head(*head, observer=record)
    assert record.n_steps == [0]
    assert files_in(tmp_path / "head").keys() == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"head", "head.features"}


def test_features_are_computed_once_for_several_trainings(
    files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    settings = {"features": str(tmp_path / "features")}
    train_head("ner", files["ner"], tmp_path / "one", backbone, **settings)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").glob("0*/*")}
    train_head("ner", files["ner"], tmp_path / "two", backbone, seed=5, **settings)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").glob("0*/*")}
    assert before == after
    assert before


def test_a_loss_that_is_no_number_leaves_no_head(
    files: dict[str, Path], models: Callable[..., Path], tmp_path: Path
) -> None:
    broken = tmp_path / "backbone"
    broken.mkdir()
    source = models("bert", sentence_transformers={"max_seq_length": 32})
    for name, content in files_in(source).items():
        (broken / name).parent.mkdir(exist_ok=True)
        (broken / name).write_bytes(content)
    weights = safetensors.torch.load_file(broken / "model.safetensors")
    weights["encoder.layer.1.output.LayerNorm.weight"][:] = 3e38
    safetensors.torch.save_file(weights, broken / "model.safetensors", {"format": "pt"})
    for learning_rate in (0.01, 0.001):
        # The advice of the message can be followed at once.
        with pytest.raises(LongbertError, match=f"lower --learning-rate than {learning_rate}"):
            train_head("ner", files["ner"], tmp_path / "head", broken, learning_rate=learning_rate)
        assert not (tmp_path / "head").exists()


def test_a_name_may_end_in_a_slash(files: dict[str, Path], backbone: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        task="classify",
        data=(str(files["classify"]),),
        output=f"{tmp_path}/head/",
        backbone=str(backbone),
        epochs=1,
    )
    train(config, Record(), command="longbert train ...")
    assert {path.name for path in tmp_path.iterdir()} == {"head", "head.features"}
    assert files_in(tmp_path / "head").keys() == FILES


def test_what_was_wrong_before_the_first_epoch_can_be_mended(
    files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    given = classified(12)
    settings = {"features": str(tmp_path / "features")}
    data = write_rows(tmp_path / "data.jsonl", [*given, {**given[0], "id": "x", "text": "\x00"}])
    with pytest.raises(InputError, match=r"data.jsonl#13: the document has no tokens"):
        train_head("classify", data, tmp_path / "head", backbone, **settings)
    assert not (tmp_path / "head").exists()
    write_rows(data, given)
    settings["features"] += "-2"
    train_head("classify", data, tmp_path / "head", backbone, **settings)


def test_an_unfinished_training_of_other_settings_is_kept(
    files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    head = ("classify", files["classify"], tmp_path / "head", backbone)
    with pytest.raises(Stopped):
        train_head(*head, observer=Record(2))
    with pytest.raises(FingerprintError, match=r"seed: 0 -> 1\n.*remove the folder"):
        train_head(*head, seed=1)
    record = Record()
    train_head(*head, observer=record)
    assert record.n_steps == [1]


@pytest.mark.parametrize("is_done", [False, True])
def test_dead_at_any_change_of_a_name(
    is_done: bool,
    files: dict[str, Path],
    backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a folder or file was about to be called, or just has been."""
    rename = os.replace
    n_renamed = 0
    dies_at = -1

    def dying(source: Any, target: Any) -> None:
        nonlocal n_renamed
        n_renamed += 1
        if n_renamed == dies_at and not is_done:
            raise Stopped
        rename(source, target)
        if n_renamed == dies_at:
            raise Stopped

    monkeypatch.setattr(os, "replace", dying)
    head = ("classify", files["classify"], Path("head"), backbone)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    train_head(*head, epochs=2)
    expected = files_in(tmp_path / "whole")
    n_all = n_renamed
    assert n_all >= 7
    for number in range(1, n_all if is_done else n_all + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        n_renamed, dies_at = 0, number
        with pytest.raises(Stopped):
            train_head(*head, epochs=2)
        assert not Path("head").exists()
        dies_at = -1
        train_head(*head, epochs=2)
        assert files_in(folder) == expected
