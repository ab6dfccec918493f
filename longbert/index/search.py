"""An output folder, opened for search: what users call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from longbert.arrays import BoolArray, FloatArray
from longbert.core.ranks import check_rank
from longbert.errors import ConfigError, shown
from longbert.index.excerpts import Hit
from longbert.index.reranking import RERANKED, LoadReranker, Rerank, reranked
from longbert.index.snapshot import IndexSnapshot, open_snapshot
from longbert.index.snapshot_search import Encode, SnapshotSearch
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexDescription
from longbert.store.manifest import Manifest


class Index:
    """An output folder, opened for search.

    Results are deterministic: documents of the same score come in the order of their ids, and no
    score depends on the other queries of a call.

    An index is a snapshot: while runs change the output, it goes on answering as it did when it
    was opened, until :meth:`reload`. It holds the files of the output until :meth:`close`, which
    a ``with`` block calls at its end. A file that is missing or damaged is told by what needs it.
    """

    def __init__(
        self,
        snapshot: IndexSnapshot,
        *,
        encode: Encode,
        load_reranker: LoadReranker | None = None,
    ) -> None:
        self._output = snapshot.output
        self._encode = encode
        self._load_reranker = load_reranker
        self._opened: SnapshotSearch | None = SnapshotSearch(snapshot, encode)

    @classmethod
    def open(
        cls,
        output: OutputFolder,
        *,
        encode: Encode,
        load_reranker: LoadReranker | None = None,
    ) -> Self:
        """Open the indexes that the manifest of an output folder names.

        Args:
            output: the folder.
            encode: makes queries into vectors, by the model that made the output.
            load_reranker: loads a model that reads query and passage together; None: there is none.

        Raises:
            ConfigError: there is no such folder, or it is not an output of longbert.
            OutputError: there is no finished output, or a catalog is missing or damaged.
        """
        return cls(open_snapshot(output), encode=encode, load_reranker=load_reranker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the output's files; nothing can be asked of the index any more."""
        self._opened = None

    def reload(self) -> bool:
        """Turn to what the last run into the folder has published.

        Parts that are still there stay open, so this costs no more than what has changed. No
        other thread may be searching meanwhile.

        Returns:
            Whether anything has changed.

        Raises:
            ConfigError: the index was closed.
            OutputError: the output is unfinished, or damaged; the index stays as it was.
        """
        before = self._searched.snapshot
        snapshot = open_snapshot(self._output, before=before)
        if snapshot is before:
            return False
        self._opened = SnapshotSearch(snapshot, self._encode)
        return True

    @property
    def manifest(self) -> Manifest:
        """The manifest of the output as it was opened."""
        return self._searched.snapshot.manifest

    @property
    def document_ids(self) -> Sequence[str]:
        """Ids of all documents, in the order of the tables; read as they are asked for."""
        return self._searched.snapshot.document_ids

    def count(self, filter: str | None = None) -> int:
        """How many documents fit a filter, or there are.

        Raises:
            ConfigError: the filter is wrong.
        """
        allowed = self._allowed(filter)
        return len(self.document_ids) if allowed is None else int(allowed.sum())

    @property
    def description(self) -> IndexDescription | None:
        """Type, metric, dimensions, counts and sizes of the vectors; None if there are none.

        Raises:
            OutputError: it is missing, damaged or of another version.
        """
        vectors = self._searched.snapshot.vectors
        return None if vectors is None else vectors.description

    @property
    def default_rank(self) -> str:
        """``"hybrid"`` if the documents have vectors, else ``"lexical"``."""
        return "lexical" if self._searched.snapshot.vectors is None else "hybrid"

    def search(
        self,
        text: str,
        k: int = 10,
        rank: str | None = None,
        *,
        filter: str | None = None,
        rerank: str | None = None,
        rerank_label: str | None = None,
    ) -> list[Hit]:
        """Find the ``k`` documents that fit a text best; see :meth:`search_many`."""
        (hits,) = self.search_many(
            [text], k, rank, filter=filter, rerank=rerank, rerank_label=rerank_label
        )
        return hits

    def search_many(
        self,
        texts: Sequence[str],
        k: int = 10,
        rank: str | None = None,
        *,
        filter: str | None = None,
        rerank: str | None = None,
        rerank_label: str | None = None,
    ) -> list[list[Hit]]:
        """Find the ``k`` documents that fit each text best.

        Args:
            texts: of any length.
            k: documents wanted, at least 1; fewer if there are not that many.
            rank: ``"lexical"``: by words and pairs of neighbouring words, in the whole document,
                in its best run of passages, and in the best pair of passages for each sentence of
                the query; ``"best"``: by the vectors of the best passage for each sentence and
                for the whole query; ``"best-mean"``: by the mean of the three best;
                ``"document"``: by the vector of the whole document; ``"hybrid"``: ``lexical`` and
                ``best`` together; None: :attr:`default_rank`.
            filter: which documents may be found, as in ``"label = 'neg' and score > 0.8"``; it
                is applied before the documents are ranked. None: all.
            rerank: a cross-encoder, a folder or hub id, that puts the first 50 documents into a
                new order by the passages that are shown, then the next 50, and so on; None: none
                does.
            rerank_label: of a cross-encoder of several labels, the one that means relevant.

        Raises:
            ConfigError: a text is empty, ``k``, ``rank`` or ``rerank_label`` is out of range,
                ``rank`` needs vectors and there are none, or the filter is not in the language
                or names an unknown field.
            ModelError: the cross-encoder cannot be found or used.
            OutputError: a file that ``rank`` reads is missing or damaged.
            FingerprintError: the encoder's vectors do not fit the index.
        """
        rank = self._checked(k, rank)
        _check_texts(texts)
        allowed = self._allowed(filter)
        model = self._reranker(rerank, rerank_label)
        depth = k if model is None else -(-k // RERANKED) * RERANKED
        hits: list[list[Hit]] = []
        for queries in self._searched.queries(texts, rank, allowed):
            hits.extend(self._searched.hits(queries, depth, rank))
        if model is None:
            return hits
        return [reranked(text, own, k, model) for text, own in zip(texts, hits, strict=True)]

    def kind_scores(self, text: str) -> tuple[list[str], dict[str, FloatArray]]:
        """What each kind of search says of a query, before their scores are fused.

        Args:
            text: of any length.

        Returns:
            The ids of the candidates that are fused first, and their scores by kind (a key of
            :data:`longbert.core.fusion.WEIGHTS`). Shape of each: (candidates,).
        """
        _check_texts([text])
        ((query,),) = self._searched.queries([text], self.default_rank, None)
        return self._searched.kind_scores(query)

    def rankings(
        self,
        texts: Sequence[str],
        k: int = 10,
        rank: str | None = None,
        *,
        filter: str | None = None,
    ) -> list[list[str]]:
        """The ids that :meth:`search_many` finds, best first; no text is read."""
        rank = self._checked(k, rank)
        _check_texts(texts)
        ids = self.document_ids
        return [
            [ids[document] for document in self._searched.ranked(query, k, rank)[0].tolist()]
            for queries in self._searched.queries(texts, rank, self._allowed(filter))
            for query in queries
        ]

    def like(
        self, document_id: str, k: int = 10, rank: str | None = None, *, filter: str | None = None
    ) -> list[Hit]:
        """Find the documents most similar to one in the output, which is itself left out.

        Args:
            filter: which documents may be found; see :meth:`search_many`.

        Raises:
            ConfigError: no document has this id, ``k`` or ``rank`` is out of range, or the filter
                is wrong.
            OutputError: a file that ``rank`` reads is missing or damaged.
        """
        rank = self._checked(k, rank)
        query = self._searched.query_of(document_id, rank, self._allowed(filter))
        (hits,) = self._searched.hits([query], k, rank)
        return hits

    @property
    def _searched(self) -> SnapshotSearch:
        if self._opened is None:
            raise ConfigError(
                f"the index of {self._output.path} was closed: open it again, with longbert.open"
            )
        return self._opened

    def _allowed(self, filter: str | None) -> BoolArray | None:
        if filter is None:
            return None
        if not isinstance(filter, str):
            raise ConfigError(
                f"filter must be a text such as \"label = 'neg'\", got {shown(filter)}"
            )
        return self._searched.allowed(filter)

    def _checked(self, k: int, rank: str | None) -> str:
        if rank is None:
            rank = self.default_rank
        check_rank(rank)
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ConfigError(f"k must be at least 1, and a whole number, got {shown(k)}")
        return rank

    def _reranker(self, name: str | None, label: str | None) -> Rerank | None:
        if name is None and label is not None:
            raise ConfigError(f"rerank_label is {shown(label)}, but rerank names no model: name it")
        if name is None:
            return None
        if self._load_reranker is None:
            raise ConfigError(
                "rerank names a model, and this index was opened without any: leave it out"
            )
        return self._load_reranker(name, label)


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise ConfigError("search_many takes a list of texts, got one text: use search")
    for text in texts:
        if not isinstance(text, str):
            raise ConfigError(
                f"a query must be a text, got {type(text).__name__}: use search_many for several"
            )
        if not text.strip():
            raise ConfigError("the query text is empty: give at least one word")
