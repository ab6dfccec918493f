"""Where the rankings come from that are evaluated: a search, or a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from longbert.core.ranks import LEAST_DEPTH, RANKS
from longbert.engine.evaluate_ranking import Ranking
from longbert.errors import ConfigError, InputError, nearest
from longbert.index.search import Index
from longbert.readers.judgments import JudgedQueries, parse_judged_queries
from longbert.readers.queries import parse_queries
from longbert.readers.trec import parse_qrels, parse_run
from longbert.store.filesystem import FileSystem


def read_judged_queries(
    files: FileSystem, *, queries: str | None, qrels: str | None
) -> JudgedQueries:
    """Read queries and judgments.

    Args:
        files: where they lie.
        queries: JSON lines with ``id``, ``text`` and, without ``qrels``, ``relevant``.
        qrels: judgments as TREC writes them; those of other queries than ``queries`` has are
            left out.

    Raises:
        ConfigError: there are no judgments.
        InputError: a file cannot be read, or what is wrong in which line.
    """
    if qrels is None:
        if queries is None:
            raise ConfigError(
                "judgments must be given: name a file of queries with --queries, or one of TREC's "
                "judgments with --qrels"
            )
        data = _read(files, "--queries", queries)
        return parse_judged_queries(data, name=f"--queries {queries}")
    grades = parse_qrels(_read(files, "--qrels", qrels), name=f"--qrels {qrels}")
    if queries is None:
        return JudgedQueries({}, grades)
    texts = parse_queries(_read(files, "--queries", queries), name=f"--queries {queries}")
    return JudgedQueries(texts, {query: grades.get(query, {}) for query in texts})


class JudgedSearch:
    """Rankings of judged queries.

    Args:
        files: where runs lie.
        queries: with their texts, if they are searched for.
        open_index: called once, if there is a search.
        k: documents to rank, at least :data:`LEAST_DEPTH`.
        filter: which documents may be found; see :meth:`Index.search_many`.
    """

    def __init__(
        self,
        files: FileSystem,
        queries: JudgedQueries,
        *,
        open_index: Callable[[], Index],
        k: int = LEAST_DEPTH,
        filter: str | None = None,
    ) -> None:
        if k < LEAST_DEPTH:
            raise ConfigError(
                f"k must be at least {LEAST_DEPTH}, which recall@{LEAST_DEPTH} looks at, got {k}"
            )
        self._files = files
        self._queries = queries
        self._open_index = open_index
        self._index: Index | None = None
        self._k = k
        self._filter = filter

    @property
    def document_ids(self) -> Sequence[str] | None:
        """Of the output; None if it was not searched."""
        return None if self._index is None else self._index.document_ids

    def search(
        self, rank: str | None, *, rerank: str | None = None, rerank_label: str | None = None
    ) -> Ranking:
        """Rank the documents for every query that has a relevant one.

        Args:
            rank: one of :data:`RANKS`; None: the default of the output.
            rerank, rerank_label: as for :meth:`Index.search_many`.

        Raises:
            ConfigError: the texts of the queries are not known, or a setting is wrong.
            ModelError: the cross-encoder cannot be found or used.
            OutputError: the output is unfinished or damaged.
        """
        if not self._queries.texts:
            raise ConfigError("a search needs the texts of the queries: name them with --queries")
        if self._index is None:
            self._index = self._open_index()
        texts = {
            query: text
            for query, text in self._queries.texts.items()
            if any(self._queries.grades[query].values())
        }
        name = rank or self._index.default_rank
        asked = list(texts.values())
        if rerank is None and rerank_label is None:
            found = self._index.rankings(asked, self._k, rank, filter=self._filter)
        else:
            hits = self._index.search_many(
                asked,
                self._k,
                rank,
                filter=self._filter,
                rerank=rerank,
                rerank_label=rerank_label,
            )
            found = [[hit.document_id for hit in own] for own in hits]
            name = f"{name}, by {rerank}"
        return Ranking(name, dict(zip(texts, found, strict=True)))

    def run(self, path: str, *, option: str = "--run") -> Ranking:
        """Read a run.

        Raises:
            InputError: it cannot be read, or what is wrong in which line.
        """
        return Ranking(path, parse_run(_read(self._files, option, path), name=f"{option} {path}"))

    def named(self, name: str) -> Callable[[], Ranking]:
        """The ranking to compare with: one of :data:`RANKS`, or a run.

        A run is read now, so that a wrong name is refused before anything is ranked, which takes
        long.

        Returns:
            What gives it.

        Raises:
            ConfigError: it is neither.
        """
        if name in RANKS:
            return partial(self.search, name)
        try:
            run = self.run(name, option="--against")
        except InputError as error:
            if not any(self._files.match(name)):
                raise ConfigError(
                    f"--against must be one of {', '.join(RANKS)} or a file with a run of TREC, "
                    f"got {name!r}{nearest(name, RANKS)}"
                ) from error
            raise
        return lambda: run


def _read(files: FileSystem, option: str, path: str) -> bytes:
    try:
        with files.open(path) as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"{option} {path} cannot be read ({error.strerror or error}): name a file"
        ) from None
