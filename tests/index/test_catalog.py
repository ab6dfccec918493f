"""Catalogs say what the tables say."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.errors import OutputError
from longbert.index.array_file import pack
from longbert.index.catalog import catalog_file, is_catalog_of, open_catalog
from longbert.index.large_catalog import write_large_catalog
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.part_writer import write_part

IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
DOCUMENTS = st.dictionaries(IDS, st.lists(st.integers(0, 300), max_size=4), max_size=6)


def tables(documents: dict[str, list[int]]) -> dict[str, pa.Table]:
    """Documents by id, given as the lengths of their passages."""
    rows: list[tuple[Any, ...]] = []
    for document_id, lengths in documents.items():
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        for ordinal, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            rows.append((len(rows) + 2**62, document_id, ordinal, start, end))
    names = ["passage_id", "document_id", "ordinal", "char_start", "char_end"]
    types = [pa.int64(), pa.string(), pa.int32(), pa.int64(), pa.int64()]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {
        "documents": pa.table({"document_id": pa.array(list(documents), pa.string())}),
        "passages": pa.table(
            [pa.array(one, kind) for one, kind in zip(columns, types, strict=True)], names=names
        ),
    }


def built(documents: dict[str, list[int]]) -> bytes:
    found = tables(documents)
    return catalog_file(found["documents"], found["passages"], path="passages/x")


@given(DOCUMENTS)
def test_a_catalog_says_what_the_tables_say(documents: dict[str, list[int]]) -> None:
    data = built(documents)
    catalog = open_catalog(data, path="catalog/x")

    assert list(catalog.document_ids(np.arange(len(documents)))) == list(documents)
    assert list(catalog.document_ids(np.arange(len(documents))[::-2])) == list(documents)[::-2]
    assert catalog.n_documents == len(documents)
    assert catalog.n_passages == sum(map(len, documents.values()))
    rows = tables(documents)["passages"].to_pylist()
    assert catalog.passage_ids.tolist() == [row["passage_id"] for row in rows]
    for number, document_id in enumerate(documents):
        own = [row for row in rows if row["document_id"] == document_id]
        starts, ends = catalog.spans(number)
        assert starts.tolist() == [row["char_start"] for row in own]
        assert ends.tolist() == [row["char_end"] for row in own]
    assert built(documents) == data
    assert is_catalog_of(data, tables(documents))
    assert not is_catalog_of(data, tables({**documents, "one more": [3]}))


@pytest.mark.parametrize("lengths", [[], [0], [7], [100, 0, 200], [70_000, 9]])
def test_that_of_a_large_document_has_the_same_bytes(tmp_path: Path, lengths: list[int]) -> None:
    found = tables({"aé": lengths})
    output = OutputFolder(LocalFileSystem(), str(tmp_path))
    with write_part(output, "x", {name: one.schema for name, one in found.items()}) as written:
        written.add(found)
    file = io.BytesIO()
    write_large_catalog(file, output=output, part="x")
    assert file.getvalue() == built({"aé": lengths})


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2, 1], [2, 0, 1], [0, 0, 1, 2], [1, 2]])
def test_passages_out_of_order_are_refused(order: list[int]) -> None:
    found = tables({"a": [3, 4], "b": [5]})
    passages = pa.Table.from_pylist(
        [found["passages"].to_pylist()[row] for row in order], found["passages"].schema
    )
    with pytest.raises(OutputError, match=r"passages/x: passage \d of '.' is out of order"):
        catalog_file(found["documents"], passages, path="passages/x")
    assert not is_catalog_of(built({"a": [3, 4], "b": [5]}), {**found, "passages": passages})


def test_passages_of_an_unknown_document_are_refused() -> None:
    found = tables({"a": [3], "b": [5]})
    with pytest.raises(OutputError, match="passage 0 of 'b' is out of order"):
        catalog_file(found["documents"].slice(0, 1), found["passages"], path="passages/x")


def test_a_damaged_catalog_is_told() -> None:
    data = built({"a": [3, 4]})
    for damaged in (data[:-1], b"", data[:30], pack({"passages": np.zeros(1, np.int64)}, {})):
        with pytest.raises(OutputError, match=r"catalog/x is damaged .*: remove it, and run"):
            open_catalog(damaged, path="catalog/x")
    other = open_catalog(built({"a": [3]}), path="catalog/x")
    arrays = {name: getattr(other, name) for name in ("passage_ids", "char_ends", "ids")}
    mixed = {**arrays, "passages": np.array([0, 9]), "id_starts": other.id_starts}
    with pytest.raises(OutputError, match="do not fit each other"):
        open_catalog(pack(mixed, {}), path="catalog/x")
