"""From labelled documents to a head's folder, and from there to a run."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from support.runs import rows, run
from support.training import (
    Record,
    classified,
    files_in,
    train_head,
    with_entities,
    write_rows,
)

from longbert.core.measures.spans import EntityMeasures
from longbert.engine.evaluate import evaluate_output
from longbert.errors import InputError
from longbert.readers.labels import read_labelled
from longbert.records import LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.training.config import TrainConfig
from longbert.training.data import validation_of
from longbert.training.scores import TrainingResult

KINDS = ("ner", "classify", "several")
TASKS = {"ner": "ner", "classify": "classify", "several": "classify"}
FILES = {
    *("README.md", "config.json", "head.safetensors", "scores.json", "training.jsonl"),
    "training.svg",
}

Trained = Callable[[str], tuple[Path, TrainingResult, Record]]


def score(outcome: TrainingResult) -> float:
    measures: Any = outcome.validation.measures
    for name in ("f1", "accuracy", "micro_f1"):
        if hasattr(measures, name):
            return float(getattr(measures, name).value)
    raise AssertionError(measures)


@pytest.mark.parametrize(("kind", "least"), [("ner", 0.75), ("classify", 0.65), ("several", 0.5)])
def test_it_learns(trained: Trained, kind: str, least: float) -> None:
    _, outcome, _ = trained(kind)
    assert least <= score(outcome) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_is_whole(trained: Trained, kind: str) -> None:
    folder, outcome, record = trained(kind)
    assert files_in(folder).keys() == FILES
    config = json.loads((folder / "config.json").read_text())
    assert config["task"] == TASKS[kind]
    assert config["window"] == 32
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert log == [asdict(epoch) for epoch in outcome.log] == [asdict(one) for one in record.epochs]
    scores = json.loads((folder / "scores.json").read_text())
    assert scores == {"validation": json.loads(json.dumps(outcome.validation.to_json()))}
    picture = xml.etree.ElementTree.parse(folder / "training.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_tells_what_the_head_is(trained: Trained, kind: str) -> None:
    folder, outcome, _ = trained(kind)
    card = (folder / "README.md").read_text()
    for part in (
        f"# own-{kind}\n",
        outcome.head.backbone_digest[:12],
        f"--{TASKS[kind]} own-{kind}\n",
        f"from {kind}.jsonl",
        "Licence of the data: CC0.",
        "    longbert train ...\n",
        "25% of the documents",
        "windows of 32 positions",
    ):
        assert part in card
    assert re.search(r"\| \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\] \|", card)
    for library in ("longbert", "torch", "transformers", "numpy", "Python"):
        assert re.search(rf"\b{library} \d+\.\d+", card)
    labels = {"ner": ("LOC", "PER"), "classify": ("neg", "pos"), "several": ("mixed", "neg", "pos")}
    assert ", ".join(f"`{label}`" for label in labels[kind]) in card
    for label in labels[kind]:
        assert f"| F1 of {label} (" in card


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_features_is_left_beside_it(trained: Trained, kind: str) -> None:
    folder, _, _ = trained(kind)
    assert {path.name for path in folder.parent.iterdir()} == {
        folder.name,
        f"{folder.name}.features",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_gives_the_scores_of_the_training(
    trained: Trained, kind: str, files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    folder, outcome, _ = trained(kind)
    heads = {TASKS[kind]: [str(folder)]}
    # Both in the precision that this processor is fast at.
    run(files[kind], tmp_path / "out", embed=str(backbone), precision="auto", **heads)
    gold = read_labelled(LocalFileSystem(), str(files[kind]))
    config = TrainConfig(task=TASKS[kind], data=("x",), output="x", validation_share=0.25)
    numbers = validation_of(range(len(gold.documents)), gold.documents, config)
    held_back = replace(gold, documents=tuple(gold.documents[number] for number in numbers))
    evaluation = evaluate_output(OutputFolder(LocalFileSystem(), str(tmp_path / "out")), held_back)
    assert evaluation.n_scored == outcome.validation.n_documents == len(numbers)
    assert evaluation.measures.to_json() == outcome.validation.measures.to_json()
    if kind != "ner":
        assert evaluation.calibration is not None
        assert outcome.validation.calibration is not None
        told = outcome.validation.calibration.expected_error
        # The tables hold scores as float32.
        assert evaluation.calibration.expected_error == pytest.approx(told, abs=1e-7)
    documents = rows(tmp_path / "out", "documents")
    assert min(row["n_windows"] for row in documents) > 1


def test_heads_share_the_pass_of_the_embedding(
    trained: Trained, files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    heads = {kind: str(trained(kind)[0]) for kind in KINDS}
    manifest = run(
        files["classify"],
        tmp_path / "out",
        embed=str(backbone),
        ner=[heads["ner"]],
        classify=[heads["classify"], heads["several"]],
    )
    (only,) = manifest["rows"]["settings"]["passes"]
    assert [head["name"] for head in only["heads"]] == [
        *("embedding", "own-classify", "own-several", "own-ner")
    ]
    assert {row["head"] for row in rows(tmp_path / "out", "classifications")} == {
        *("own-classify", "own-several")
    }


def test_without_matplotlib_all_but_the_plot_is_the_same(
    files: dict[str, Path], backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"features": str(tmp_path / "features"), "epochs": 2}
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    train_head("ner", files["ner"], tmp_path / "with/head", backbone, **options)
    with monkeypatch.context() as patch:
        for name in ("matplotlib", "matplotlib.figure"):
            patch.setitem(sys.modules, name, None)
        record = Record()
        train_head(
            "ner", files["ner"], tmp_path / "without/head", backbone, observer=record, **options
        )
    assert [one for one in record.warnings if "matplotlib" in one] == [record.warnings[-1]]
    expected, found = (files_in(tmp_path / name / "head") for name in ("with", "without"))
    assert expected.keys() - found.keys() == {"training.svg"}
    card = expected.pop("README.md").decode()
    assert card.replace("`training.svg` plots the training; ", "") == found["README.md"].decode()
    assert "training.svg" not in found["README.md"].decode()
    assert all(content == found[name] for name, content in expected.items() if name in found)


def test_enough_documents_are_not_cross_validated(backbone: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", classified(60))
    record = Record()
    outcome = train_head(
        "classify",
        data,
        tmp_path / "head",
        backbone,
        observer=record,
        n_folds=None,
        validation_share=0.5,
        epochs=1,
    )
    assert [name for name, *_ in record.begun] == ["the head"]
    assert (outcome.cross_validation, outcome.n_folds, record.warnings) == (None, 0, [])
    assert outcome.validation.n_documents == 30
    # As many are enough for a temperature, too.
    assert outcome.head.temperature != 1
    assert "too few" not in (tmp_path / "head/README.md").read_text()


def test_few_documents_are_cross_validated(backbone: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", classified(40))
    record = Record()
    outcome = train_head(
        "classify", data, tmp_path / "head", backbone, observer=record, n_folds=None, epochs=1
    )
    assert [sizes for _, *sizes in record.begun] == [[24, 8]] * 5 + [[30, 10]]
    assert outcome.cross_validation is not None
    assert (outcome.cross_validation.n_documents, outcome.n_folds) == (40, 5)
    (warning,) = record.warnings
    assert warning.startswith("10 documents were held back, and scores on fewer than 30 say little")
    assert warning.endswith("go by the cross-validation, which scores all 40")
    card = (tmp_path / "head/README.md").read_text()
    assert "Cross-validation with 5 folds" in card
    assert "These are 10 documents, too few to say much." in card
    assert "These are 40" not in card


def test_every_document_is_scored_once_by_a_head_that_has_not_seen_it(
    files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    record = Record()
    outcome = train_head(
        "classify", files["classify"], tmp_path / "head", backbone, observer=record, n_folds=3
    )
    assert [name for name, _, _ in record.begun] == [
        *(f"fold {number} of 3" for number in (1, 2, 3)),
        "the head",
    ]
    # Of 24 documents 8 are scored, a quarter of the other 16 is validated on.
    assert [sizes for _, *sizes in record.begun] == [[12, 4]] * 3 + [[18, 6]]
    assert outcome.cross_validation is not None
    assert outcome.cross_validation.n_documents == 24
    per_label = outcome.cross_validation.measures.to_json()["per_label"]
    assert len(per_label) == 2
    scores = json.loads((tmp_path / "head/scores.json").read_text())
    assert scores["cross_validation"]["documents"] == 24
    assert "Cross-validation with 3 folds" in (tmp_path / "head/README.md").read_text()


def test_a_document_does_not_teach_the_head_that_scores_it(backbone: Path, tmp_path: Path) -> None:
    """Its label cannot be known from others, so heads that see it are right, others are not."""
    rows_ = classified(16)
    odd = [
        *rows_,
        *({**row, "id": f"x{n}", "label": f"own-{n}"} for n, row in enumerate(rows_[:4])),
    ]
    data = write_rows(tmp_path / "data.jsonl", odd)
    outcome = train_head("classify", data, tmp_path / "head", backbone, n_folds=10, epochs=2)
    assert outcome.cross_validation is not None
    correct = {
        one.label: one.n_correct
        for one in outcome.cross_validation.measures.per_label  # type: ignore[union-attr]
    }
    assert {correct[f"own-{number}"] for number in range(4)} == {0}


def test_extra_documents_are_only_learnt_from(
    files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    record = Record()
    extra = write_rows(tmp_path / "extra.jsonl", with_entities(9, seed=1))
    outcome = train_head(
        "ner",
        files["ner"],
        tmp_path / "head",
        backbone,
        observer=record,
        extra_data=(str(extra),),
        n_folds=2,
    )
    assert record.read == (20, 9, 0)
    assert [sizes for _, *sizes in record.begun] == [[16, 3], [16, 3], [24, 5]]
    assert outcome.validation.n_documents == 5
    assert outcome.cross_validation is not None
    assert outcome.cross_validation.n_documents == 20
    card = (tmp_path / "head/README.md").read_text()
    assert "20 labelled documents from ner.jsonl, and 9 more, for training only, from " in card


def test_weights_of_classes_change_what_is_learnt(backbone: Path, tmp_path: Path) -> None:
    many = [row for row in classified(40) if row["label"] == "neg" or row["id"][-1] in "02"]
    data = write_rows(tmp_path / "data.jsonl", many)
    found = {}
    for weights in ("none", "balanced"):
        outcome = train_head(
            "classify",
            data,
            tmp_path / weights,
            backbone,
            class_weights=weights,
            features=str(tmp_path / "features"),
            seed=1,
        )
        per_label = outcome.validation.measures.per_label  # type: ignore[union-attr]
        found[weights] = {one.label: one.n_predicted for one in per_label}
    assert found["balanced"]["pos"] >= found["none"]["pos"]
    one, two = ((tmp_path / name / "head.safetensors").read_bytes() for name in found)
    assert one != two


def test_the_field_of_the_labels_is_the_named_one(backbone: Path, tmp_path: Path) -> None:
    given = [{**row, "label": "same", "stars": row["label"]} for row in classified(16)]
    data = write_rows(tmp_path / "data.jsonl", given)
    outcome = train_head("classify", data, tmp_path / "head", backbone, label_field="stars")
    assert outcome.head.labels == ("neg", "pos")


def test_overlapping_spans_are_counted(backbone: Path, tmp_path: Path) -> None:
    given = with_entities(8)
    for row in given[:3]:
        start, end, label = row["entities"][0]
        row["entities"].append([start, end - 1, label])
    record = Record()
    data = write_rows(tmp_path / "data.jsonl", given)
    outcome = train_head("ner", data, tmp_path / "head", backbone, observer=record)
    assert record.read == (8, 0, 3)
    assert isinstance(outcome.validation.measures, EntityMeasures)


def test_as_many_folds_as_documents(backbone: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", classified(4))
    outcome = train_head("classify", data, tmp_path / "head", backbone, n_folds=4, epochs=1)
    assert outcome.cross_validation is not None
    assert outcome.cross_validation.n_documents == 4


@pytest.mark.parametrize("n", [2, 3])
def test_folds_leave_something_to_learn_from(backbone: Path, tmp_path: Path, n: int) -> None:
    data = write_rows(tmp_path / "data.jsonl", classified(n))
    with pytest.raises(InputError, match=f"has {n} documents, of which 2 folds leave a single one"):
        train_head("classify", data, tmp_path / "head", backbone, n_folds=2)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_one_class_is_not_left_out_of_the_validation() -> None:
    documents = [
        LabelledDocument(str(n), "text", "data.jsonl", labels=("neg" if n < 11 else "pos",))
        for n in range(20)
    ]
    config = TrainConfig(task="classify", data=("x",), output="x")
    held_back = validation_of(range(20), documents, config)
    assert {documents[number].labels for number in held_back} == {("neg",), ("pos",)}


@pytest.mark.parametrize("damage", ["truncated", "lost"])
def test_damaged_features_are_computed_again(
    backbone: Path, files: dict[str, Path], tmp_path: Path, damage: str
) -> None:
    options = {"features": str(tmp_path / "features"), "epochs": 2}
    train_head("classify", files["classify"], tmp_path / "one", backbone, **options)
    (stored,) = (tmp_path / "features").glob("*/rows-reduced.npy")
    before = stored.read_bytes()
    if damage == "lost":
        stored.unlink()
    else:
        stored.write_bytes(before[: len(before) // 2])
    train_head("classify", files["classify"], tmp_path / "two", backbone, **options)
    assert stored.read_bytes() == before
    one, two = ((tmp_path / name / "head.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
