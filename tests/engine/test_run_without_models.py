"""Runs without a model: passages by words, found by words, and no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.encoder import fake_models
from fakes.local_files import Death, FailingFiles
from support.runs import (
    damage,
    files_of,
    last_run,
    problems,
    rows,
    rows_by_document,
    run,
    run_on,
    some_texts,
    write_texts,
)
from support.texts import long_text

import longbert
from longbert import api
from longbert.core.plain_words import plain_words
from longbert.engine.context import load_models
from longbert.errors import ConfigError, DocumentError, FingerprintError
from longbert.readers import pieces, piecewise
from longbert.store import parquet
from longbert.store.filesystem import LocalFileSystem

NO_MODEL: dict[str, Any] = {"embed": "none", "passage": 7}


def test_passages_of_words_partition_each_document(tmp_path: Path) -> None:
    texts = {**some_texts(3), "zh.txt": "今天天气很好。我们去公园！\n\n那里有树。", "e.txt": " \n"}
    docs = write_texts(tmp_path / "docs", texts)

    manifest = run(docs, tmp_path / "out", **NO_MODEL)

    assert problems(tmp_path / "out") == []
    assert manifest["rows"]["settings"]["passes"] == []
    passages: dict[str, list[Any]] = {}
    for row in rows(tmp_path / "out", "passages"):
        passages.setdefault(row["document_id"], []).append(row)
    for row in rows(tmp_path / "out", "documents"):
        text = texts[row["document_id"]]
        own = passages[row["document_id"]]
        assert row["n_tokens"] == len(plain_words(text))
        assert (row["n_windows"], row["n_chars_unknown"], row["embedding"]) == (0, 0, None)
        assert row["n_chars_covered"] == row["n_chars"] == len(text)
        assert "".join(one["text"] for one in own) == text
        assert all(text[one["char_start"] : one["char_end"]] == one["text"] for one in own)
        assert [len(plain_words(one["text"])) for one in own[:-1]] == [7] * (len(own) - 1)
        assert all(one["embedding"] is None for one in own)
    (error,) = rows(tmp_path / "out", "errors")
    assert (error["document_id"], error["error"]) == ("e.txt", "no_tokens")
    assert error["message"] == (
        "the document has no words: it is empty or white space. Leave it out"
    )


def test_documents_are_found_by_words_where_there_are_no_vectors(tmp_path: Path) -> None:
    texts = {**some_texts(4), "x.txt": long_text(50) + " The tariff on saffron was lifted."}
    run(write_texts(tmp_path / "docs", texts), tmp_path / "out", **NO_MODEL)
    index = longbert.open(tmp_path / "out")

    assert index.default_rank == "lexical"
    (hit,) = index.search("saffron tariffs", k=1)
    assert hit.document_id == "x.txt"
    assert "The tariff on saffron was lifted." in hit.passages[0].text
    with pytest.raises(ConfigError, match="has no index of vectors"):
        index.search("saffron", rank="best")


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".html"])
def test_a_document_that_is_streamed_has_the_files_of_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(piecewise, "PIECE_BYTES", 300)
    monkeypatch.setattr(pieces, "PIECE_CHARS", 300)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 50)
    text = f"Café\r\n{long_text(1_500, seed=3)} {'今天天气很好。' * 100} {'x' * 900}\n"
    content = {
        ".txt": text,
        ".jsonl": json.dumps({"id": "a", "text": text}),
        ".html": f"<title>T</title><p>{text}",
    }[suffix]
    docs = write_texts(tmp_path / "docs", {f"a{suffix}": content})

    run(docs, tmp_path / "whole", **NO_MODEL, unit_bytes=10**6)
    run(docs, tmp_path / "large", **NO_MODEL, unit_bytes=1_000)

    assert problems(tmp_path / "large") == []
    whole, large = files_of(tmp_path / "whole"), files_of(tmp_path / "large")
    assert len([one for one in large if one.startswith("passages/")]) == 1
    del whole["manifest.json"], large["manifest.json"]
    assert large == whole


def test_a_long_white_space_is_said_of_a_document_that_is_streamed(tmp_path: Path) -> None:
    docs = write_texts(tmp_path / "docs", {"a.txt": " \n" * 1_000})
    run(docs, tmp_path / "out", **NO_MODEL)
    (error,) = rows(tmp_path / "out", "errors")
    assert "has no words" in error["message"]


def test_rows_do_not_depend_on_the_other_documents(tmp_path: Path) -> None:
    texts = some_texts(5)
    run(write_texts(tmp_path / "all", texts), tmp_path / "out", **NO_MODEL, unit_bytes=10**6)
    together = rows(tmp_path / "out", "passages")
    for name, text in texts.items():
        docs = write_texts(tmp_path / name / "docs", {name: text})
        run(docs, tmp_path / name / "out", **NO_MODEL)
        own = [row for row in together if row["document_id"] == name]
        assert rows(tmp_path / name / "out", "passages") == own


@pytest.mark.parametrize("n_writes", [1, 5, 9, 14])
def test_a_run_that_died_is_finished_by_the_next(tmp_path: Path, n_writes: int) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(4))
    output = tmp_path / "out"
    with pytest.raises(Death):
        run_on(FailingFiles(n_writes, "death"), docs, output, load=load_models, **NO_MODEL)
    run(docs, output, **NO_MODEL)
    run(docs, tmp_path / "fresh", **NO_MODEL)
    assert damage(output) == []
    assert files_of(output) == files_of(tmp_path / "fresh")


def test_a_second_run_has_nothing_to_do_and_a_grown_one_compacts(tmp_path: Path) -> None:
    texts = some_texts(4)
    docs = write_texts(tmp_path / "docs", {"01.txt": texts["01.txt"], "03.txt": texts["03.txt"]})
    output = tmp_path / "out"
    run(docs, output, **NO_MODEL)
    before = files_of(output)
    run(docs, output, **NO_MODEL)
    assert files_of(output) == before
    assert last_run(output)["units"] == 0
    write_texts(docs, texts)
    run(docs, output, **NO_MODEL)
    assert api.compact(output).n_written > 0
    run(docs, tmp_path / "fresh", **NO_MODEL)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")
    assert list(api.verify(output, inputs=True, sample=4)) == []


@pytest.mark.parametrize("changes", [{"passage": 8}, {"embed": "fake"}])
def test_an_output_of_other_lengths_or_models_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(1))
    run(docs, tmp_path / "out", **NO_MODEL)
    load = fake_models if "embed" in changes else load_models
    with pytest.raises(FingerprintError, match=r"passage|passes"):
        run_on(LocalFileSystem(), docs, tmp_path / "out", load=load, **{**NO_MODEL, **changes})


def test_texts_from_python() -> None:
    encoder = longbert.load(embed="none", passage=2)
    result = encoder("One two three.")
    assert [passage.text for passage in result.passages] == ["One two ", "three."]
    assert (result.embedding, result.n_tokens) == (None, 3)
    with pytest.raises(DocumentError, match="has no words"):
        encoder(" ")


def test_prompts_need_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="embed is none"):
        run(tmp_path, tmp_path / "out", embed="none", query_prompt="q")


CHINESE = {
    "a.txt": "今天天气很好。我们去公园散步！\n那里有很多树。" * 3 + "他喜欢喝茶。",
    "b.txt": "每月租金为八千元。押金在七天内退还。“未经同意，不得转租。”水费由乙方承担。",
    "c.txt": "BERT模型把长文档切分为窗口。" + "结果合并以后再分类。" * 3,
    "ja.txt": "来年度の予算について話し合いました。広告費を減らすことに決まりました。",
    "th.txt": "ผู้เช่าต้องชำระค่าเช่าภายในวันที่ห้าของทุกเดือน ห้ามเลี้ยงสัตว์ในบ้าน",
    "ar.txt": "يدفع المستأجر الإيجار في اليوم الخامس. لا يجوز تربية الحيوانات.",
    "en.txt": "The rent is due on the fifth. The deposit is two months of rent.",
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scripts")
    run(write_texts(place / "docs", CHINESE), place / "out", embed="none", passage=12)
    return place / "out"


@pytest.mark.parametrize(
    ("query", "document", "sentence"),
    [
        ("押金什么时候退还", "b.txt", "押金在七天内退还。"),
        ("茶", "a.txt", "他喜欢喝茶。"),
        ("BERT 模型", "c.txt", "BERT模型把长文档切分为窗口。"),
        ("deposit 定金", "en.txt", "The deposit is two months of rent."),
        ("広告費", "ja.txt", "広告費を減らすことに決まりました。"),
        ("ค่าเช่า", "th.txt", CHINESE["th.txt"]),
        ("للحيوانات", "ar.txt", "لا يجوز تربية الحيوانات."),
    ],
)
def test_documents_in_any_script_are_found(
    scripts: Path, query: str, document: str, sentence: str
) -> None:
    (hit,) = longbert.open(scripts).search(query, k=1)
    assert hit.document_id == document
    best = hit.passages[0]
    assert best.text == CHINESE[document][best.char_start : best.char_end]
    assert best.strongest is not None
    assert best.text[slice(*best.strongest)] == sentence


@pytest.mark.parametrize("query", ["שלום", "圖書館", "？！", "龘"])
def test_what_no_document_has_finds_nothing(scripts: Path, query: str) -> None:
    assert longbert.open(scripts).search(query) == []


def test_words_that_all_documents_have_still_find_them(scripts: Path) -> None:
    assert longbert.open(scripts).search("the of and")[0].document_id == "en.txt"
