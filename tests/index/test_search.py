"""Search is exact: equal to scoring everything, ties included."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes.memory_files import MemoryFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from support.written_tables import (
    LEXICAL,
    Doc,
    Floats,
    brute_force,
    text_of,
    unit,
    write_output,
    write_part,
)

import longbert.index.dense as dense_module
import longbert.index.hybrid as hybrid_module
import longbert.index.lookup as lookup_module
import longbert.index.reranking as reranking_module
import longbert.index.search as search_module
import longbert.index.table as table_module
from longbert.core.fusion import combined
from longbert.core.ranks import RANKS
from longbert.errors import ConfigError, FingerprintError, ModelError, OutputError
from longbert.index.excerpts import Hit
from longbert.index.search import Index
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.layout import lexical_file

WIDTH = 6


class Encoder:
    """Gives texts, each the name of a vector, their vectors."""

    def __init__(self, vectors: dict[str, Floats]) -> None:
        self.vectors = vectors

    def __call__(self, texts: Sequence[str]) -> Floats:
        return np.array([self.vectors[text] for text in texts], np.float32)


def random_docs(seed: int, n: int, *, distinct: int | None, normal: bool) -> list[Doc]:
    """Documents of 1 to 9 passages; ``distinct`` vectors only, so that ties abound."""
    draw = np.random.default_rng(seed)
    pool = draw.standard_normal((distinct or 10 * n, WIDTH)).astype(np.float32)
    if normal:
        pool = np.array([unit(one) for one in pool])
    docs = []
    for number in range(n):
        passages = pool[draw.integers(len(pool), size=draw.integers(1, 10))]
        docs.append(Doc(f"d{number:03}", pool[draw.integers(len(pool))], passages))
    return docs


def hash_of(text: str) -> int:
    return sum(map(ord, text)) % 7


def found(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    return [(hit.document_id, hit.score) for hit in hits]


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with few candidates, so that small tests see them grow."""
    monkeypatch.setattr(dense_module, "CANDIDATES_AT_LEAST", 1)
    monkeypatch.setattr(dense_module, "CANDIDATES_PER_RESULT", 1)
    monkeypatch.setattr(dense_module, "GROWTH", 2)
    monkeypatch.setattr(table_module, "ROWS_AT_ONCE", 5)


# The fixture holds for all examples alike.
PROPERTY = settings(derandomize=True, deadline=None, max_examples=120)


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 25),
    k=st.integers(1, 30),
    rank=st.sampled_from(["best", "best-mean", "document"]),
    metric=st.sampled_from(["cosine", "dot"]),
    distinct=st.sampled_from([1, 2, 5, None]),
    normal=st.booleans(),
    parts=st.integers(1, 4),
)
def test_search_equals_brute_force(
    seed: int,
    n: int,
    k: int,
    rank: str,
    metric: str,
    distinct: int | None,
    normal: bool,
    parts: int,
) -> None:
    docs = random_docs(seed, n, distinct=distinct, normal=normal)
    # Ties are broken by id, wherever a document stands.
    names = np.random.default_rng(seed + 2).permutation([doc.document_id for doc in docs]).tolist()
    docs = [replace(doc, document_id=name) for doc, name in zip(docs, names, strict=True)]
    files = write_output(docs, width=WIDTH, metric=metric, parts=parts)
    query = np.random.default_rng(seed + 1).standard_normal(WIDTH).astype(np.float32)
    index = Index.open(OutputFolder(files, "out"), encode=Encoder({"q": query}))

    assert found(index.search("q", k, rank)) == brute_force(docs, query, k, rank, metric)
    wanted = docs[seed % n]
    assert wanted.vector is not None
    assert found(index.like(wanted.document_id, k, rank)) == brute_force(
        docs, wanted.vector, k, rank, metric, left_out=wanted.document_id
    )


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 25),
    k=st.integers(1, 30),
    rank=st.sampled_from(["best", "best-mean", "document"]),
    distinct=st.sampled_from([1, 2, None]),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_a_filter_is_applied_before_documents_are_ranked(
    seed: int, n: int, k: int, rank: str, distinct: int | None, share: float
) -> None:
    docs = random_docs(seed, n, distinct=distinct, normal=True)
    files = write_output(docs, width=WIDTH)
    draw = np.random.default_rng(seed + 1)
    query = draw.standard_normal(WIDTH).astype(np.float32)
    kept = [doc for doc in docs if draw.random() < share]
    index = Index.open(OutputFolder(files, "out"), encode=Encoder({"q": query}))
    filter = "document_id in (" + ", ".join(f"'{one.document_id}'" for one in kept) + ", 'none')"
    filter = filter.replace("(, ", "(")

    assert index.count(filter) == len(kept)
    assert index.count() == len(index.document_ids)
    hits = index.search("q", k, rank, filter=filter)

    by_hand = brute_force(docs, query, n, rank, "cosine")
    kept_ids = {one.document_id for one in kept}
    assert found(hits) == [one for one in by_hand if one[0] in kept_ids][:k]
    assert index.rankings(["q"], k, rank, filter=filter) == [[hit.document_id for hit in hits]]
    wanted = docs[seed % n]
    assert wanted.vector is not None
    like = brute_force(docs, wanted.vector, n, rank, "cosine", left_out=wanted.document_id)
    assert (
        found(index.like(wanted.document_id, k, rank, filter=filter))
        == ([one for one in like if one[0] in kept_ids][:k])
    )


@pytest.mark.parametrize("rank", RANKS)
def test_a_score_does_not_depend_on_the_other_queries(rank: str) -> None:
    width = 384
    draw = np.random.default_rng(3)
    docs = [
        Doc(f"d{number}", vectors[0], vectors)
        for number, vectors in enumerate(draw.standard_normal((40, 4, width)).astype(np.float32))
    ]
    queries = {str(number): draw.standard_normal(width).astype("f4") for number in range(150)}
    index = Index.open(
        OutputFolder(write_output(docs, width=width), "out"), encode=Encoder(queries)
    )

    together = index.search_many(list(queries), 5, rank)

    assert together == [index.search(name, 5, rank) for name in queries]


def test_hits_carry_their_best_passages_with_neighbours_joined() -> None:
    axes = np.eye(WIDTH, dtype=np.float32)
    a = np.array([axes[1], 0.5 * axes[0] + axes[1], axes[0], axes[1], axes[2], 3 * axes[0]])
    docs = [Doc("a", axes[0], a.astype(np.float32)), Doc("b", axes[1], axes[1:2])]
    index = Index.open(
        OutputFolder(write_output(docs, width=WIDTH, metric="dot"), "out"),
        encode=Encoder({"q": axes[0]}),
    )

    first, second = index.search("q", 2, "best-mean")

    assert (first.rank, first.document_id, first.score) == (1, "a", 1.5)
    length = len(text_of("a", 0))
    assert [(one.char_start, one.char_end, one.score, one.text) for one in first.passages] == [
        (5 * length, 6 * length - 1, 3.0, text_of("a", 5).strip()),
        (length, 3 * length - 1, 1.0, (text_of("a", 1) + text_of("a", 2)).strip()),
    ]
    assert (second.rank, second.document_id, len(second.passages)) == (2, "b", 1)


def test_texts_are_read_from_the_tables_of_the_hits_only() -> None:
    docs = random_docs(1, 40, distinct=None, normal=True)
    files = write_output(docs, width=WIDTH, parts=8)
    query = docs[17].passages
    assert query is not None
    index = Index.open(OutputFolder(files, "out"), encode=Encoder({"q": query[0]}))
    index.search("q", 1, "best")
    files.opened.clear()

    (hit,) = index.search("q", 1, "best")

    assert hit.document_id == "d017"
    assert set(files.opened) == {"out/passages/part-3.parquet"}


@pytest.fixture
def files() -> MemoryFiles:
    return write_output(random_docs(2, 5, distinct=None, normal=True), width=WIDTH)


def opened(files: MemoryFiles, width: int = WIDTH, value: float = 1.0) -> Index:
    return Index.open(
        OutputFolder(files, "out"), encode=lambda texts: np.full((len(texts), width), value, "f4")
    )


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'out' is not a folder.*longbert run"):
        opened(MemoryFiles())


def test_a_folder_that_is_no_output_is_named(files: MemoryFiles) -> None:
    del files.data["out/manifest.json"]
    with pytest.raises(ConfigError, match="'out' holds no longbert output"):
        opened(files)


def test_an_unfinished_run_is_to_be_finished(files: MemoryFiles) -> None:
    del files.data["out/manifest.json"]
    files.data["out/fingerprint.json"] = b"{}"
    with pytest.raises(OutputError, match=r"has not finished, .* Run it again"):
        opened(files)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 4}', b"\xff"])
def test_a_damaged_manifest_is_told(files: MemoryFiles, data: bytes) -> None:
    files.data["out/manifest.json"] = data
    with pytest.raises(OutputError, match=r"manifest.json is damaged.*run longbert again"):
        opened(files)


@pytest.mark.parametrize("data", [b"{}", b'{"format": 3, "parts": []}'])
def test_a_manifest_of_another_format_is_told(files: MemoryFiles, data: bytes) -> None:
    files.data["out/manifest.json"] = data
    with pytest.raises(OutputError, match=r"manifest.json has format .*reads and writes format 4"):
        opened(files)


def test_an_output_without_embeddings_is_searched_by_its_words(files: MemoryFiles) -> None:
    manifest = json.loads(files.data["out/manifest.json"])
    files.data["out/manifest.json"] = json.dumps(
        {**manifest, "index": None, "index_settings": None}
    ).encode()
    index = opened(files)

    assert index.default_rank == "lexical"
    assert index.description is None
    assert [hit.document_id for hit in index.search("d003 7", 1)] == ["d003"]
    with pytest.raises(ConfigError, match=r"no index of vectors.*--rank lexical.*--embed minilm"):
        index.search("q", rank="hybrid")


@pytest.mark.parametrize("name", ["index/passages-", "index/documents-", "index/description-"])
def test_a_damaged_index_file_is_told_to_those_who_compare_vectors(
    files: MemoryFiles, name: str
) -> None:
    (path,) = (one for one in files.data if name in one)
    remedy = "build the index again from the tables, with longbert index out$"
    by_words = opened(files).search("d003 7", 2, "lexical")
    half = files.data[path][: len(files.data[path]) // 2]
    garbled = b"no" + files.data[path][2:]
    for data, what in ((half, "damaged"), (garbled, "damaged"), (None, "missing")):
        files.data.pop(path) if data is None else files.data.update({path: data})
        index = opened(files)
        for rank in ("hybrid", "best", "document"):
            with pytest.raises(OutputError, match=rf"{path} is {what}.*{remedy}"):
                index.search("d003 7", 2, rank)
        assert index.search("d003 7", 2, "lexical") == by_words


def test_a_damaged_table_is_told(files: MemoryFiles) -> None:
    path = "out/passages/part-1.parquet"
    files.data[path] = files.data[path][:100]
    with pytest.raises(OutputError, match=rf"{path} is damaged.*run longbert again"):
        opened(files).search("q")


def lose(files: MemoryFiles, folder: str) -> Iterator[str]:
    """Damage a file of a folder, then remove it; what is told of it."""
    (path,) = (name for name in files.data if name.startswith(f"out/{folder}/part-1"))
    files.data[path] = files.data[path][:100]
    yield rf"{path} is damaged"
    del files.data[path]
    yield rf"{path} is missing.*run longbert again with the same inputs to recreate it$"


def test_a_damaged_catalog_is_told(files: MemoryFiles) -> None:
    for message in lose(files, "catalog"):
        with pytest.raises(OutputError, match=message):
            opened(files)


def test_a_damaged_lexical_file_is_told_to_those_who_look_for_words(files: MemoryFiles) -> None:
    by_vectors = opened(files).search("q", 2, "best")
    for message in lose(files, "lexical"):
        index = opened(files)
        for rank in ("hybrid", "lexical"):
            with pytest.raises(OutputError, match=message):
                index.search("q", 2, rank)
        assert index.search("q", 2, "best") == by_vectors


def test_what_was_lost_is_there_again_after_it_was_made_again(files: MemoryFiles) -> None:
    (path,) = (name for name in files.data if name.startswith("out/lexical/part-1"))
    whole = opened(files).search("d003", 2)
    kept = files.data.pop(path)
    index = opened(files)
    with pytest.raises(OutputError, match="is missing"):
        index.search("d003", 2)
    files.data[path] = kept

    assert index.reload()
    assert index.search("d003", 2) == whole
    assert not index.reload()


def test_a_closed_index_answers_nothing(files: MemoryFiles) -> None:
    with opened(files) as index:
        assert index.search("d003", 1)
    for ask in (
        lambda: index.search("q"),
        lambda: index.like("d003"),
        lambda: index.document_ids,
        index.count,
        index.reload,
    ):
        with pytest.raises(ConfigError, match="out was closed: open it again"):
            ask()
    index.close()


def test_an_index_of_other_rows_is_refused(files: MemoryFiles) -> None:
    other = random_docs(9, 5, distinct=None, normal=True)
    write_part(files, "out", "part-0", other[:3], width=WIDTH)
    with pytest.raises(OutputError, match="other rows than its tables"):
        opened(files).search("q", rank="best")


def test_an_encoder_of_other_width_is_refused(files: MemoryFiles) -> None:
    with pytest.raises(FingerprintError, match="index has 6 dimensions: query with the model"):
        opened(files, width=4).search("q")


def test_a_vector_that_is_not_finite_is_refused(files: MemoryFiles) -> None:
    with pytest.raises(ModelError, match="NaN or infinity"):
        opened(files, value=np.nan).search("q")


def test_wrong_questions_are_refused(files: MemoryFiles) -> None:
    index = opened(files)
    with pytest.raises(ConfigError, match="query text is empty"):
        index.search(" \n")
    with pytest.raises(ConfigError, match="k must be at least 1, and a whole number, got 0"):
        index.search("q", 0)
    for k in ("3", 1.5, True):
        with pytest.raises(ConfigError, match="k must be at least 1, and a whole number, got"):
            index.search("q", k)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"takes a list of texts, got one text: use search"):
        index.search_many("whale")
    with pytest.raises(ConfigError, match=r"a query must be a text, got int: use search_many"):
        index.search(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="filter must be a text such as"):
        index.search("q", filter=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rank must be one of"):
        index.search("q", rank="worst")
    with pytest.raises(ConfigError, match="no document 'd0003': the nearest ids are 'd003'"):
        index.like("d0003")
    with pytest.raises(ConfigError, match=r"'\?\?\?': its ids look like 'd000', 'd001'"):
        index.like("???")


def test_no_queries_give_no_results(files: MemoryFiles) -> None:
    assert opened(files).search_many([]) == []


def test_a_look_up_among_many_ids_compares_those_of_about_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookup_module, "COMPARED", 2)
    names = ["documents", "doc", "document-1", "document-2"]
    docs = [Doc(name, np.ones(1, "f4"), np.ones((1, 1), "f4")) for name in names]
    index = Index.open(OutputFolder(write_output(docs, width=1), "out"), encode=Encoder({}))
    with pytest.raises(ConfigError, match=r"the nearest ids are 'document-2', 'document-1'$"):
        index.like("document-3")


def texts_output(texts: dict[str, list[str]], *, vectors: bool) -> MemoryFiles:
    """An output of documents given as passages; the passages of one share a random vector."""
    draw = np.random.default_rng(0)
    docs = []
    for name, passages in texts.items():
        vector = unit(draw.standard_normal(WIDTH).astype("f4"))
        docs.append(
            Doc(name, vector, np.tile(vector, (len(passages), 1)))
            if vectors
            else Doc(name, None, None, len(passages))
        )
    return write_output(
        docs, width=WIDTH if vectors else 0, text_of=lambda name, ordinal: texts[name][ordinal]
    )


TEXTS = {
    "lease": ["The lease ends in May. ", "Rent is due on the first day", " of each month."],
    "sale": ["The house is sold. ", "The price is paid in two parts."],
    "will": ["All goes to the children.\n", "Nothing else was written."],
}


def test_words_find_documents_with_whole_sentences_around_them() -> None:
    index = opened(texts_output(TEXTS, vectors=True))

    (hit,) = index.search("months of renting", 2, "lexical")

    assert hit.document_id == "lease"
    assert hit.title == "The lease ends in May."
    assert hit.n_chars == len("".join(TEXTS["lease"]))
    shown = hit.passages[0]
    assert "".join(TEXTS["lease"])[shown.char_start : shown.char_end] == shown.text
    assert shown.text.endswith("Rent is due on the first day of each month.")
    marked = {shown.text[start:end] for start, end in shown.words}
    assert "month" in marked
    assert shown.strongest is not None
    start, end = shown.strongest
    assert shown.text[start:end] == "Rent is due on the first day of each month."


def test_hybrid_agrees_with_the_sum_of_standardised_scores() -> None:
    index = opened(texts_output(TEXTS, vectors=True))

    hits = index.search("the price of the house", 10)

    assert index.search("the price of the house", 10, "hybrid") == hits
    assert hits[0].document_id == "sale"
    assert len(hits) == len(TEXTS)
    # A mean of standardised scores has a mean of 0.
    assert abs(sum(hit.score for hit in hits)) < 1e-5
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1_000),
    n=st.integers(1, 40),
    depth=st.integers(1, 6),
    rank=st.sampled_from(RANKS),
    rerank=st.sampled_from([None, "model"]),
)
def test_what_is_found_first_does_not_depend_on_how_much_is_wanted(
    seed: int, n: int, depth: int, rank: str, rerank: str | None
) -> None:
    draw = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(9)]
    texts = {
        f"d{number:02}": [
            " ".join(draw.choice(words, 4)) + ". " for _ in range(draw.integers(1, 4))
        ]
        for number in range(n)
    }
    output = OutputFolder(texts_output(texts, vectors=True), "out")
    index = Index.open(
        output,
        encode=lambda some: np.array([[len(one), *range(1, WIDTH)] for one in some], np.float32),
        load_reranker=lambda *_: lambda _, some: np.array([hash_of(one) for one in some], "f4"),
    )
    query = "word1 word2. Then word3!"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hybrid_module, "DEPTH", depth)
        for module in (reranking_module, search_module):
            patch.setattr(module, "RERANKED", depth)
        every = index.search(query, n, rank, rerank=rerank)
        for k in range(1, n):
            assert index.search(query, k, rank, rerank=rerank) == every[:k]
        if rerank is None:
            assert index.rankings([query], n, rank) == [[hit.document_id for hit in every]]

    if rank != "lexical":
        assert {hit.document_id for hit in every} == texts.keys()
    in_order = sorted(every, key=lambda hit: (-hit.score, hit.document_id))
    assert [hit.document_id for hit in in_order] == [hit.document_id for hit in every]


def test_a_query_of_unknown_words_is_ranked_by_vectors_or_not_at_all() -> None:
    with_vectors = opened(texts_output(TEXTS, vectors=True))

    assert with_vectors.search("xyzzy", 5, "lexical") == []
    assert {hit.document_id for hit in with_vectors.search("xyzzy", 5)} == set(TEXTS)


def test_filtered_words_and_vectors_are_those_of_the_documents_that_are_left() -> None:
    draw = np.random.default_rng(4)
    words = [f"word{number}" for number in range(12)]
    texts = {
        f"d{number:02}": [" ".join(draw.choice(words, 8)) + ". " for _ in range(3)]
        for number in range(40)
    }
    index = opened(texts_output(texts, vectors=True))
    kept = [name for name in texts if int(name[1:]) % 3 == 0]
    filter = f"document_id in ({', '.join(map(repr, kept))})"

    for rank in ("lexical", "hybrid"):
        # All documents are candidates here, so scores are standardised over those that are left.
        every = {hit.document_id: hit for hit in index.search("word1 word2", 40, rank)}
        hits = index.search("word1 word2", 40, rank, filter=filter)
        assert {hit.document_id for hit in hits} == every.keys() & {*kept}
        assert hits[:5] == index.search("word1 word2", 5, rank, filter=filter)
        assert all(hit.passages == every[hit.document_id].passages for hit in hits)
        assert index.search("word1 word2", 5, rank, filter="document_id = 'none'") == []
    with pytest.raises(ConfigError, match="score is a number"):
        index.search("word1", filter="score = 'neg'")


def test_lexical_scores_of_a_filter_are_combined_from_the_documents_that_are_left() -> None:
    index = opened(texts_output({**TEXTS, "other": ["price price price of rent."]}, vectors=False))
    match = index._searched.snapshot.words.match("the price of rent")
    assert match is not None
    left = [0, 1, 2]
    kinds = {"runs": match.runs, "sentences": match.sentences, "documents": match.documents}
    expected = combined({kind: scores[left] for kind, scores in kinds.items()})

    hits = index.search("the price of rent", 10, "lexical", filter="document_id != 'other'")

    order = sorted(np.flatnonzero(match.runs[left]), key=lambda one: -expected[one])
    assert found(hits) == [(list(TEXTS)[one], float(expected[one])) for one in order]


def test_documents_like_one_are_found_without_it() -> None:
    texts = {**TEXTS, "copy": TEXTS["sale"]}
    for vectors in (True, False):
        index = opened(texts_output(texts, vectors=vectors))

        names = [hit.document_id for hit in index.like("sale", 10, "lexical")]

        assert names[0] == "copy"
        assert "sale" not in names


def test_words_do_without_vectors_and_model() -> None:
    def encode(texts: Sequence[str]) -> Floats:
        raise AssertionError("no query by words is encoded")

    files = texts_output(TEXTS, vectors=False)
    index = Index.open(OutputFolder(files, "out"), encode=encode)

    assert [hit.document_id for hit in index.search("price", 1)] == ["sale"]


def test_a_lexical_index_of_other_rows_is_refused() -> None:
    files = texts_output(TEXTS, vectors=False)
    other = texts_output({"a": ["one"], "b": ["two"], "c": ["three"]}, vectors=False)
    name = f"out/{lexical_file('part-0', LEXICAL.digest)}"
    files.data[name] = other.data[name]

    with pytest.raises(OutputError, match=r"lexical/part-0\S+ has other rows than out/catalog"):
        opened(files).search("one")


@pytest.mark.skipif(sys.platform != "linux", reason="maps are read from /proc")
def test_a_closed_index_holds_no_file(tmp_path: Path) -> None:
    for path, data in texts_output(TEXTS, vectors=True).data.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)

    def held() -> set[str]:
        return {one for one in Path("/proc/self/maps").read_text().split() if str(tmp_path) in one}

    output = OutputFolder(LocalFileSystem(), str(tmp_path / "out"))
    with Index.open(output, encode=lambda texts: np.ones((len(texts), WIDTH), "f4")) as index:
        for rank in RANKS:
            assert index.search("the price of rent", 3, rank)
        assert {Path(one).parent.name for one in held()} >= {"lexical", "index", "passages"}
    assert not held()
