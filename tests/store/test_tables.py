"""The output folder: tables, their columns, order and readers, and the files beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import convert
from support.manifests import parts_of
from support.runs import DEFAULT_TABLES, files_of, last_run, rows, run, some_texts, write_texts
from support.texts import long_text

import longbert
from longbert.engine.meter import PROGRESS
from longbert.store.layout import CATALOG, LEXICAL, part_file
from longbert.store.receipts import PartEntry

WIDTH = 32
COLUMNS = {
    "documents": [
        ("document_id", pa.string()),
        ("source", pa.string()),
        ("content_sha256", pa.string()),
        ("n_chars", pa.int64()),
        ("n_chars_covered", pa.int64()),
        ("n_chars_unknown", pa.int64()),
        ("n_tokens", pa.int64()),
        ("n_windows", pa.int32()),
        ("embedding", pa.list_(pa.float32(), WIDTH)),
        ("metadata", pa.map_(pa.string(), pa.string())),
    ],
    "passages": [
        ("passage_id", pa.int64()),
        ("document_id", pa.string()),
        ("ordinal", pa.int32()),
        ("char_start", pa.int64()),
        ("char_end", pa.int64()),
        ("text", pa.string()),
        ("embedding", pa.list_(pa.float32(), WIDTH)),
    ],
    "entities": [
        ("document_id", pa.string()),
        ("head", pa.string()),
        ("char_start", pa.int64()),
        ("char_end", pa.int64()),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("text", pa.string()),
    ],
    "classifications": [
        ("document_id", pa.string()),
        ("head", pa.string()),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("predicted", pa.bool_()),
    ],
    "errors": [
        ("source", pa.string()),
        ("document_id", pa.string()),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
    ],
}
"""As the contract has them."""

RECORDS: list[dict[str, Any]] = [
    {"id": "z", "text": long_text(120, seed=1), "author": "Ada", "year": 1843, "tags": ["a", "é"]},
    {"id": "a", "text": "Maria Alvarez left London.", "draft": None, "open": True},
    {"text": long_text(40, seed=2)},
    {"id": "empty", "text": ""},
    {"id": 7, "text": "A \ud83d lone surrogate.", "score": 0.5},
]


class Output:
    """A finished output, and what made it."""

    def __init__(self, folder: Path, docs: Path, settings: dict[str, Any]) -> None:
        self.folder, self.docs, self.settings = folder, docs, settings
        self.manifest = run(docs, folder, **settings)


@pytest.fixture(scope="module")
def heads(models: Callable[..., Path]) -> dict[str, Any]:
    return {
        "embed": models("bert", sentence_transformers={"max_seq_length": 32}),
        "ner": [str(models("bert", task="ner", backbone_seed=0, seed=1))],
        "classify": [str(models("bert", task="classify", backbone_seed=0, seed=2))],
        "passage": 20,
    }


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, heads: dict[str, Any]) -> Output:
    place = tmp_path_factory.mktemp("tables")
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS)
    docs = write_texts(place / "docs", {"b.jsonl": lines, **some_texts(3), "z/Ω.md": "Ωmega\r\n"})
    return Output(place / "out", docs, heads)


@pytest.fixture(scope="module")
def tags_only(tmp_path_factory: pytest.TempPathFactory, heads: dict[str, Any]) -> Output:
    place = tmp_path_factory.mktemp("tags")
    docs = write_texts(place / "docs", some_texts(2))
    return Output(place / "out", docs, {"embed": "none", "ner": heads["ner"], "window": 32})


@pytest.fixture(scope="module")
def errors_only(tmp_path_factory: pytest.TempPathFactory, heads: dict[str, Any]) -> Output:
    place = tmp_path_factory.mktemp("errors")
    docs = write_texts(place / "docs", {"a.txt": "", "b.txt": " ", "c.jsonl": "{\n"})
    return Output(place / "out", docs, {"embed": heads["embed"]})


@pytest.mark.parametrize("table", DEFAULT_TABLES)
def test_columns_are_those_of_the_contract(output: Output, table: str) -> None:
    for path in (output.folder / table).iterdir():
        schema = pq.read_schema(path)
        assert [(field.name, field.type) for field in schema] == COLUMNS[table]
        nullable = {field.name for field in schema if field.nullable}
        assert nullable == {"errors": {"document_id"}}.get(table, {"embedding"} & set(schema.names))


@pytest.mark.parametrize("table", DEFAULT_TABLES)
@pytest.mark.parametrize("which", ["output", "tags_only", "errors_only"])
def test_tables_open_in_pandas_polars_and_duckdb(
    which: str, table: str, request: pytest.FixtureRequest
) -> None:
    found: Output = request.getfixturevalue(which)
    wanted = rows(found.folder, table)
    names = [name for name, _ in COLUMNS[table]]
    folder = found.folder / table

    frame = pd.read_parquet(folder)
    assert list(frame.columns) == names
    assert len(frame) == len(wanted)
    polars = pl.read_parquet(folder / "*.parquet")
    assert polars.columns == names
    assert polars.height == len(wanted)
    duck = duckdb.sql(f"SELECT * FROM '{folder}/*.parquet'")
    assert duck.columns == names
    for row, values in zip(wanted, duck.fetchall(), strict=True):
        for name, value in zip(names, values, strict=True):
            if name == "metadata":
                assert value == dict(row[name])
            elif name == "embedding":
                assert (value is None) == (row[name] is None)
                assert value is None or list(value) == row[name]
            else:
                assert value == row[name]
    text = [name for name, type_ in COLUMNS[table] if type_ == pa.string()]
    for name in text:
        assert polars[name].to_list() == [row[name] for row in wanted]
        assert [None if pd.isna(one) else one for one in frame[name]] == polars[name].to_list()


def test_without_an_embedding_model_vectors_are_null(tags_only: Output) -> None:
    for table in ("documents", "passages"):
        found = rows(tags_only.folder, table)
        assert found
        assert {row["embedding"] for row in found} == {None}
    assert rows(tags_only.folder, "entities")
    assert tags_only.manifest["index"] is None
    assert not (tags_only.folder / "index").exists()


def test_with_errors_alone_all_tables_are_there(errors_only: Output) -> None:
    counts = errors_only.manifest["counts"]
    assert {name: n for name, n in counts.items() if n} == {"errors": 3}
    assert errors_only.manifest["index"] is None
    found = [(row["document_id"], row["stage"]) for row in rows(errors_only.folder, "errors")]
    assert found == [("a.txt", "plan"), ("b.txt", "tokenize"), (None, "plan")]


def test_rows_are_in_the_order_of_the_inputs(output: Output) -> None:
    ids = ["00.txt", "01.txt", "02.txt", "z", "a", "b.jsonl#3", "7", "z/Ω.md"]
    assert [row["document_id"] for row in rows(output.folder, "documents")] == ids
    for table in ("passages", "entities", "classifications"):
        found = [row["document_id"] for row in rows(output.folder, table)]
        assert found == sorted(found, key=ids.index)
    for document_id in ids:
        own = [row for row in rows(output.folder, "passages") if row["document_id"] == document_id]
        assert [row["ordinal"] for row in own] == list(range(len(own)))
        entities = [
            row["char_start"]
            for row in rows(output.folder, "entities")
            if row["document_id"] == document_id
        ]
        assert entities == sorted(entities)


def test_the_order_of_several_inputs_is_kept(
    tmp_path: Path, heads: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path, {"b/x.txt": "one", "a/x.txt": "two", "a/y.md": "three"})
    monkeypatch.chdir(tmp_path)
    run([Path("b"), Path("a/*.md"), Path("a/x.txt")], Path("out"), embed=heads["embed"])
    found = [(row["document_id"], row["source"]) for row in rows(Path("out"), "documents")]
    assert found == [("b/x.txt", "b/x.txt"), ("a/y.md", "a/y.md"), ("a/x.txt", "a/x.txt")]


def test_documents_tell_of_their_text(output: Output) -> None:
    by_id = {row["document_id"]: row for row in rows(output.folder, "documents")}
    texts = {name: (output.docs / name).read_text() for name in some_texts(3)}
    texts |= {"z": RECORDS[0]["text"], "a": RECORDS[1]["text"], "z/Ω.md": "Ωmega\r\n"}
    texts |= {"b.jsonl#3": RECORDS[2]["text"], "7": "A \ufffd lone surrogate."}
    assert texts.keys() == by_id.keys()
    for name, text in texts.items():
        row = by_id[name]
        assert row["content_sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert row["n_chars"] == row["n_chars_covered"] == len(text)
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-6)
        own = [one for one in rows(output.folder, "passages") if one["document_id"] == name]
        assert "".join(one["text"] for one in own) == text
    assert by_id["z"]["source"] == f"{output.docs}/b.jsonl"
    assert by_id["b.jsonl#3"]["source"] == f"{output.docs}/b.jsonl#3"
    assert by_id["00.txt"]["source"] == f"{output.docs}/00.txt"


def test_metadata_are_the_other_fields_as_strings(output: Output) -> None:
    found = {row["document_id"]: row["metadata"] for row in rows(output.folder, "documents")}
    assert found["z"] == [("author", "Ada"), ("year", "1843"), ("tags", '["a","é"]')]
    assert found["a"] == [("open", "true")]
    assert found["7"] == [("score", "0.5")]
    assert found["b.jsonl#3"] == found["00.txt"] == []


def test_passage_ids_depend_on_document_and_ordinal_alone(
    output: Output, tmp_path: Path, heads: dict[str, Any]
) -> None:
    found = rows(output.folder, "passages")
    ids = {(row["document_id"], row["ordinal"]): row["passage_id"] for row in found}
    assert len(set(ids.values())) == len(ids)
    assert all(0 <= one < 2**63 for one in ids.values())
    # Pinned: an index that was written once must stay readable.
    wanted = int.from_bytes(hashlib.sha256(b"0\x0000.txt").digest()[:8]) >> 1
    assert ids["00.txt", 0] == wanted
    docs = write_texts(tmp_path / "docs", {"00.txt": long_text(50, seed=77)})
    run(docs, tmp_path / "out", **heads)
    other = rows(tmp_path / "out", "passages")
    assert [ids["00.txt", row["ordinal"]] for row in other] == [row["passage_id"] for row in other]


def test_the_manifest_names_all_files_with_size_and_checksum(output: Output) -> None:
    manifest = json.loads((output.folder / "manifest.json").read_text())
    assert manifest == output.manifest
    named = {"manifest.json", "fingerprint.json"}
    named |= {shard["file"] for shard in manifest["shards"]}
    for part in parts_of(output.folder):
        assert sorted(part) == ["counts", "files", "fingerprint", "lexical", "name"]
        assert sorted(part["files"]) == sorted((*DEFAULT_TABLES, CATALOG, LEXICAL))
        named.add(f"receipts/{part['name']}.json")
        for table, entry in part["files"].items():
            file = convert(part, PartEntry).path(table)
            named.add(file)
            data = (output.folder / file).read_bytes()
            rows_of = table if table in DEFAULT_TABLES else "passages"
            parquet = output.folder / part_file(rows_of, part["name"])
            assert entry == {
                "sha256": hashlib.sha256(data).hexdigest(),
                "n_bytes": len(data),
                "n_rows": pq.read_metadata(parquet).num_rows,
            }
    description = json.loads((output.folder / manifest["index"]["file"]).read_text())
    named |= {manifest["index"]["file"]}
    named |= {
        segment["file"]
        for table in ("documents", "passages")
        for segment in description[table]["segments"]
    }
    assert set(files_of(output.folder)) == named
    claim = json.loads((output.folder / "fingerprint.json").read_text())
    assert claim == {"format": manifest["format"], "rows": manifest["rows"]}
    assert manifest["environments"] == {manifest["fingerprint"]: manifest["rows"]["environment"]}
    assert {"longbert", "libraries", "processor"} == manifest["rows"]["environment"].keys()
    assert {"text", "html"} <= manifest["readers"].keys()
    assert {"pyarrow", "unit_bytes"} == manifest["written_with"].keys()
    assert manifest["models"]["embed"] == str(output.settings["embed"])
    assert manifest["models"]["heads"]["ner"] == output.settings["ner"]


def test_the_manifest_holds_no_time_and_no_number_of_workers(output: Output) -> None:
    text = (output.folder / "manifest.json").read_text()
    assert "worker" not in text
    assert str(datetime.now().year) not in json.dumps(output.manifest["rows"]["settings"])


def test_run_json_tells_of_the_run(output: Output) -> None:
    entry = last_run(output.folder)
    assert entry["settings"]["input"] == [str(output.docs)]
    assert entry["runner"] == "none"
    assert entry["workers"] is None
    assert entry["documents"] == 9
    assert entry["units"] == len(parts_of(output.folder))
    assert entry["units_copied"] == entry["units_resumed"] == entry["unchanged"] == 0
    assert datetime.fromisoformat(entry["began"]).tzinfo is not None
    assert entry["encoded"] == output.manifest["counts"]
    assert entry["documents_resumed"] == 0
    measured = entry["measured"]
    assert not measured.keys() & PROGRESS
    assert measured["positions"] <= measured["padded_positions"]
    stages = ("reading", "tokenizing", "encoding", "assembling", "writing", "indexing")
    assert all(measured[f"seconds_{stage}"] >= 0 for stage in stages)


def test_load_gives_the_rows_of_a_run(output: Output) -> None:
    settings = {"precision": "float32", **output.settings, "embed": str(output.settings["embed"])}
    encoder = longbert.load(**settings)
    for row in rows(output.folder, "documents"):
        own = {
            table: [
                one
                for one in rows(output.folder, table)
                if one["document_id"] == row["document_id"]
            ]
            for table in ("passages", "entities", "classifications")
        }
        result = encoder("".join(passage["text"] for passage in own["passages"]))

        assert result.embedding is not None
        assert result.embedding.tolist() == row["embedding"]
        for name in ("n_tokens", "n_windows", "n_chars_covered", "n_chars_unknown"):
            assert getattr(result, name) == row[name]
        for name, found in (
            ("passages", result.passages),
            ("entities", result.entities),
            ("classifications", result.classifications),
        ):
            columns = [c for c, _ in COLUMNS[name] if c not in ("passage_id", "document_id")]
            assert [
                {column: _plain(getattr(one, column)) for column in columns} for one in found
            ] == [{column: one[column] for column in columns} for one in own[name]]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return float(np.float32(value)) if isinstance(value, float) else value


def test_load_encodes_several_texts_as_it_encodes_one(heads: dict[str, Any]) -> None:
    encoder = longbert.load(embed=str(heads["embed"]), precision="float32")
    texts = list(some_texts(3).values())
    assert encoder.embed(texts).tolist() == [encoder.embed([text])[0].tolist() for text in texts]
    with pytest.raises(longbert.DocumentError, match="no token"):
        encoder(" \n")
