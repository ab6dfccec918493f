"""Building the index of vectors from committed tables, and bringing it up to date."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from longbert.config import METRICS
from longbert.errors import ConfigError, OutputError, nearest
from longbert.index.backend import load_faiss
from longbert.index.kinds import AUTO, index_kind
from longbert.index.memory import Sizes, Types, choose_types
from longbert.index.report import IndexReport
from longbert.index.update import TableUpdate, update_table
from longbert.store.fingerprints import IndexSettings
from longbert.store.folder import OutputFolder
from longbert.store.index_description import INDEX_VERSION, IndexDescription, IndexEntry
from longbert.store.layout import index_file
from longbert.store.parquet import vectors_shape
from longbert.store.record import to_json


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index that was built or brought up to date.

    Attributes:
        entry: what the manifest names; None if no row has a vector.
        report: what building it took.
        reason: why an index that was there was built again, for people; empty if it was not.
    """

    entry: IndexEntry | None
    report: IndexReport = field(default_factory=IndexReport)
    reason: str = ""


def build_index(
    output: OutputFolder,
    parts: Sequence[str],
    settings: IndexSettings,
    before: IndexDescription | None = None,
) -> BuiltIndex:
    """Index the vectors of passages and of documents.

    Every file is named after its content and written atomically, so the same tables give the
    same files, and an index that a manifest names is never overwritten.

    Args:
        output: the folder, with ``documents/`` and ``passages/`` in it.
        parts: names of the tables' files, without ``.parquet``, in order.
        settings: with the metric ``"cosine"`` vectors are scaled to length 1 if they are not, with
            ``"dot"`` they are kept as they are.
        before: an index with the same settings, of which is kept what can be; None: there is none.

    Raises:
        ConfigError: the metric or the type is unknown, the memory is too small for the index, or
            it cannot reach the recall.
        OutputError: a table is damaged, two passages have the same id, or a file cannot be written.
    """
    _check(settings)
    choice = _Choice(output, parts, settings)
    outgrown = before is not None and choice.is_outgrown(before)
    if outgrown:
        before = None
    of_documents, of_passages = (
        (None, None) if before is None else (before.documents, before.passages)
    )
    documents = update_table(
        output, "documents", parts, settings, of_documents, lambda: choice.types.documents
    )
    passages = update_table(
        output, "passages", parts, settings, of_passages, lambda: choice.types.passages
    )
    _refuse_half(documents, passages)
    if documents.index is None or passages.index is None:
        return BuiltIndex(None)
    description = IndexDescription(
        version=INDEX_VERSION,
        metric=settings.metric,
        dimensions=passages.width,
        documents=documents.index,
        passages=passages.index,
        faiss_version=load_faiss().__version__,
    )
    data = to_json(description)
    sha256 = hashlib.sha256(data).hexdigest()
    file = index_file("description", sha256=sha256, suffix="json")
    output.write(file, data)
    return BuiltIndex(
        IndexEntry(file=file, sha256=sha256),
        IndexReport(passages=passages.report, documents=documents.report),
        "it took more than --memory" if outgrown else passages.reason or documents.reason,
    )


def _check(settings: IndexSettings) -> None:
    if settings.type != AUTO:
        index_kind(settings.type)
    if settings.metric not in METRICS:
        raise ConfigError(
            f"metric must be one of {', '.join(METRICS)}, got {settings.metric!r}"
            f"{nearest(settings.metric, METRICS)}"
        )


class _Choice:
    """The types of an index, which are chosen when one is first built from the beginning."""

    def __init__(self, output: OutputFolder, parts: Sequence[str], settings: IndexSettings) -> None:
        self._output = output
        self._parts = parts
        self._settings = settings

    @cached_property
    def types(self) -> Types:
        return choose_types(self._settings, self._sizes)

    def is_outgrown(self, before: IndexDescription) -> bool:
        """Whether an index that was there takes too much with what the tables have now."""
        limit = self._settings.memory_bytes
        if limit is None:
            return False
        types = Types(before.documents.type, before.passages.type)
        return types.estimate(self._sizes).most > limit

    @cached_property
    def _sizes(self) -> Sizes:
        n_documents, _ = vectors_shape(self._output, "documents", self._parts)
        n_passages, width = vectors_shape(self._output, "passages", self._parts)
        return Sizes(n_documents, n_passages, width)


def _refuse_half(documents: TableUpdate, passages: TableUpdate) -> None:
    if (documents.index is None) != (passages.index is None):
        both = ("documents", "passages")
        lacks, has = both if documents.index is None else both[::-1]
        raise OutputError(
            f"the table {has} has vectors and the table {lacks} has none: "
            "the output is damaged, run longbert again into an empty folder"
        )
    if documents.width != passages.width:
        raise OutputError(
            f"documents have {documents.width} dimensions and passages {passages.width}: "
            "the output mixes two embedding models, run longbert again into an empty folder"
        )
