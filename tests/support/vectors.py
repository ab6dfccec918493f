"""Indexes of drawn vectors that lie in clusters, built from written tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from longbert.index.build import build_index
from longbert.index.table import OpenTable
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile
from longbert.store.index_description import IndexDescription, IndexSegment

from .written_tables import Doc, Floats, index_settings, write_part

PASSAGES = 10


def clustered(n: int, width: int, seed: int = 0, *, shift: float = 0.0) -> Floats:
    """Vectors of length 1 around fifty centres; ``shift`` moves all of them along one axis."""
    centres = np.random.default_rng(123).standard_normal((50, width))
    draw = np.random.default_rng(seed)
    vectors = centres[draw.integers(50, size=n)] + 0.7 * draw.standard_normal((n, width))
    vectors[:, 0] += shift
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def drawn_docs(name: str, n_rows: int, width: int, **given: Any) -> list[Doc]:
    """Documents of ten passages, with an id that begins with ``name``."""
    passages = clustered(n_rows, width, **given).reshape(-1, PASSAGES, width)
    return [Doc(f"{name}/{number}", one[0], one) for number, one in enumerate(passages)]


def write_rows(files: Any, part: str, n_rows: int, width: int, **given: Any) -> list[Doc]:
    """Write a part of drawn documents to the folder ``out``."""
    docs = drawn_docs(part, n_rows, width, **given)
    write_part(files, "out", part, docs, width=width, row_group_size=1000)
    return docs


def built_index(
    files: Any, type: str, *, n_rows: int, width: int, **settings: Any
) -> IndexDescription:
    """Write one part and build its index."""
    write_rows(files, "a", n_rows, width)
    return indexed(files, ["a"], type, **settings)


def indexed(
    files: FileSystem,
    parts: list[str],
    type: str,
    before: IndexDescription | None = None,
    **settings: Any,
) -> IndexDescription:
    """Build or update the index of some parts."""
    output = OutputFolder(files, "out")
    entry = build_index(output, parts, index_settings(type=type, **settings), before).entry
    assert entry is not None
    return output.index_description(entry)


def one_segment(description: IndexDescription) -> IndexSegment:
    """The only segment of the passages."""
    (segment,) = description.passages.segments
    return segment


def open_table(
    files: FileSystem, index: IndexDescription, parts: list[str], folder: str = "out"
) -> OpenTable:
    """The vectors of passages, opened."""
    output = OutputFolder(files, folder)
    held = {name: HeldFile(output, name) for name in index.files}
    return OpenTable.open(held, index.passages, parts, metric=index.metric)
