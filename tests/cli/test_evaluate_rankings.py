"""The command evaluate on rankings: what it searches, prints and refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.runs import run, write_texts

Call = Callable[..., Result]

TEXTS = {
    "lease.txt": "The tenant pays the rent on the first day of each month.",
    "sale 1%.txt": "The house is sold. The buyer pays the price in two parts.",
    "will.txt": "All goes to the children. Nothing else was written.",
}
ROWS: list[dict[str, Any]] = [
    {"id": "q 1", "text": "who pays the rent?", "relevant": ["lease.txt"]},
    {"id": "2", "text": "children", "relevant": {"will.txt": 2, "lease.txt": 0}},
    {"id": "3", "text": "month of the sale", "relevant": ["sale 1%.txt"]},
]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    place = tmp_path_factory.mktemp("rankings")
    run(write_texts(place / "docs", TEXTS), place / "out", embed=small)
    return place / "out"


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    return written(tmp_path / "queries.jsonl", ROWS)


def test_json_has_the_measures_by_name(call: Call, output: Path, queries: Path) -> None:
    result = call(
        "evaluate", "--queries", queries, "--index", output, "--rank", "lexical", "--format", "json"
    )

    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    names = ["ndcg@10", "mrr@10", "map", "recall@10", "recall@100"]
    assert [type(record[name]) for name in names] == [float] * 5
    assert [*record["intervals"]] == names
    assert record["ranking"] == "lexical"
    assert record["queries"] == 3
    first, second, third = record["per_query"]
    assert first["ndcg@10"] == second["ndcg@10"] == 1.0
    # The word month is in another document.
    assert third["mrr@10"] == 0.5
    assert record["mrr@10"] == pytest.approx(2.5 / 3)


def test_a_table_compares_two_rankings(call: Call, output: Path, queries: Path) -> None:
    result = call(
        "evaluate", "--queries", queries, "--index", output, "--rank", "lexical",
        "--against", "document",
    )  # fmt: skip

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("lexical: 3 queries with 3 relevant documents\n")
    for part in ("nDCG@10", "recall@100", "document", "difference", "95% interval"):
        assert part in result.stdout
    assert "nDCG@10 is higher for" in result.stdout
    # Texts of queries are not repeated.
    assert "rent" not in result.stdout


def test_a_written_run_measures_as_the_search_does(
    call: Call, output: Path, queries: Path, tmp_path: Path
) -> None:
    options = ["--rank", "lexical", "--index", output]
    trec = call("query", "--queries", queries, "--format", "trec", "-k", "100", *options)
    run_file = tmp_path / "run.trec"
    run_file.write_text(trec.stdout, encoding="utf-8")
    assert "q%201 Q0 sale%201%25.txt" in trec.stdout

    qrels = tmp_path / "qrels"
    qrels.write_text("q%201 0 lease.txt 1\n2 0 will.txt 2\n3 0 sale%201%25.txt 1\n9 0 x 1\n")
    searched, read, judged = (
        json.loads(call("evaluate", *given, "--format", "json").stdout)
        for given in (
            ["--queries", queries, *options],
            ["--queries", queries, "--run", run_file],
            ["--queries", queries, "--qrels", qrels, *options],
        )
    )

    assert searched["per_query"] == read["per_query"] == judged["per_query"]
    both = call(
        "evaluate", "--run", run_file, "--qrels", qrels, "--against", run_file, "--format", "json"
    )
    assert json.loads(both.stdout)["against"]["differences"]["ndcg@10"] == 0.0
    assert "1 judged query not in" in both.stderr


def test_a_filter_is_measured(call: Call, output: Path, queries: Path) -> None:
    result = call(
        "evaluate", "--queries", queries, "--index", output, "--rank", "lexical",
        "--filter", "document_id != 'lease.txt'", "--format", "json",
    )  # fmt: skip
    by_id = {one["id"]: one for one in json.loads(result.stdout)["per_query"]}
    assert by_id["q 1"]["recall@100"] == 0.0
    assert by_id["3"]["mrr@10"] == 1.0


def test_a_reordered_ranking_is_measured(
    call: Call, output: Path, queries: Path, models: Callable[..., Path]
) -> None:
    model = models("bert", task="classify", labels=("no", "yes"), seed=5)
    options = ["--rank", "lexical", "--index", output]
    rerank = ["--rerank", model, "--rerank-label", "yes"]
    found = call("query", "--queries", queries, "--format", "jsonl", "-k", 100, *options, *rerank)
    first = {row["query_id"]: row for row in map(json.loads, reversed(found.stdout.splitlines()))}

    result = call(
        "evaluate", "--queries", queries, *options, *rerank, "--against", "lexical",
        "--format", "json",
    )  # fmt: skip

    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    assert record["ranking"] == f"lexical, by {model}"
    assert record["against"]["ranking"] == "lexical"
    for row, given in zip(record["per_query"], ROWS, strict=True):
        is_first = first[given["id"]]["document_id"] in {
            one for one in given["relevant"] if one != "lease.txt" or given["id"] != "2"
        }
        assert (row["mrr@10"] == 1.0) == is_first
    assert record["mrr@10"] != record["against"]["mrr@10"]


def test_what_does_not_count_is_told_on_stderr(call: Call, output: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {"id": "4", "text": "nobody knows", "relevant": []}]
    rows[0] = {**rows[0], "relevant": ["lease.txt", "nowhere.txt"]}
    queries = written(tmp_path / "queries.jsonl", rows)

    result = call("evaluate", "--queries", queries, "--index", output, "--rank", "lexical")

    assert result.exit_code == 0
    assert "1 relevant document not in the output, counted as not found; correct" in result.stderr
    assert ": nowhere.txt\n" in result.stderr
    assert "1 query without a relevant document, left out: 4\n" in result.stderr
    assert "nobody" not in result.stderr


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((), "known answers must be given: .*--queries.*--gold"),
        (("--run", "x"), "known answers must be given"),
        (
            ("--queries", "{queries}", "--gold", "x"),
            "--queries measures a ranking and --gold labels",
        ),
        (("--gold", "x", "-k", "100"), "-k measures a ranking and --gold labels"),
        (("--queries", "{queries}", "--label-field", "x"), "--queries .* and --label-field labels"),
        (("--queries", "nowhere"), "--queries nowhere cannot be read"),
        (("--queries", "{queries}", "-k", "99"), "99 is not in the range x>=100"),
        (("--queries", "{queries}", "--run", "{queries}"), "line 1 has .* fields, must have 6"),
        (
            ("--queries", "{queries}", "--index", "{output}", "--against", "hybird"),
            "--against must be one of hybrid, .* or a file .*did you mean 'hybrid'",
        ),
        (
            # Refused before anything is searched, hence before the filter.
            (
                *("--queries", "{queries}", "--index", "{output}"),
                *("--filter", "lable > 1", "--against", "foo"),
            ),
            "--against must be one of hybrid, .*got 'foo'",
        ),
        (
            ("--queries", "{queries}", "--index", "{output}", "--filter", "lable = 'x'"),
            "no field 'lable'; did you mean 'label'",
        ),
        (
            ("--qrels", "{qrels}", "--run", "{qrels}", "--rerank", "x"),
            "--run is a ranking that is read, and --rank, --rerank and --rerank-label are",
        ),
        (
            ("--queries", "{queries}", "--index", "{output}", "--rerank-label", "x"),
            "rerank names no model",
        ),
        (("--qrels", "{qrels}", "--index", "{output}"), "a search needs the texts of the queries"),
    ],
)
def test_wrong_usage_is_told(
    call: Call, output: Path, queries: Path, tmp_path: Path, given: tuple[str, ...], problem: str
) -> None:
    qrels = tmp_path / "qrels"
    qrels.write_text("2 0 will.txt 1\n")
    result = call(
        "evaluate", *(one.format(queries=queries, output=output, qrels=qrels) for one in given)
    )
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(problem, result.stderr), result.stderr
