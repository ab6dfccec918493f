"""The command evaluate: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from support.labelled import TEXTS, run_labelled, set_entities, set_scores, write_gold
from support.runs import command

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, models: Callable[..., Path]) -> Path:
    output = run_labelled(tmp_path_factory.mktemp("evaluate"), models)
    set_entities(output, {"a": [(0, 3, "PER"), (8, 14, "PER"), (15, 19, "ORG")]})
    shares = {"a": 0.1, "b": 0.8, "long": 0.6}
    set_scores(output, "choice", {one: {"neg": 1 - pos, "pos": pos} for one, pos in shares.items()})
    return output


@pytest.fixture
def entities(tmp_path: Path) -> Path:
    return write_gold(
        tmp_path / "entities.jsonl",
        [
            {"id": "a", "entities": [[0, 3, "PER"], [8, 11, "PER"], [15, 19, "LOC"]]},
            {"id": "b", "entities": [[15, 20, "LOC"], [15, 17, "PER"]]},
            {"id": "elsewhere", "text": "x", "entities": []},
            {"id": "empty", "entities": []},
        ],
    )


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    given = zip(TEXTS, ("neg", "neg", "pos"), strict=True)
    rows = [{"id": one, "label": label} for one, label in given]
    return write_gold(tmp_path / "labels.jsonl", rows)


def test_tables_for_people(call: Call, good: Path, entities: Path) -> None:
    result = call("evaluate", "--gold", entities, "--index", good)
    assert (result.exit_code, result.stderr) == (0, "")
    for part in (
        "tagger: 2 of 4 labelled documents scored\n",
        "1 labelled document not in the output: elsewhere\n",
        "1 labelled document in the output's errors: empty\n",
        "1 document of the output without labels: ignored\n",
        "1 labelled span left out because a longer one overlaps\n",
        "labels that the head does not have: LOC (--label-map",
        "labels of the head that no labelled document has: ORG\n",
        "errors: 1 missed, 0 spurious, 1 wrong border, 1 wrong label\n",
        "│ PER   │     0.500 │  0.500 │ 0.500 │       2 │         2 │\n",
        "│ LOC  │   · │   1 │   · │    1 │\n",
        "Bob in",
        "⟦Paris⟧",
    ):
        assert part in result.stdout


def test_labels_for_people(call: Call, good: Path, labels: Path) -> None:
    result = call("evaluate", "--gold", labels, "--index", good, "--head", "choice")
    assert (result.exit_code, result.stderr) == (0, "")
    for part in (
        "choice: 3 of 3 labelled documents scored\n",
        "│ accuracy │ 0.667 │ 0.208 to 0.939 │\n",
        "expected calibration error 0.433\n",
        "│ b        │ neg      │ pos       │  0.80 │\n",
    ):
        assert part in result.stdout


def test_sets_of_labels_for_people(call: Call, good: Path, tmp_path: Path) -> None:
    rows = [{"id": one, "labels": ["law"] if one == "a" else []} for one in TEXTS]
    path = write_gold(tmp_path / "sets.jsonl", rows)
    result = call("evaluate", "--gold", path, "--index", good, "--head", "several")
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("│ subset accuracy │", "│ micro F1 ", "│ law   │", "labels of the head that no"):
        assert part in result.stdout
    assert "labelled (down)" not in result.stdout


def test_numbers_for_people(call: Call, good: Path, tmp_path: Path) -> None:
    path = write_gold(tmp_path / "stars.jsonl", [{"id": one, "label": 99} for one in TEXTS])
    result = call("evaluate", "--gold", path, "--index", good, "--head", "number")
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("│ mean absolute error ", "│ Pearson correlation     │ not defined │", "│ 99 "):
        assert part in result.stdout


def test_a_confusion_of_many_labels_is_left_to_programs(
    call: Call, good: Path, tmp_path: Path
) -> None:
    rows = [{"id": "a", "entities": [[i, i + 1, f"L{i:02}"] for i in range(20)]}]
    path = write_gold(tmp_path / "many.jsonl", rows)
    result = call("evaluate", "--gold", path, "--index", good)
    assert (
        "23 labels are too many for a confusion matrix here: see --format json\n" in result.stdout
    )
    assert "L00, L01, L02," in result.stdout


def test_json_for_programs(call: Call, good: Path, entities: Path) -> None:
    result = call("evaluate", "--gold", entities, "--index", good, "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert list(found) == [
        *("head", "task", "documents", "dropped_spans", "unknown_labels", "further_labels"),
        *("measures", "calibration", "mistakes"),
    ]
    measures = found["measures"]
    assert list(measures) == [
        *("precision", "recall", "f1", "macro_f1", "per_label", "confusion", "errors"),
    ]
    assert measures["precision"] == pytest.approx(1 / 3)
    assert measures["f1"]["low"] <= measures["f1"]["value"] <= measures["f1"]["high"]
    assert measures["confusion"]["labels"] == ["LOC", "ORG", "PER", "none"]
    assert found["mistakes"] == 3


def test_all_mistakes_go_to_a_file(call: Call, good: Path, entities: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "errors.jsonl"
    result = call("evaluate", "--gold", entities, "--index", good, "--errors", file)
    assert result.exit_code == 0
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["kind"] for one in found] == ["wrong border", "wrong label", "missed"]
    assert [(one["document_id"], one["text"]) for one in found] == [
        ("a", "Bob in"),
        ("a", "Rome"),
        ("b", "Paris"),
    ]


def test_many_mistakes_are_cut_on_the_screen_only(call: Call, good: Path, tmp_path: Path) -> None:
    gold = [{"id": "long", "entities": [[i, i + 1, "X"] for i in range(30)]}]
    file = tmp_path / "errors.jsonl"
    path = write_gold(tmp_path / "many.jsonl", gold)
    result = call("evaluate", "--gold", path, "--index", good, "--errors", file)
    assert "the first 20 of 30 mistakes (--errors writes them all)\n" in result.stdout
    assert result.stdout.count("│ missed │") == 20
    assert len(file.read_text().splitlines()) == 30


def test_label_map(call: Call, good: Path, entities: Path) -> None:
    result = call(
        "evaluate", "--gold", entities, "--index", good, "--label-map", "ORG=LOC, PER=", "--format",
        "json",
    )  # fmt: skip
    measures = json.loads(result.stdout)["measures"]
    assert [one["label"] for one in measures["per_label"]] == ["LOC"]
    assert (measures["precision"], measures["recall"]) == (1, 0.5)


def test_names_that_would_move_the_cursor(call: Call, good: Path, tmp_path: Path) -> None:
    gold = [
        {"id": "a", "entities": [[0, 3, "\x1b[31mX"]]},
        {"id": "\x1b[2J", "text": "y", "entities": []},
    ]
    path = write_gold(tmp_path / "odd.jsonl", gold)
    result = call("evaluate", "--gold", path, "--index", good)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        ([], 2, ("known answers must be given", "--gold")),
        (["--gold", "{gold}", "--index", "nowhere"], 2, ("'nowhere'", "output folder")),
        (["--gold", "{gold}", "--index", "{folder}"], 2, ("holds no longbert output",)),
        (["--gold", "nothing.jsonl"], 2, ("nothing.jsonl does not exist",)),
        (["--gold", "{gold}", "--errors", "errors.html"], 2, ("must end in .jsonl: errors.html",)),
        (["--gold", "{gold}", "--errors", "{gold}/e.jsonl"], 1, ("cannot be written", "another")),
        (["--gold", "{gold}", "--label-map", "PER"], 2, ("pairs NAME=OTHER", "'PER'")),
        (["--gold", "{gold}", "--label-map", "A=B,A=C"], 2, ("each name once", "'A=C'")),
        (["--gold", "{gold}", "--label-field", "no"], 2, ("#1: label field 'no' is missing",)),
        (["--gold", "{gold}", "--text-field", "no"], 2, ("#1: there is no text field 'no'",)),
        (["--gold", "{gold}", "--head", "no"], 2, ("is not a head for entities", "tagger")),
    ],
)
def test_wrong_usage(
    call: Call, good: Path, entities: Path, arguments: list[str], status: int, parts: tuple[str]
) -> None:
    given = [one.format(gold=entities, folder=entities.parent) for one in arguments]
    where = [] if "--index" in given else ["--index", good]
    result = call("evaluate", *given, *where)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith("longbert: error: ")
    for part in parts:
        assert part in result.stderr


def test_another_text_and_a_damaged_output(
    call: Call, good: Path, entities: Path, tmp_path: Path
) -> None:
    other = write_gold(tmp_path / "other.jsonl", [{"id": "a", "text": "Ada", "entities": []}])
    result = call("evaluate", "--gold", other, "--index", good)
    assert result.exit_code == 2
    assert "1 of 1 documents differ" in result.stderr
    damaged = Path(shutil.copytree(good, tmp_path / "damaged"))
    next((damaged / "entities").glob("*.parquet")).write_bytes(b"")
    result = call("evaluate", "--gold", entities, "--index", damaged)
    assert result.exit_code == 1
    assert "remove it and run longbert again" in result.stderr


def test_the_installed_command(good: Path, entities: Path) -> None:
    done = command("evaluate", "--gold", entities, "--index", good, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["head"] == "tagger"


def test_evaluating_loads_neither_torch_nor_beam() -> None:
    code = (
        "import sys, longbert.cli.evaluate, longbert.engine.evaluate, longbert.readers.labels; "
        "print({'torch', 'transformers', 'faiss', 'apache_beam'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
