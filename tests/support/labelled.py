"""Labelled documents, an output over them, and tables with rows of one's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support.written_tables import to_parquet

from .manifests import Entry, edit_parts, parts_of
from .runs import run
from .texts import long_text

TEXTS = {
    "a": "Ada met Bob in Rome.",
    "b": "Nobody went to Paris 🎉 with Eve.",
    "long": long_text(80, seed=5),
}
EMPTY = {"empty": " "}

Rows = list[dict[str, Any]]


def write_gold(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON lines; a row without text gets that of its id."""
    texts = TEXTS | EMPTY
    path.write_text(
        "".join(json.dumps({"text": texts.get(str(row["id"])), **row}) + "\n" for row in rows)
    )
    return path


def run_labelled(folder: Path, models: Callable[..., Path], **settings: Any) -> Path:
    """Run heads of every kind over the texts; they are named after what they do."""
    heads = {
        "tagger": {"task": "ner", "seed": 1},
        "choice": {"task": "classify", "seed": 2},
        "several": {
            "task": "classify",
            "seed": 3,
            "labels": ("law", "tax", "art"),
            "problem_type": "multi_label_classification",
        },
        "number": {
            "task": "classify",
            "seed": 4,
            "labels": ("stars",),
            "problem_type": "regression",
        },
    }
    places = {}
    for name, options in heads.items():
        places[name] = folder / name
        places[name].symlink_to(models("bert", backbone_seed=0, **options))
    source = write_gold(folder / "docs.jsonl", [{"id": one} for one in (*TEXTS, *EMPTY)])
    run(
        source,
        folder / "out",
        embed="none",
        ner=[str(places.pop("tagger"))],
        classify=[str(place) for place in places.values()],
        window=32,
        **settings,
    )
    return folder / "out"


def change_rows(output: Path, table: str, change: Callable[[Rows], Rows]) -> None:
    """Give a table other rows, part by part, with checksums that fit."""

    def change_part(entry: Entry) -> None:
        path = output / table / f"{entry['name']}.parquet"
        old = pq.read_table(path)
        data = to_parquet(pa.Table.from_pylist(change(old.to_pylist()), schema=old.schema))
        path.write_bytes(data)
        entry["files"][table]["sha256"] = hashlib.sha256(data).hexdigest()

    edit_parts(output, lambda parts: [change_part(part) for part in parts])


def set_entities(output: Path, spans: Mapping[str, Sequence[tuple[int, int, str]]]) -> None:
    """Let the tagger have found exactly these; a document's first one has a score of 0.9, ..."""
    parts = {
        row["document_id"]: entry["name"]
        for entry in parts_of(output)
        for row in pq.read_table(output / "documents" / f"{entry['name']}.parquet").to_pylist()
    }
    todo = {name: [one for one in spans if parts[one] == name] for name in parts.values()}
    order = iter(parts_of(output))

    def rows_of_part(_: Rows) -> Rows:
        return [
            {
                "document_id": document_id,
                "head": "tagger",
                "char_start": start,
                "char_end": end,
                "label": label,
                "score": 0.9 - 0.1 * place,
                "text": (TEXTS | EMPTY)[document_id][start:end],
            }
            for document_id in todo.get(next(order)["name"], [])
            for place, (start, end, label) in enumerate(spans[document_id])
        ]

    change_rows(output, "entities", rows_of_part)


def set_scores(output: Path, head: str, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Let a head have these scores by document and label, and predict the label of the highest."""

    def changed(rows: Rows) -> Rows:
        for row in rows:
            if row["head"] == head and row["document_id"] in scores:
                of_document = scores[row["document_id"]]
                row["score"] = of_document[row["label"]]
                row["predicted"] = row["score"] == max(of_document.values())
        return rows

    change_rows(output, "classifications", changed)
