"""An output against labelled documents: what is joined, compared, refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.labelled import (
    TEXTS,
    change_rows,
    run_labelled,
    set_entities,
    set_scores,
    write_gold,
)
from support.manifests import part_names_of
from support.runs import rows

from longbert.engine.evaluate import Evaluation, evaluate_output
from longbert.errors import ConfigError, InputError, LongbertError, OutputError
from longbert.readers.labels import read_labelled
from longbert.records import LabelledSpan
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder

FILES = LocalFileSystem()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, models: Callable[..., Path]) -> Path:
    return run_labelled(tmp_path_factory.mktemp("evaluate"), models, unit_bytes=250)


@pytest.fixture
def output(good: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(good, tmp_path / "out"))


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Evaluation]:
    """Evaluate an output against rows of a gold file."""

    def call(output: Path, *gold: dict[str, Any], **options: Any) -> Evaluation:
        path = write_gold(tmp_path / "gold.jsonl", gold)
        data = read_labelled(
            FILES, str(path), label_field=options.pop("field", None), may_be_empty=True
        )
        return evaluate_output(OutputFolder(FILES, str(output)), data, **options)

    return call


def predicted_entities(output: Path) -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = {one: [] for one in TEXTS}
    for row in rows(output, "entities"):
        found[row["document_id"]].append([row["char_start"], row["char_end"], row["label"]])
    return found


def predicted_labels(output: Path, head: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {one: [] for one in TEXTS}
    for row in rows(output, "classifications"):
        if row["head"] == head and row["predicted"]:
            found[row["document_id"]].append(row["label"])
    return found


def test_the_output_has_more_than_one_part(good):
    assert len(part_names_of(good)) > 1


def test_an_output_agrees_with_itself(good, evaluate):
    of_entities = evaluate(
        good, *({"id": i, "entities": found} for i, found in predicted_entities(good).items())
    )
    assert of_entities.head == "tagger"
    assert of_entities.measures.f1.value == of_entities.measures.macro_f1.value == 1
    assert of_entities.mistakes == ()
    labels = predicted_labels(good, "choice")
    of_labels = evaluate(
        good, *({"id": i, "label": found[0]} for i, found in labels.items()), head="choice"
    )
    assert of_labels.measures.accuracy.value == 1
    labels = predicted_labels(good, "several")
    of_sets = evaluate(
        good, *({"id": i, "labels": found} for i, found in labels.items()), head="several"
    )
    assert of_sets.measures.subset_accuracy.value == 1
    assert of_sets.mistakes == of_labels.mistakes == ()


def test_every_kind_of_mistake_with_its_place(output, evaluate):
    set_entities(
        output,
        {
            "a": [(0, 3, "PER"), (8, 14, "PER"), (15, 19, "ORG")],
            "b": [(0, 6, "PER")],
        },
    )
    found = evaluate(
        output,
        {"id": "a", "entities": [[0, 3, "PER"], [8, 11, "PER"], [15, 19, "LOC"]]},
        {"id": "b", "entities": [[15, 20, "LOC"]]},
    )
    assert [(one.document_id, one.error.kind, one.score) for one in found.mistakes] == [
        ("a", "wrong border", pytest.approx(0.8)),
        ("a", "wrong label", pytest.approx(0.7)),
        ("b", "spurious", pytest.approx(0.9)),
        ("b", "missed", None),
    ]
    assert found.mistakes[0].to_json() == {
        "document_id": "a",
        "kind": "wrong border",
        "gold": {"char_start": 8, "char_end": 11, "label": "PER", "text": "Bob"},
        "predicted": {"char_start": 8, "char_end": 14, "label": "PER", "text": "Bob in"},
        "score": 0.8,
        "before": "Ada met ",
        "text": "Bob in",
        "after": " Rome.",
    }
    assert found.mistakes[3].error.gold == LabelledSpan(15, 20, "LOC")
    assert found.mistakes[3].to_json()["predicted"] is None
    assert found.measures.n_errors == Counter(
        {"missed": 1, "spurious": 1, "wrong border": 1, "wrong label": 1}
    )
    assert (found.unknown_labels, found.further_labels) == (("LOC",), ("ORG",))


def test_what_could_not_be_scored_is_counted_and_named(good, evaluate):
    found = evaluate(
        good,
        {"id": "a", "entities": [[0, 3, "PER"], [0, 2, "PER"]]},
        {"id": "elsewhere", "text": "Eve", "entities": []},
        {"id": "empty", "entities": []},
    )
    assert (found.n_gold, found.n_scored, found.n_not_in_gold) == (3, 1, 2)
    assert (found.not_in_output, found.in_errors) == (("elsewhere",), ("empty",))
    assert found.n_dropped_spans == 1
    assert found.measures.n_documents == 1
    documents = {"gold": 3, "scored": 1, "not_in_gold": 2}
    documents |= {"not_in_output": ["elsewhere"], "in_errors": ["empty"]}
    assert json.loads(json.dumps(found.to_json()))["documents"] == documents


def test_labels_their_scores_and_the_surest_mistake_first(output, evaluate):
    scores = {"a": (0.9, 0.1), "b": (0.2, 0.8), "long": (0.4, 0.6)}
    set_scores(
        output,
        "choice",
        {one: {"neg": neg, "pos": pos} for one, (neg, pos) in scores.items()},
    )
    found = evaluate(
        output,
        {"id": "a", "label": "neg"},
        {"id": "long", "label": "neg"},
        {"id": "b", "label": "mixed"},
        head="choice",
    )
    assert found.measures.accuracy.value == pytest.approx(1 / 3)
    assert found.measures.confusion.tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 0]]
    assert (found.unknown_labels, found.further_labels) == (("mixed",), ("pos",))
    assert [one.to_json() for one in found.mistakes] == [
        {
            "document_id": one,
            "kind": "wrong label",
            "gold": (gold,),
            "predicted": ("pos",),
            "score": score,
        }
        for one, gold, score in (("b", "mixed", 0.8), ("long", "neg", 0.6))
    ]
    # Each of the three scores is alone in its bin.
    expected = ((1 - 0.9) + 0.8 + 0.6) / 3
    assert found.calibration.expected_error == pytest.approx(expected, abs=1e-6)


def test_a_head_of_several_labels_is_compared_as_a_set_with_one_gold_label(good, evaluate):
    labels = predicted_labels(good, "several")
    gold = {one: (found or ["law"])[0] for one, found in labels.items()}
    found = evaluate(good, *({"id": i, "label": one} for i, one in gold.items()), head="several")
    assert found.to_json()["task"] == "multi-label classification"
    right = [set(labels[one]) == {gold[one]} for one in TEXTS]
    assert found.measures.subset_accuracy.value == pytest.approx(np.mean(right))
    assert sum(one.n for one in found.calibration.bins) == 3 * len(TEXTS)


def test_numbers(good, evaluate):
    found_numbers = {
        row["document_id"]: row["score"]
        for row in rows(good, "classifications")
        if row["head"] == "number"
    }
    off = dict(zip(TEXTS, (0.0, 3.0, -5.0), strict=True))
    found = evaluate(
        good,
        *({"id": one, "label": found_numbers[one] + off[one]} for one in TEXTS),
        head="number",
    )
    assert found.measures.mean_absolute_error.value == pytest.approx(8 / 3)
    assert found.measures.root_mean_squared_error.value == pytest.approx((34 / 3) ** 0.5)
    assert [one.document_id for one in found.mistakes] == ["long", "b"]
    assert found.mistakes[0].to_json() == {
        "document_id": "long",
        "kind": "wrong number",
        "gold": found_numbers["long"] - 5,
        "predicted": pytest.approx(found_numbers["long"], rel=1e-6),
        "score": None,
    }
    assert found.calibration is None
    assert found.further_labels == found.unknown_labels == ()


def test_label_map_renames_both_sides_and_leaves_out(output, evaluate):
    set_entities(output, {"a": [(0, 3, "PERSON"), (8, 11, "DATE"), (15, 19, "GPE")]})
    gold = {"id": "a", "entities": [[0, 3, "PER"], [15, 19, "CITY"]]}
    label_map = {"PERSON": "PER", "GPE": "LOC", "CITY": "LOC", "DATE": ""}
    found = evaluate(output, gold, label_map=label_map)
    assert found.measures.f1.value == 1
    assert [one.label for one in found.measures.per_label] == ["LOC", "PER"]
    assert found.unknown_labels == found.further_labels == ()


def test_labels_that_stand_for_one_add_their_scores(output, evaluate):
    set_scores(output, "choice", {one: {"neg": 0.4, "pos": 0.6} for one in TEXTS})
    found = evaluate(
        output, *({"id": one, "label": "any"} for one in TEXTS), head="choice",
        label_map={"neg": "any", "pos": "any"},
    )  # fmt: skip
    assert found.measures.accuracy.value == 1
    assert found.calibration.expected_error == pytest.approx(0, abs=1e-6)


def test_the_number_of_parts_changes_nothing(good, tmp_path, models, evaluate):
    (tmp_path / "one").mkdir()
    one_part = run_labelled(tmp_path / "one", models, unit_bytes=1_000_000)
    gold = [{"id": one, "entities": found[::2]} for one, found in predicted_entities(good).items()]
    assert evaluate(one_part, *gold).to_json() == evaluate(good, *gold).to_json()


def refused(call: Callable[[], Any], kind: type[LongbertError], *parts: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


ENTITIES = {"id": "a", "entities": [[0, 3, "PER"]]}
LABEL = {"id": "a", "label": "pos"}


def test_other_texts_are_counted_and_refused(good, evaluate):
    other = [{"id": one, "text": TEXTS[one] + " ", "entities": []} for one in TEXTS]
    refused(
        lambda: evaluate(good, *other[1:], ENTITIES),
        InputError,
        "2 of 3 documents differ",
        "(b, long)",
        "evaluate with the texts that were run",
    )


def test_nothing_in_common(good, evaluate):
    refused(
        lambda: evaluate(good, {"id": "x", "text": "y", "entities": []}),
        InputError,
        "none of the 1 documents",
        "ids are like 'x' there and like 'a' in the output",
        "--id-field",
    )
    refused(
        lambda: evaluate(good, {"id": "empty", "entities": []}), InputError, "1 of them are in its"
    )


@pytest.mark.parametrize(
    ("gold", "options", "parts"),
    [
        (LABEL, {}, ("has 3 heads for classification: choice, number, several", "--head")),
        (LABEL, {"head": "chioce"}, ("not a head for classification", "did you mean 'choice'?")),
        (LABEL, {"head": "tagger"}, ("not a head for classification",)),
        (ENTITIES, {"head": "choice"}, ("not a head for entities", "those are: tagger")),
        (LABEL, {"head": "number"}, ("gives numbers", "--label-field")),
        ({"id": "a", "label": 3}, {"head": "choice"}, ("has numbers", "among neg, pos")),
        (ENTITIES, {"label_map": {"X": "Y"}}, ("names 'X'", "the labels are")),
        (ENTITIES, {"label_map": {"PEER": "Y"}}, ("did you mean 'PER'?",)),
        (LABEL, {"head": "choice", "label_map": {"neg": ""}}, ("leaves out 'neg'", "neg=OTHER")),
    ],
)
def test_wrong_usage(good, evaluate, gold, options, parts):
    refused(lambda: evaluate(good, gold, **options), ConfigError, *parts)


def test_an_output_without_a_head_that_fits(output, evaluate):
    def without_tagger(manifest: Any) -> None:
        for backbone in manifest["rows"]["settings"]["passes"]:
            backbone["heads"] = [one for one in backbone["heads"] if one["name"] != "tagger"]

    edit(output, without_tagger)
    refused(
        lambda: evaluate(output, ENTITIES),
        ConfigError,
        "needs a head for entities",
        "others: choice, number, several",
        "with --ner",
    )


def edit(output: Path, change: Callable[[Any], None]) -> None:
    manifest = json.loads((output / "manifest.json").read_text())
    change(manifest)
    (output / "manifest.json").write_text(json.dumps(manifest))


def test_a_head_that_found_nothing_anywhere(output, evaluate):
    set_entities(output, {})
    found = evaluate(output, ENTITIES)
    assert (found.head, found.measures.recall) == ("tagger", 0)
    assert found.unknown_labels == ("PER",)


@pytest.mark.parametrize("table", ["documents", "entities", "classifications", "errors"])
@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_damaged_tables(output, evaluate, table, damage):
    path = sorted((output / table).glob("*.parquet"))[0]
    if damage == "missing":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    said = "is missing" if damage == "missing" else "is damaged: its SHA-256 is"
    refused(lambda: evaluate(output, ENTITIES), OutputError, path.name, said, "run longbert again")


def test_rows_that_cannot_be(output, evaluate):
    set_entities(output, {"a": [(0, 300, "PER")]})
    refused(lambda: evaluate(output, ENTITIES), OutputError, "from 0 to 300", "of 20 characters")
    change_rows(
        output,
        "classifications",
        lambda rows: [row for row in rows if (row["document_id"], row["label"]) != ("b", "neg")],
    )
    gold = [{"id": one, "label": "pos"} for one in TEXTS]
    refused(lambda: evaluate(output, *gold, head="choice"), OutputError, "lacks rows of head")


def test_outputs_that_are_not_finished_or_not_whole(output, evaluate, tmp_path):
    refused(lambda: evaluate(tmp_path, ENTITIES), ConfigError, "holds no longbert output")
    edit(output, lambda manifest: manifest["rows"].pop("settings"))
    refused(
        lambda: evaluate(output, ENTITIES),
        OutputError,
        "is damaged (Object missing required field `settings`",
    )
