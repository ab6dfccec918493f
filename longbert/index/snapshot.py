"""Opening an output folder for search, and holding what it was when it was opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import overload

import numpy as np
from typing_extensions import override

from longbert.arrays import IntArray
from longbert.core.ranking import rows_between
from longbert.errors import OutputError
from longbert.index.catalog import Catalog, open_catalog
from longbert.index.lexical.corpus import LexicalCorpus
from longbert.index.lexical.part import LexicalPart, open_part
from longbert.store.folder import OutputFolder
from longbert.store.held import Held, HeldFile
from longbert.store.index_description import IndexDescription, IndexEntry
from longbert.store.layout import CATALOG, LEXICAL
from longbert.store.manifest import Manifest
from longbert.store.receipts import PartEntry
from longbert.store.shards import read_parts

HELD_TABLES = ("passages", "documents", "classifications", "entities")
"""Tables that texts and filters are read from; a snapshot holds their files."""


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """A part as it was when it was opened.

    Attributes:
        entry: of the manifest.
        words: its lexical file.
        tables: by name; they are read for what is shown only.
    """

    entry: PartEntry
    catalog: Catalog
    words: Held[LexicalPart]
    tables: Mapping[str, HeldFile]

    @property
    def is_whole(self) -> bool:
        """Whether no file is known to be missing or damaged."""
        return self.words.is_there and all(table.is_there for table in self.tables.values())


class HeldIndex:
    """The index of vectors that a manifest names, held but not opened.

    Args:
        output: the folder.
        entry: of the index in the manifest.
    """

    def __init__(self, output: OutputFolder, entry: IndexEntry) -> None:
        self._description = Held(lambda: output.index_description(entry))
        names = self._description.get().files if self._description.is_there else ()
        self.files = {name: HeldFile(output, name) for name in names}

    @property
    def description(self) -> IndexDescription:
        """What it is.

        Raises:
            OutputError: the description is missing, damaged or of another version.
        """
        return self._description.get()

    @property
    def is_there(self) -> bool:
        """Whether all of it can be read, as far as that is known."""
        return self._description.is_there and all(one.is_there for one in self.files.values())


class IndexSnapshot:
    """What search needs of an output, as one manifest names it.

    Documents and passages have positions in the corpus, part after part. A reader that holds a
    snapshot goes on reading it while runs replace and remove files.

    Attributes:
        output: the folder.
        manifest: that names everything here.
        parts: in order.
        vectors: the index of vectors; None without any.
        first_documents: of every part, and the end. Shape: (parts + 1,).
        first_passages: of every part, and the end. Shape: (parts + 1,).
    """

    def __init__(
        self,
        output: OutputFolder,
        manifest: Manifest,
        parts: Sequence[SnapshotPart],
        vectors: HeldIndex | None,
    ) -> None:
        self.output = output
        self.manifest = manifest
        self.parts = tuple(parts)
        self.vectors = vectors
        catalogs = [part.catalog for part in self.parts]
        self.first_documents: IntArray = np.cumsum([0, *(one.n_documents for one in catalogs)])
        self.first_passages: IntArray = np.cumsum([0, *(one.n_passages for one in catalogs)])

    @cached_property
    def words(self) -> LexicalCorpus:
        """The lexical index.

        Raises:
            OutputError: a file of it is missing or damaged.
        """
        return LexicalCorpus([part.words.get() for part in self.parts])

    @property
    def is_whole(self) -> bool:
        """Whether no file is known to be missing or damaged."""
        has_vectors = self.vectors is None or self.vectors.is_there
        return has_vectors and all(part.is_whole for part in self.parts)

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return int(self.first_documents[-1])

    @property
    def document_ids(self) -> DocumentIds:
        """Ids of all documents, read as they are asked for."""
        return DocumentIds(self)

    def ids(self, documents: IntArray) -> list[str]:
        """Ids of some documents."""
        ids = [""] * len(documents)
        for number, here in self.parts_of(documents, self.first_documents):
            own = documents[here] - self.first_documents[number]
            names = self.parts[number].catalog.document_ids(own)
            for place, name in zip(here.tolist(), names, strict=True):
                ids[place] = name
        return ids

    def place(self, document: int) -> tuple[SnapshotPart, int]:
        """The part that holds a document, and the document's position there."""
        number = int(np.searchsorted(self.first_documents, document, side="right")) - 1
        return self.parts[number], document - int(self.first_documents[number])

    def spans(self, document: int) -> tuple[IntArray, IntArray]:
        """Where the passages of a document begin and end. Shape of both: (its passages,)."""
        part, own = self.place(document)
        return part.catalog.spans(own)

    def rows_of(self, documents: IntArray) -> tuple[IntArray, IntArray]:
        """Passages of some documents, by ordinal, and the number of each one's passages."""
        firsts, sizes = np.empty_like(documents), np.empty_like(documents)
        for number, here in self.parts_of(documents, self.first_documents):
            own = documents[here] - self.first_documents[number]
            starts = self.parts[number].catalog.passages
            firsts[here] = starts[own] + self.first_passages[number]
            sizes[here] = starts[own + 1] - starts[own]
        return rows_between(firsts, sizes), sizes

    def documents_of(self, passages: IntArray) -> IntArray:
        """The document of each of some passages."""
        documents = np.empty_like(passages)
        for number, here in self.parts_of(passages, self.first_passages):
            own = passages[here] - self.first_passages[number]
            found = np.searchsorted(self.parts[number].catalog.passages, own, side="right") - 1
            documents[here] = found + self.first_documents[number]
        return documents

    def parts_of(self, positions: IntArray, firsts: IntArray) -> Iterator[tuple[int, IntArray]]:
        """Group positions by part: the part's number, and the places in ``positions``.

        Args:
            positions: of documents or passages.
            firsts: :attr:`first_documents` or :attr:`first_passages`.
        """
        numbers = np.searchsorted(firsts, positions, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        found, starts = np.unique(numbers[order], return_index=True)
        borders = pairwise([*starts.tolist(), len(order)])
        for number, (start, stop) in zip(found.tolist(), borders, strict=True):
            yield number, order[start:stop]


class DocumentIds(Sequence[str]):
    """Ids of the documents of a snapshot, by position."""

    def __init__(self, snapshot: IndexSnapshot) -> None:
        self._snapshot = snapshot

    @override
    def __len__(self) -> int:
        return self._snapshot.n_documents

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> list[str]: ...
    @override
    def __getitem__(self, position: int | slice) -> str | list[str]:
        places = range(len(self))[position]
        if isinstance(places, range):
            return self._snapshot.ids(np.array(places, np.int64))
        return self._snapshot.ids(np.array([places], np.int64))[0]

    @override
    def __iter__(self) -> Iterator[str]:
        for part in self._snapshot.parts:
            yield from part.catalog.document_ids(np.arange(part.catalog.n_documents))


def open_snapshot(output: OutputFolder, *, before: IndexSnapshot | None = None) -> IndexSnapshot:
    """Open what the manifest of an output names, at a cost that grows with its parts alone.

    If a run publishes a newer manifest meanwhile and removes a file, the newer one is opened. If
    there is no newer one, a file that is missing or damaged is told to those who need it; all need
    the catalogs.

    Args:
        output: the folder.
        before: an earlier snapshot of it, whose parts are used again where they are still named.

    Returns:
        ``before`` itself if nothing has changed, and nothing was missing.

    Raises:
        ConfigError: there is no such folder, or it is not an output of longbert.
        OutputError: there is no finished output, or a catalog is missing or damaged.
    """
    manifest = output.finished()
    while True:
        if before is not None and before.manifest == manifest and before.is_whole:
            return before
        found = Held(partial(_open, output, manifest, before))
        if found.is_there and found.get().is_whole:
            return found.get()
        newer = output.finished()
        if newer == manifest:
            return found.get()
        manifest = newer


def _open(output: OutputFolder, manifest: Manifest, before: IndexSnapshot | None) -> IndexSnapshot:
    held = {} if before is None else {part.entry.name: part for part in before.parts}
    parts = []
    for entry in read_parts(output, manifest.shards):
        known = held.get(entry.name)
        is_same = known is not None and known.entry == entry and known.is_whole
        parts.append(known if known and is_same else _open_part(output, entry))
    vectors = None if manifest.index is None else HeldIndex(output, manifest.index)
    return IndexSnapshot(output, manifest, parts, vectors)


def _open_part(output: OutputFolder, entry: PartEntry) -> SnapshotPart:
    file = HeldFile(output, entry.path(CATALOG))
    catalog = open_catalog(file.read(), path=file.path)
    return SnapshotPart(
        entry=entry,
        catalog=catalog,
        words=Held(lambda: _open_words(output, entry, catalog, file.path)),
        tables={table: HeldFile(output, entry.path(table)) for table in HELD_TABLES},
    )


def _open_words(
    output: OutputFolder, entry: PartEntry, catalog: Catalog, catalog_path: str
) -> LexicalPart:
    file = HeldFile(output, entry.path(LEXICAL))
    words = open_part(file.read(), path=file.path)
    if (words.totals.documents, words.totals.passages) != (catalog.n_documents, catalog.n_passages):
        raise OutputError(
            f"{file.path} has other rows than {catalog_path}: remove both, and run longbert again "
            "to make them anew"
        )
    return words
