"""The command query: what it prints, and what it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import longbert.cli.query as query_module
import longbert.cli.results as results_module
import longbert.cli.streams as streams_module
from longbert import api
from longbert.cli.query import query
from longbert.cli.results import FORMATS, write_results
from longbert.encoders.cross_encoder import load_cross_encoder
from longbert.errors import ConfigError, InputError, QueryWarning
from longbert.index.excerpts import Hit, HitPassage

HITS = [
    Hit(1, "notes/May 3%.txt", float(np.float32(0.7)), (HitPassage(3, 9, 0.75, "[b]ö\n\tx"),)),
    Hit(2, "b", 0.5, (HitPassage(0, 450, 0.5, "word " * 90), HitPassage(400, 402, 0.25, "\x1b["))),
    Hit(3, "c", 0.5, ()),
]


class FakeIndex:
    """Gives the same hits to every query and keeps what it was asked."""

    default_rank = "hybrid"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def search_many(
        self,
        texts: list[str],
        k: int,
        rank: str,
        *,
        filter: str | None,
        rerank: str | None,
        rerank_label: str | None,
    ) -> list[list[Hit]]:
        more = () if filter is None else (filter,)
        models = () if rerank is None else (rerank, rerank_label)
        self.asked.append((texts, k, rank, *more, *models))
        return [HITS[:k] for _ in texts]

    def count(self, filter: str | None = None) -> int:
        return 3 if filter is None else 2

    def like(self, document_id: str, k: int, rank: str, *, filter: str | None) -> list[Hit]:
        self.asked.append(
            (document_id, k, rank) if filter is None else (document_id, k, rank, filter)
        )
        return HITS[:k]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    fake = FakeIndex()

    def open_index(folder: str, *, query_prompt: str | None) -> FakeIndex:
        fake.asked.append((folder,) if query_prompt is None else (folder, query_prompt))
        return fake

    monkeypatch.setattr(api, "open", open_index)
    return fake


def run(*arguments: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(query, arguments, input=data, catch_exceptions=False)


def written(results: list[tuple[str, list[Hit]]], format: str) -> str:
    stream = io.StringIO()
    write_results(results, stream, format=format)
    return stream.getvalue()


def test_json_and_jsonl_hold_the_same_records(index: FakeIndex) -> None:
    as_json = json.loads(run("a text", "--format", "json").stdout)
    as_lines = [json.loads(line) for line in run("a text", "--format", "jsonl").stdout.splitlines()]

    assert as_json == as_lines
    assert as_json[0] == {
        "query_id": "query",
        "rank": 1,
        "document_id": "notes/May 3%.txt",
        "score": 0.7,
        "passages": [{"char_start": 3, "char_end": 9, "score": 0.75, "text": "[b]ö\n\tx"}],
    }
    assert [record["rank"] for record in as_json] == [1, 2, 3]
    assert index.asked[:2] == [("longbert-output",), (["a text"], 10, None)]


def test_no_results_are_an_empty_list() -> None:
    assert json.loads(written([("q", [])], "json")) == []
    assert written([("q", [])], "jsonl") == ""
    assert written([("q", [])], "trec") == ""


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    table = written([("query", HITS)], "table")

    assert max(map(len, table.splitlines())) <= width
    assert "\x1b" not in table
    assert "0.700" in table
    if width == 200:
        assert "[3:9] 0.75 [b]ö x" in table
        assert "notes/May 3%.txt" in table
        assert "…" in table
        assert r"[400:402] 0.25 \x1b[" in table


def test_the_table_names_the_queries_if_there_are_several() -> None:
    assert "wages" not in written([("wages", HITS)], "table")
    table = written([("wages", HITS), ("rent", HITS)], "table")
    assert table.index("wages") < table.index("rent")


def test_queries_of_a_file_keep_their_ids_and_order(index: FakeIndex, tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_bytes(
        b'\xef\xbb\xbf{"id": "z", "text": "one", "more": 1}\r\n\n{"id": 7, "text": "two"}'
    )

    output = run("--queries", str(file), "-k", "2", "--rank", "best", "--format", "jsonl").stdout

    assert index.asked[1] == (["one", "two"], 2, "best")
    records = [json.loads(line) for line in output.splitlines()]
    assert [(one["query_id"], one["rank"]) for one in records] == [
        ("z", 1),
        ("z", 2),
        ("7", 1),
        ("7", 2),
    ]


def test_queries_come_from_standard_input(index: FakeIndex) -> None:
    result = run("--queries", "-", "--format", "trec", data=b'{"id": "a", "text": "one"}\n')
    assert result.stdout.startswith("a Q0 ")


def test_a_filter_is_handed_to_the_search(index: FakeIndex) -> None:
    run("a text", "--filter", "label = 'neg'")
    run("--like", "b", "--filter", "score > 0.8")
    assert index.asked[1::2] == [
        (["a text"], 10, None, "label = 'neg'"),
        ("b", 10, None, "score > 0.8"),
    ]


def test_queries_that_find_nothing_are_told_without_their_texts(
    index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "search_many", lambda texts, *_, **__: [[] for _ in texts])

    result = run("a secret", "--format", "trec")
    filtered = run("a secret", "--format", "trec", "--filter", "score > 0.8")

    assert result.stdout == filtered.stdout == run("a secret").stdout == ""
    assert result.stderr == (
        "longbert: 1 query found nothing: none of 3 documents has anything in common with it\n"
    )
    assert filtered.stderr == (
        "longbert: 1 query found nothing: of 3 documents, 2 fit --filter 'score > 0.8', and none "
        "of these has anything in common with it\n"
    )


def test_a_filter_that_no_document_fits_is_told_as_such(
    index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "search_many", lambda texts, *_, **__: [[] for _ in texts])
    monkeypatch.setattr(index, "count", lambda filter=None: 3 if filter is None else 0)

    result = run("a secret", "--format", "jsonl", "--filter", "score > 2\x1b")

    assert result.stderr == (
        "longbert: 1 query found nothing: --filter 'score > 2\\x1b' fits none of 3 documents\n"
    )


def test_warnings_of_queries_are_told(index: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def like(*_: object, **__: object) -> list[Hit]:
        warnings.warn("it means little", QueryWarning, stacklevel=1)
        return HITS

    monkeypatch.setattr(index, "like", like)
    assert run("--like", "a", "--format", "trec").stderr == "longbert: warning: it means little\n"


def test_a_search_that_takes_long_tells_what_it_does(
    index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(query_module, "DELAY_SECONDS", 0.01)
    monkeypatch.setattr(streams_module, "say", told.append)
    search = index.search_many

    def slow(*arguments: Any, **options: Any) -> list[list[Hit]]:
        until = time.monotonic() + 20
        while not told and time.monotonic() < until:
            time.sleep(0.01)
        return search(*arguments, **options)

    monkeypatch.setattr(index, "search_many", slow)
    run("word " * 3_000, "--rerank", "org/model")

    assert told == [
        "still searching for 1 query: all of 15,000 characters is read, and org/model reads "
        "the query beside each passage"
    ]
    monkeypatch.setattr(query_module, "STARTING_SECONDS", 0.01)
    for options, what in (((), ": the model is loaded first"), (("--rank", "lexical"), "")):
        told.clear()
        run("a word", *options)
        assert told == [f"still searching for 1 query{what}"]
    monkeypatch.setattr(index, "search_many", search)
    monkeypatch.setattr(query_module, "DELAY_SECONDS", 1e6)
    assert run("word " * 3_000).stderr == ""
    assert len(told) == 1


def test_like_gives_the_document_as_query_id(index: FakeIndex) -> None:
    output = run("--like", "a/b.txt", "--index", "out", "--rank", "document", "--format", "jsonl")
    assert index.asked == [("out",), ("a/b.txt", 10, "document")]
    assert json.loads(output.stdout.splitlines()[0])["query_id"] == "a/b.txt"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("text", "--like", "x"),
        ("text", "--queries", "x"),
        ("--like", "x", "--queries", "x"),
        ("", "--like", "x"),
    ],
)
def test_exactly_one_kind_of_query_is_given(arguments: tuple[str, ...], index: FakeIndex) -> None:
    with pytest.raises(ConfigError, match="exactly one of TEXT, --queries and --like"):
        run(*arguments)
    assert index.asked == []


@pytest.mark.parametrize("text", ["", "  ", "\udc80"])
def test_an_empty_or_broken_text_is_refused(text: str, index: FakeIndex) -> None:
    with pytest.raises(InputError, match=r"TEXT (is empty|has a lone surrogate)"):
        run(text)
    assert index.asked == []


def test_a_file_of_queries_must_be_there_and_hold_some(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read \\(No such file"):
        run("--queries", str(tmp_path / "none"))
    (tmp_path / "empty").write_bytes(b"\n")
    with pytest.raises(InputError, match=r"--queries .*/empty has no queries"):
        run("--queries", str(tmp_path / "empty"))


def test_a_query_of_several_arguments_is_told_to_be_quoted(index: FakeIndex) -> None:
    result = run("hello", "the world's end")
    assert result.exit_code == 2
    assert "TEXT must be one argument, got 2: quote it, as in longbert query 'hello the" in (
        result.stderr
    )
    assert index.asked == []


def test_control_characters_are_escaped_for_people_only(index: FakeIndex) -> None:
    evil = Hit(1, "esc\x1b[31mred\u202e\n.txt", 0.5, (HitPassage(0, 9, 0.5, "a\x1b[2J\x9bb"),))
    results = [("q\x07", [evil]), ("other", [evil])]
    table = written(results, "table")
    assert not set(table) & set("\x1b\x9b\x07\u202e")
    for shown in (r"q\x07", r"\x1b[31m", r"\u202e\n.txt", r"a\x1b[2J\x9bb"):
        assert shown in "".join(part.strip(" │") for part in table.splitlines())
    (record, _) = json.loads(written(results, "json"))
    assert record["document_id"] == evil.document_id
    assert record["passages"][0]["text"] == "a\x1b[2J\x9bb"


def test_click_refuses_options_out_of_range(index: FakeIndex) -> None:
    for arguments in (("x", "-k", "0"), ("x", "--rank", "worst"), ("x", "--format", "xml")):
        assert run(*arguments).exit_code == 2


def test_help_has_examples_and_every_format() -> None:
    output = run("--help").output
    assert output.count("longbert query ") >= 4
    assert all(name in output for name in FORMATS)


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys, longbert.cli.query; "
        "print([m for m in ('faiss', 'torch', 'pyarrow', 'apache_beam', 'transformers', 'rich')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_table_marks_words_and_the_strongest_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")
    passage = HitPassage(50, 74, 0.25, "First. The price is due.", ((11, 16),), (7, 24))
    hit = Hit(1, "a.txt", 1.0, (passage,), title="A title", n_chars=100)

    table = written([("query", [hit])], "table")

    assert "·····███··" in table
    assert "A title" in table
    assert "\x1b[4mThe \x1b[0m\x1b[1;4mprice\x1b[0m\x1b[4m is due.\x1b[0m" in table


def text_shown(passage: HitPassage, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the table shows of a passage, without its place and score."""
    monkeypatch.setenv("COLUMNS", "2000")
    table = written([("query", [Hit(1, "a", 1.0, (passage,))])], "table")
    (line,) = (line for line in table.splitlines() if "0.50" in line)
    return line.partition("0.50")[2].strip(" │")


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.data())
def test_whole_sentences_are_shown_around_the_strongest(
    lengths: list[int], data: st.DataObject
) -> None:
    sentences = [f"{chr(65 + number)}{'y' * length}." for number, length in enumerate(lengths)]
    text = " ".join(sentences)
    number = data.draw(st.integers(0, len(sentences) - 1))
    start = len(" ".join([*sentences[:number], ""]))
    passage = HitPassage(0, len(text), 0.5, text, (), (start, start + len(sentences[number])))

    with pytest.MonkeyPatch.context() as patch:
        shown = text_shown(passage, patch)

    room = results_module.PASSAGE_CHARS
    if len(sentences[number]) > room:
        assert shown == sentences[number][:room] + "…"
        return
    runs = [
        (first, last)
        for first in range(number + 1)
        for last in range(number, len(sentences))
        if shown == " ".join(sentences[first : last + 1])
    ]
    assert runs
    assert len(shown) <= room
    ((first, last),) = runs
    around = [*sentences[max(first - 1, 0) : first], *sentences[last + 1 : last + 2]]
    assert all(len(shown) + 1 + len(one) > room for one in around)


def test_a_sentence_that_is_cut_ends_with_a_word_and_is_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "word " * 200

    shown = text_shown(HitPassage(0, len(text), 0.5, text), monkeypatch)

    assert shown.replace("word", "").strip() == "…"
    assert 0 <= results_module.PASSAGE_CHARS - (len(shown) - 1) < len("word ")
    cut = HitPassage(0, 9, 0.5, "in a half", is_cut=(True, True))
    assert text_shown(cut, monkeypatch) == "…in a half…"


def test_a_model_that_reorders_is_handed_on(index: FakeIndex) -> None:
    run("a text", "--rerank", "org/model", "--rerank-label", "yes", "-k", "1", "--format", "json")

    assert index.asked[1] == (["a text"], 1, None, "org/model", "yes")


def test_a_document_is_no_query_beside_a_passage(index: FakeIndex) -> None:
    with pytest.raises(ConfigError, match="leave out one of them"):
        run("--like", "a", "--rerank", "org/model")


def test_an_output_is_reordered_by_a_real_model(
    models: Callable[..., Path], tmp_path: Path
) -> None:
    for name, text in {"sale": "The price of the house is high.", "May": "It rains."}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    output = tmp_path / "out"
    classifier = str(models("bert", task="classify"))
    api.run(tmp_path, output=output, runner="none", embed="none", classify=classifier)
    model = str(models("bert", task="classify", labels=("LABEL_0",), seed=5))

    result = run("price in May", "--index", str(output), "--rerank", model, "--format", "jsonl")

    hits = [json.loads(line) for line in result.stdout.splitlines()]
    scores = load_cross_encoder(model).scores(
        "price in May", [hit["passages"][0]["text"] for hit in hits]
    )
    found = np.array([hit["score"] for hit in hits], np.float32)
    assert found.tolist() == sorted(scores.tolist(), reverse=True)
