"""The command train: what it prints and where, what it refuses, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.runs import command_line
from support.training import (
    classified,
    files_in,
    labelled_with_several,
    with_entities,
    write_rows,
)

Call = Callable[..., Result]

CLASSIFY = ("train", "--task", "classify")
NER = ("train", "--task", "ner")
SECRET = "xyzzysecret"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with labelled documents, one of them with a word to look for."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    rows = classified(16)
    rows[0]["text"] += f" {SECRET}"
    write_rows(tmp_path / "classes.jsonl", rows)
    names = with_entities(8)
    names[0]["text"] += f" {SECRET}"
    write_rows(tmp_path / "names.jsonl", names)
    return tmp_path


def found() -> list[str]:
    """What is in the working directory."""
    return sorted(path.name for path in Path().iterdir())


def test_help_has_examples(call: Call) -> None:
    result = call("train", "--help")
    assert result.exit_code == 0
    assert "Examples:\n    longbert train --task classify --data reviews.jsonl.gz" in result.stdout
    assert "longbert run --input docs/ --classify my-sentiment --ner my-people" in result.stdout
    assert "longbert train" in result.stdout
    assert "train" in call("--help").stdout


def test_scores_on_stdout_and_talk_on_stderr(call: Call, small: Path) -> None:
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "head", "--backbone", small),
        *("--epochs", 2, "--folds", 2, "--validation", 0.25),
    )
    assert result.exit_code == 0
    assert found() == ["head", "head.features"]
    for part in ("validation: 4 documents\n", "cross-validation, 2 folds: 16 documents\n"):
        assert part in result.stdout
    assert result.stdout.count("│ accuracy │") == 2
    assert "longbert:" not in result.stdout
    assert "accuracy" not in result.stderr
    for line in (
        "longbert: 16 labelled documents",
        "longbert: hidden states of 16 documents are ready",
        "longbert: training fold 1 of 2 on 6 documents, validated on 2",
        "longbert: training the head on 12 documents, validated on 4",
        "longbert: longbert run --input docs/ --classify head",
    ):
        assert line in result.stderr.splitlines()
    assert result.stderr.count(", epoch ") == 6
    assert all(line.startswith("longbert: ") for line in result.stderr.splitlines())


def test_no_text_of_documents_in_what_is_told(
    call: Call, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task, data in ((CLASSIFY, "../classes.jsonl"), (NER, "../names.jsonl")):
        output = f"head-{task[-1]}"
        result = call(
            *(*task, "--data", data, "--output", output, "--backbone", small, "--epochs", 1)
        )
        assert result.exit_code == 0
        assert SECRET not in result.output
        for content in (files_in(Path(output)) | files_in(Path(f"{output}.features"))).values():
            assert SECRET.encode() not in content


def test_few_documents_are_cross_validated_with_a_warning(call: Call, small: Path) -> None:
    given = (*CLASSIFY, "--data", "../classes.jsonl", "--backbone", small, "--epochs", 1)
    result = call(*given, "--output", "head")
    assert result.exit_code == 0
    assert "cross-validation, 5 folds: 16 documents\n" in result.stdout
    assert (
        "longbert: warning: 2 documents were held back, and scores on fewer than 30 say little: "
        "the cross-validation has 16 only: label more\n"
    ) in result.stderr
    result = call(*given, "--output", "head-2", "--folds", 0, "--features", "head.features")
    assert result.exit_code == 0
    assert "cross-validation" not in result.stdout
    assert "label more, or cross-validate with --folds 5\n" in result.stderr


def test_without_matplotlib_the_plot_is_left_out(
    call: Call, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "head", "--backbone", small),
        *("--epochs", 1, "--folds", 0),
    )
    assert result.exit_code == 0
    assert "validation: 2 documents\n" in result.stdout
    assert (
        "longbert: warning: training.svg is left out, since matplotlib is not installed: pip "
        "install 'longbert[train]'"
    ) in result.stderr
    assert not Path("head/training.svg").exists()


def test_control_characters_of_labels_do_not_reach_the_terminal(
    call: Call, small: Path, place: Path
) -> None:
    rows = [{**row, "label": f"\x1b[31m{row['label']}"} for row in classified(16)]
    write_rows(place / "odd.jsonl", rows)
    result = call(
        *(*CLASSIFY, "--data", "../odd.jsonl", "--output", "head", "--backbone", small),
        *("--epochs", 1, "--folds", 0),
    )
    assert result.exit_code == 0
    assert "\x1b[31m" not in result.output


def test_spans_left_out_are_told(call: Call, small: Path, place: Path) -> None:
    rows = with_entities(6)
    start, end, _ = rows[0]["entities"][0]
    rows[0]["entities"].append([start, end - 1, "PER"])
    write_rows(place / "overlap.jsonl", rows)
    result = call(
        *(*NER, "--data", "../overlap.jsonl", "--output", "head", "--backbone", small),
        *("--epochs", 1),
    )
    assert result.exit_code == 0
    assert "longbert: 1 span left out for overlapping a longer or earlier one\n" in result.stderr


def test_the_card_holds_the_command(
    call: Call, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (*CLASSIFY, "--data", "../classes.jsonl", "--output", "head", "--epochs", "1")
    given = (*given, "--license", "CC BY 4.0", "--backbone", str(small))
    monkeypatch.setattr(sys, "argv", ["/somewhere/longbert", *given])
    assert call(*given).exit_code == 0
    card = Path("head/README.md").read_text()
    assert "    longbert train --task classify --data ../classes.jsonl --output head" in card
    assert "--license 'CC BY 4.0'" in card
    assert "Licence of the data: CC BY 4.0." in card


ROWS: dict[str, tuple[tuple[str, ...], Callable[[], list[dict[str, Any]]], str]] = {
    "one class": (
        CLASSIFY,
        lambda: classified(5, classes=("pos",)),
        "field 'label' has one class only (pos) in all of 5 documents",
    ),
    "one document": (CLASSIFY, lambda: classified(1), "has one class only"),
    "fewer documents than classes": (
        CLASSIFY,
        lambda: [{"id": f"{n}", "text": "a", "labels": [f"{n}", f"{n}x"]} for n in range(3)],
        "6 classes in 3 documents",
    ),
    "no entity": (
        NER,
        lambda: [{**row, "entities": []} for row in with_entities(3)],
        "has no entity in any document",
    ),
    "outside": (NER, lambda: with_span(4, 999), "#5: field 'entities', entity 1 lies outside"),
    "before the text": (NER, lambda: with_span(-1, 2), "entity 1 lies outside the text"),
    "reversed": (NER, lambda: with_span(4, 2), "entity 1 is reversed or empty: got 4 to 2"),
    "no length": (NER, lambda: with_span(4, 4), "entity 1 is reversed or empty"),
    "empty": (
        CLASSIFY,
        lambda: [*classified(4), {"id": "x", "text": " \n", "label": "pos"}],
        "#5: text field 'text' of document 'x' is empty",
    ),
    "duplicate": (
        CLASSIFY,
        lambda: [*classified(4), *classified(1)],
        "#5: id 'doc-0-0' is that of",
    ),
    "no field of labels": (
        CLASSIFY,
        lambda: [{"id": "x", "text": SECRET}],
        "none of label, labels, entities among the fields id, text",
    ),
    "a document without label": (
        CLASSIFY,
        lambda: [*classified(4), {"id": "x", "text": SECRET}],
        "#5: label field 'label' is missing",
    ),
    "no text": (CLASSIFY, lambda: [{"id": "x", "label": "pos"}], "there is no text field 'text'"),
    "of the other task": (NER, lambda: classified(4), "field 'label' must be a list of spans"),
    "entities for classes": (CLASSIFY, lambda: with_entities(4), "field 'entities' must be"),
    "numbers": (
        CLASSIFY,
        lambda: [{"id": str(n), "text": "a b", "label": n} for n in range(4)],
        "field 'label' must be a string",
    ),
    "nothing": (CLASSIFY, list, "holds no document"),
}


def with_span(start: int, end: int) -> list[dict[str, Any]]:
    """Documents of which the fifth has such a span."""
    row = {"id": "x", "text": f"a {SECRET}", "entities": [[start, end, "PER"]]}
    return [*with_entities(4), row]


def check_refused(result: Result, message: str, status: int = 2) -> None:
    """Refused in one message, before any hidden state, and with nothing left behind."""
    assert result.exit_code == status, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    assert "hidden states" not in result.stderr
    assert result.stdout == ""
    assert found() == []


@pytest.mark.parametrize("name", ROWS)
def test_bad_data(call: Call, small: Path, place: Path, name: str) -> None:
    task, rows, message = ROWS[name]
    write_rows(place / "data.jsonl", rows())
    result = call(*task, "--data", "../data.jsonl", "--output", "head", "--backbone", small)
    check_refused(result, message)


OPTIONS: dict[str, tuple[tuple[Any, ...], str]] = {
    "fewer documents than folds": (("--folds", 17), "16 documents for 17 folds: take --folds 16"),
    "one fold": (("--folds", 1), "folds must be 0 for none, or at least 2, got 1"),
    "negative folds": (
        ("--folds", -1),
        "folds must be a whole number of at least 0, got -1: try 5",
    ),
    "validation 0": (("--validation", 0), "validation must be a number in (0, 1), got 0.0"),
    "validation 1": (("--validation", 1), "validation must be a number in (0, 1), got 1.0"),
    "validation nan": (("--validation", "nan"), "validation must be a number in (0, 1), got nan"),
    "epochs": (("--epochs", 0), "epochs must be a whole number of at least 1, got 0"),
    "patience": (("--patience", 0), "patience must be a whole number of at least 1, got 0"),
    "learning rate": (("--learning-rate", 0), "must be a number in (0, 1), got 0.0"),
    "seed": (("--seed", -1), "seed must be a whole number in [0, 9223372036854775807], got -1"),
    "layers beyond": (("--layers", "0,3"), "layers must be in [0, 2]"),
    "negative layers": (("--layers", "-1"), "layers must be in [0, 2]"),
    "layers that are none": (("--layers", "all"), "'all' is not a list of whole numbers"),
    "window": (("--window", 513), "window must be in [3, 512]"),
    "overlap": (("--overlap", 30), "overlap must be in [0, 30)"),
    "class weights": (("--class-weights", "some"), "'some' is not one of 'none', 'balanced'"),
    "device": (("--device", "tpu"), "Invalid value for '--device': 'tpu' is not one of"),
    "no such backbone": (("--backbone", "nowhere"), "'nowhere' is neither packaged"),
    "no such data": (("--data", "nothing.jsonl"), "nothing.jsonl does not exist"),
    "no such extra data": (("--extra-data", "nothing.jsonl"), "nothing.jsonl does not exist"),
    "the data twice": (("--data", "../classes.jsonl"), "id 'doc-0-0' is in ../classes.jsonl, too"),
    "the data as extra": (("--extra-data", "../classes.jsonl"), "is in ../classes.jsonl, too"),
    "no such field": (("--label-field", "lable"), "label field 'lable' is missing; did you mean"),
    "features as output": (("--features", "head"), "features must be another folder than"),
    "features in the state": (("--features", "head.training"), "must be another folder than"),
    "no name": (("--output", ""), "output must name a folder"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_options(call: Call, small: Path, name: str) -> None:
    options, message = OPTIONS[name]
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "head", "--backbone", small),
        *options,
    )
    check_refused(result, message)


@pytest.mark.parametrize("task", ["regression", "NER"])
def test_a_task_that_is_none(call: Call, small: Path, task: str) -> None:
    result = call("train", "--task", task, "--data", "../classes.jsonl", "--output", "head")
    check_refused(result, f"'{task}' is not one of 'classify', 'ner'")


@pytest.mark.parametrize(
    ("name", "message"),
    [("table.csv", "is of a kind that longbert does not read"), ("a.txt", "has no fields")],
)
def test_a_file_of_another_kind(
    call: Call, small: Path, place: Path, name: str, message: str
) -> None:
    (place / name).write_text("id,text,label\n1,a,b\n")
    result = call(*CLASSIFY, "--data", f"../{name}", "--output", "head", "--backbone", small)
    check_refused(result, message)


def test_duplicates_across_files(call: Call, small: Path, place: Path) -> None:
    write_rows(place / "more.jsonl", [*classified(4, seed=9), classified(1)[0]])
    for option in ("--data", "--extra-data"):
        result = call(
            *(*CLASSIFY, "--data", "../classes.jsonl", option, "../more.jsonl"),
            *("--output", "head", "--backbone", small),
        )
        check_refused(result, "../more.jsonl#5: id 'doc-0-0' is in ../classes.jsonl, too")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (classified(4, seed=9, classes=("pos", "mixed")), "has the label 'mixed', which no"),
        (labelled_with_several(5, seed=9), "field 'labels' holds labels, but that of"),
    ],
)
def test_extra_data_that_do_not_fit(
    call: Call, small: Path, place: Path, rows: list[dict[str, Any]], message: str
) -> None:
    write_rows(place / "extra.jsonl", rows)
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--extra-data", "../extra.jsonl"),
        *("--output", "head", "--backbone", small),
    )
    check_refused(result, message)


def test_a_decoder_is_no_backbone(call: Call, place: Path) -> None:
    (place / "gpt").mkdir()
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    (place / "gpt/config.json").write_text(json.dumps(config))
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "head"), "--backbone", "../gpt"
    )
    check_refused(result, "decoder")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_output_that_exists_is_left_alone(call: Call, small: Path, kind: str) -> None:
    if kind == "file":
        Path("head").write_text("mine")
    else:
        Path("head").mkdir()
        Path("head/mine").write_text("mine")
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "head", "--backbone", small)
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert "output 'head' exists: name a folder that does not, or remove it" in result.stderr
    assert found() == ["head"]
    assert (Path("head") if kind == "file" else Path("head/mine")).read_text() == "mine"


def test_an_output_that_cannot_be_made(call: Call, small: Path) -> None:
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "../classes.jsonl/head"),
        *("--backbone", small),
    )
    check_refused(result, "cannot be written (Not a directory)", status=1)


def test_features_that_cannot_be_kept(call: Call, small: Path) -> None:
    result = call(
        *(*CLASSIFY, "--data", "../classes.jsonl", "--output", "head", "--backbone", small),
        *("--features", "../classes.jsonl"),
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "features cannot be written to ../classes.jsonl (" in result.stderr
    assert not Path("head").exists()


def test_features_of_other_documents_are_in_the_way(call: Call, small: Path, place: Path) -> None:
    write_rows(place / "others.jsonl", classified(6, seed=5))
    options = ("--backbone", small, "--epochs", 1, "--features", "kept")
    first = call(*CLASSIFY, "--data", "../others.jsonl", "--output", "one", *options)
    assert first.exit_code == 0
    before = files_in(Path("kept"))
    result = call(*CLASSIFY, "--data", "../classes.jsonl", "--output", "two", *options)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "kept holds the features of other documents, another backbone or" in result.stderr
    assert not Path("two").exists()
    assert files_in(Path("kept")) == before


def test_killed_and_begun_again_is_as_if_never_killed(
    call: Call, small: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*NER, "--data", "../names.jsonl", "--output", "head", "--backbone", str(small)]
    given += ["--folds", "0", "--epochs", "60", "--patience", "60", "--learning-rate", "0.01"]
    process = subprocess.Popen(
        command_line(*given), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "epoch 3:" in line)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert line.startswith("longbert: the head, epoch 3: loss ")
    assert found() == ["head.features", "head.training"]

    other = call(*given, "--seed", 1)
    assert (other.exit_code, other.stdout) == (4, "")
    assert "head.training holds an unfinished training with other settings:" in other.stderr
    assert "\n  seed: 0 -> 1\n" in other.stderr

    monkeypatch.setattr(sys, "argv", ["longbert", *given])
    resumed = call(*given)
    assert resumed.exit_code == 0
    assert found() == ["head", "head.features"]
    resumed_files = files_in(Path())

    (place / "again").mkdir()
    monkeypatch.chdir(place / "again")
    whole = call(*given)
    assert (whole.exit_code, whole.stdout, whole.stderr) == (0, resumed.stdout, resumed.stderr)
    assert files_in(Path()) == resumed_files
