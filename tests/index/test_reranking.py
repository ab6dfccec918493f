"""Putting hits into the order of another model."""

from collections.abc import Sequence

import numpy as np
import pytest
from support.written_tables import Doc, Floats, write_output

from longbert.errors import ConfigError
from longbert.index.excerpts import Hit, HitPassage
from longbert.index.reranking import RERANKED, reranked
from longbert.index.search import Index
from longbert.store.folder import OutputFolder


def hit(rank: int, name: str, *passages: tuple[int, str]) -> Hit:
    own = tuple(HitPassage(start, start + len(text), 0.1, text) for start, text in passages)
    return Hit(rank, name, 1.0 - rank / 10, own, title="title", n_chars=99)


def by_length(query: str, passages: Sequence[str]) -> Floats:
    return np.array([len(query) + len(one) for one in passages], np.float32)


def test_documents_are_ordered_by_their_best_passages() -> None:
    hits = [
        hit(1, "short", (0, "a")),
        hit(2, "z", (40, "abc"), (10, "abcd"), (0, "abcd")),
        hit(3, "long", (5, "ab"), (0, "abcde")),
        hit(4, "a", (7, "abcd")),
        hit(5, "empty"),
    ]

    found = reranked("??", hits, 3, by_length)

    assert [(one.rank, one.document_id, one.score) for one in found] == [
        (1, "long", 7.0),
        (2, "a", 6.0),
        (3, "z", 6.0),
    ]
    assert [(one.char_start, one.score) for one in found[2].passages] == [
        (0, 6.0),
        (10, 6.0),
        (40, 5.0),
    ]
    assert (found[0].title, found[0].n_chars) == ("title", 99)
    assert reranked("??", [], 3, by_length) == []


def opened(n: int) -> tuple[Index, list[tuple[str, str | None]]]:
    axis = np.eye(2, dtype=np.float32)
    docs = [
        Doc(f"d{number:03}", axis[0], np.array([[1 - number / 100, 0]], np.float32))
        for number in range(n)
    ]
    loaded: list[tuple[str, str | None]] = []

    def load(name: str, label: str | None) -> object:
        loaded.append((name, label))
        # The last document is the best.
        return lambda query, passages: np.array(
            [float(one.split(":")[0][2:]) for one in passages], np.float32
        )

    output = OutputFolder(write_output(docs, width=2, metric="dot"), "out")
    return Index.open(output, encode=lambda texts: axis[:1], load_reranker=load), loaded  # type: ignore[arg-type]


def test_the_first_fifty_documents_are_put_into_a_new_order() -> None:
    index, loaded = opened(RERANKED + 10)

    found = index.search("q", 2, "best", rerank="model", rerank_label="yes")
    more = index.search("q", RERANKED + 5, "best", rerank="model")

    assert [one.document_id for one in found] == ["d049", "d048"]
    # The next ones follow them, whatever the model says.
    numbers = [*range(49, -1, -1), *range(59, 54, -1)]
    assert [one.document_id for one in more] == [f"d{n:03}" for n in numbers]
    assert more[:2] == found
    scores = [one.score for one in more]
    assert scores == sorted(scores, reverse=True)
    assert scores[RERANKED - 1] > scores[RERANKED]
    assert more[RERANKED].passages[0].score == 59
    assert loaded == [("model", "yes"), ("model", None)]


def test_what_cannot_be_reranked_is_told() -> None:
    index, _ = opened(1)
    with pytest.raises(ConfigError, match="rerank names no model"):
        index.search("q", rerank_label="yes")
    bare = Index.open(
        OutputFolder(write_output([], width=2), "out"), encode=lambda texts: np.zeros((1, 2), "f4")
    )
    with pytest.raises(ConfigError, match="was opened without any"):
        bare.search("q", rerank="model")
