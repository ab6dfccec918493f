"""The comparison of rankings: its numbers are what it says they are."""

import gzip
import json
import math
from pathlib import Path

import compare_rankings
import numpy as np
import pytest
from compare_rankings import (
    Found,
    Fused,
    compare_ranks,
    cross_validate,
    gain,
    interval,
    is_answered,
    kept,
    thinned,
)
from corpora import Query, read_articles, read_meetings

from longbert.index.excerpts import Hit, HitPassage


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_meetings_are_two_corpora_and_series_stay_together(tmp_path: Path) -> None:
    names = ["A1a", "A1b", "B2", "C3a", "C3d"]
    documents = written(tmp_path / "d.gz", [{"id": name, "text": name} for name in names])
    queries = written(
        tmp_path / "q.gz",
        [{"id": f"q{name}", "text": f"about {name}", "relevant": [name]} for name in names],
    )

    one, other = read_meetings(documents, queries)

    assert [row["id"] for row in one.documents] == ["A1a", "A1b", "C3a", "C3d"]
    assert [query.relevant for query in one.queries] == ["A1a", "A1b", "C3a", "C3d"]
    assert [(query.text, query.relevant) for query in other.queries] == [("about B2", "B2")]


def test_articles_bring_their_answers(tmp_path: Path) -> None:
    question = {"id": "q", "text": "who?", "answers": [[2, 5]]}
    path = written(tmp_path / "a.gz", [{"id": "x", "text": "a bcd", "questions": [question]}])

    corpus = read_articles(path)

    assert corpus.documents == [{"id": "x", "text": "a bcd"}]
    assert corpus.queries == [Query("who?", "x", ((2, 5),))]


def test_measures() -> None:
    query = Query("who?", "x", ((2, 5), (90, 95)))
    hits = [Hit(1, "y", 2.0, (HitPassage(0, 9, 1.0, ""),)), Hit(2, "x", 1.0, ())]

    assert gain(["y", "x"], "x") == pytest.approx(1 / math.log2(3))
    assert gain(["y"], "x") == 0
    assert not is_answered(hits, query)
    assert is_answered([Hit(1, "x", 2.0, (HitPassage(2, 5, 1.0, ""),))], query)
    assert not is_answered([Hit(1, "x", 2.0, (HitPassage(3, 9, 1.0, ""),))], query)
    assert interval(np.array([0.5, 0.5])) == "0.500 [0.500, 0.500]"


def test_weights_are_fitted_on_one_half_and_tested_on_the_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {
        "runs": np.array([1, 0], np.float32),
        "sentences": np.array([0, 1], np.float32),
        "documents": np.zeros(2, np.float32),
        "dense": np.zeros(2, np.float32),
    }
    by_runs, by_sentences = (Fused(["a", "b"], scores, name) for name in "ab")

    cross_validate([[by_runs], [by_sentences]])

    # What is best for one half is wrong for the other.
    assert "held out: 0.631 [0.631, 0.631]" in capsys.readouterr().out
    assert by_sentences.gain({"runs": 1.0, "sentences": 1.5}) == 1


def test_what_was_found_is_kept(tmp_path: Path) -> None:
    asked: list[int] = []

    def compute() -> list[int]:
        asked.append(1)
        return [1, 2]

    assert [kept(tmp_path / "a.json", compute) for _ in range(3)] == [[1, 2]] * 3
    assert asked == [1]


def test_rankings_are_compared_with_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    queries = [Query("who?", "x", ((2, 5),)), Query("what?", "y", ((0, 1),))]

    compare_ranks(
        {
            "one": [Found(["x"], is_answered=True), Found(["y"])],
            "other": [Found(["y", "x"]), Found(["y"])],
        },
        queries,
    )

    *_, one, other = capsys.readouterr().out.splitlines()
    assert one.startswith("| `one` | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] | 0.500 [")
    assert one.endswith("| 0.000 [0.000, 0.000] |")
    # Half of the queries lose what the second place is worth less than the first.
    assert f"| {(1 / math.log2(3) - 1) / 2:.3f} [" in other


def test_a_smaller_corpus_is_what_is_left_of_the_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_rankings, "DRAWS", 300)
    queries = [Query("who?", "a"), Query("what?", "c"), Query("why?", "d")]
    table = [["a", "b", "c", "d"], ["a", "b", "c", "d"], ["a", "b", "c"]]

    found = thinned(table, queries, ["a", "b", "c", "d"], size=2)

    # Of the three others, each is the second one drawn in a third of the draws.
    assert found.tolist() == pytest.approx([1, 1 / 3 + 2 / 3 / math.log2(3), 0], abs=0.05)
    assert thinned(table, queries, ["a", "b", "c", "d"], size=4).tolist() == [1, 0.5, 0]
