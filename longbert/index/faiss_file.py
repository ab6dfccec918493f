"""FAISS files: written piece by piece, and searched where they lie, without a copy.

Every file is an ``IndexIDMap``, so it opens in plain FAISS, whose search returns the ids of the
tables. What is inside knows vectors by their rows.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from longbert.arrays import IntArray
from longbert.errors import OutputError
from longbert.index.backend import load_faiss
from longbert.index.kinds import INDEX_KINDS
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile
from longbert.store.index_description import IndexSegment
from longbert.store.layout import index_file

CHECKED_BYTES = 256 << 20
_ROWS_AT_ONCE = 8192
_TOLERANCE = 1e-3
"""Of a squared length, far above what rounding to float32 and a sum in it can do."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A FAISS file, opened.

    Attributes:
        searched: finds rows, whose vectors may be codes.
        vectors: gives back the vectors of rows.
        ids: of the rows. Shape: (rows,).
        owner: keeps all of them alive.
    """

    searched: Any
    vectors: Any
    ids: IntArray
    owner: Any


def flat_head(n_rows: int, width: int) -> bytes:
    """What an ``IndexFlatIP`` file holds before its vectors.

    It is that of an empty index with both counts filled in. So vectors that were streamed to a
    file after it open as an index, without passing through memory.
    """
    faiss = load_faiss()
    head = bytearray(faiss.serialize_index(faiss.IndexFlatIP(width)).tobytes())
    head[8:16] = n_rows.to_bytes(8, "little")
    # Numbers of float32, counted in the last field.
    head[-8:] = (n_rows * width).to_bytes(8, "little")
    return bytes(head)


def flat_view(path: Path, n_rows: int, width: int) -> Any:
    """The vectors in a file that has room for :func:`flat_head` before them, as an index."""
    with path.open("r+b") as file:
        file.write(flat_head(n_rows, width))
    faiss = load_faiss()
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def write_index_file(
    output: OutputFolder, table: str, index: Any, ids: IntArray
) -> tuple[str, str, int]:
    """Write an index whose rows have ids; the same index gives the same file.

    Returns:
        Its name, its SHA-256, and its bytes.
    """
    faiss = load_faiss()
    # FAISS takes an empty index only, so that ids are never fewer than vectors.
    index.ntotal, n_rows = 0, index.ntotal
    with_ids = faiss.IndexIDMap(index)
    index.ntotal = with_ids.ntotal = n_rows
    with tempfile.TemporaryFile(prefix="longbert-index-") as file:
        faiss.write_index(with_ids, faiss.PyCallbackIOWriter(file.write))
        # What comes last is the number of ids, of which FAISS would hold a copy.
        file.seek(-8, os.SEEK_END)
        file.write(len(ids).to_bytes(8, "little"))
        file.write(np.ascontiguousarray(ids, "<i8").data)
        file.flush()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped, memoryview(mapped) as content:
            sha256, n_bytes = hashlib.sha256(content).hexdigest(), len(content)
            name = index_file(table, sha256=sha256, suffix="faiss")
            output.write(name, content)
    return name, sha256, n_bytes


def open_index_file(held: HeldFile, segment: IndexSegment, *, metric: str) -> OpenFile:
    """Open a file without copying it: what is held is what is searched.

    Args:
        held: the file.
        segment: what the description says of it.
        metric: of the index; with ``"cosine"``, vectors have length 1, or 0 where a text has no
            direction.

    Raises:
        OutputError: it is missing, damaged, or has other vectors than it should.
    """
    content = held.read()
    if len(content) != segment.n_bytes:
        raise OutputError(
            f"{held.path} is damaged: it has {len(content):,} bytes, not the {segment.n_bytes:,} "
            f"that were written: {held.remedy}"
        )
    faiss = load_faiss()
    data = np.frombuffer(content, np.uint8)
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(data), len(data))
    try:
        with_ids = faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise OutputError(
            f"{held.path} is damaged, or of another version: FAISS {faiss.__version__} cannot read "
            f"it: {held.remedy}"
        ) from error
    if not isinstance(with_ids, faiss.IndexIDMap) or with_ids.ntotal != segment.n_rows:
        raise OutputError(
            f"{held.path} has {with_ids.ntotal} vectors, but its description says "
            f"{segment.n_rows}: {held.remedy}"
        )
    vectors = faiss.downcast_index(with_ids.index)
    searched = vectors
    if INDEX_KINDS[segment.type].is_coded:
        searched = faiss.downcast_index(vectors.base_index)
    _check_vectors(vectors, held, metric)
    ids = faiss.vector_to_array(with_ids.id_map)
    return OpenFile(searched, vectors, ids, (with_ids, data))


def _check_vectors(vectors: Any, held: HeldFile, metric: str) -> None:
    """Refuse NaN and infinity, and lengths that none was written with: FAISS would rank them.

    Of a large file only as many rows are looked at as take no notable time, evenly spaced;
    ``longbert verify`` looks at all.
    """
    n_rows = min(vectors.ntotal, max(1, CHECKED_BYTES // (4 * vectors.d)))
    rows = np.linspace(0, vectors.ntotal - 1, n_rows).astype(np.int64)
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        block = vectors.reconstruct_batch(rows[start : start + _ROWS_AT_ONCE])
        squares = np.einsum("ij,ij->i", block, block)
        if not np.isfinite(squares).all():
            raise OutputError(
                f"{held.path} is damaged: a vector holds NaN or infinity: {held.remedy}"
            )
        if metric == "cosine" and ((squares != 0) & (np.abs(squares - 1) > _TOLERANCE)).any():
            raise OutputError(
                f"{held.path} is damaged: a vector has neither length 1 nor 0: {held.remedy}"
            )


def beside_vectors(codes: Any, vectors: Any) -> Any:
    """An index of codes together with the vectors, by which plain FAISS ranks what codes find."""
    index = load_faiss().IndexRefine(codes, vectors)
    index.k_factor = _K_FACTOR
    return index


_K_FACTOR = 10.0


def empty_like(index: Any) -> Any:
    """Turn an opened index with cells into one without vectors, with the same cells and codes.

    Its lists, which were mapped from the file, are replaced by empty ones in memory.
    """
    faiss = load_faiss()
    lists = faiss.ArrayInvertedLists(index.nlist, index.code_size)
    index.replace_invlists(lists, True)
    lists.this.disown()
    index.ntotal = 0
    kind = index.direct_map.type
    index.direct_map.clear()
    if kind != faiss.DirectMap.NoMap:
        index.set_direct_map_type(kind)
    return index
