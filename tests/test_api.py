"""The package's face: what it names, and how it carries out a run."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from support.runs import some_texts, write_texts

import longbert
from longbert.errors import (
    ConfigError,
    DocumentError,
    InputError,
    LongbertError,
    ModelError,
    QueryWarning,
)

PUBLIC = {"load", "open", "run", "ModelConfig", "RunConfig", "QueryWarning", "hits_table"}


def test_the_package_names_its_api_and_nothing_else() -> None:
    errors = {
        name
        for name, one in inspect.getmembers(longbert.errors, inspect.isclass)
        if issubclass(one, LongbertError)
    }
    assert set(longbert.__all__) == PUBLIC | errors
    for name in longbert.__all__:
        assert inspect.getdoc(getattr(longbert, name)), name
    assert not hasattr(longbert, "run_job")
    assert not hasattr(longbert, "filesystem_for")


@pytest.fixture(scope="module")
def small(models) -> Path:  # type: ignore[no-untyped-def]
    return Path(models("bert", sentence_transformers={"max_seq_length": 32}))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    place = tmp_path_factory.mktemp("api")
    docs = write_texts(place / "docs", some_texts(2))
    longbert.run(docs, output=place / "out", embed=small, runner="none", precision="float32")
    return place / "out"


def test_paths_may_be_path_objects_everywhere(output: Path, small: Path) -> None:
    assert [hit.rank for hit in longbert.open(output).search("the agreement", k=2)] == [1, 2]
    assert longbert.load(embed=small)("some words").embedding is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"runner": 3}, "runner must be a string, got 3"),
        ({"runner": "none", "workers": 2}, "the runner is none: use DirectRunner"),
        ({"beam_options": [3]}, "beam_options must be a string or a list of strings"),
        ({"pasage": 3}, "unknown setting 'pasage'; did you mean 'passage'"),
    ],
)
def test_wrong_settings_of_a_run(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        longbert.run("docs", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["\u200b", "\u200b\u200c", "\ufeff "])
def test_a_query_without_a_token_is_spoken_of_as_a_query(output: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"^query 2 of 2 has nothing to search for") as raised:
        longbert.open(output).search_many(["the agreement", text])
    assert "document" not in str(raised.value)


def test_a_long_query_is_read_to_its_end(output: Path, small: Path) -> None:
    index = longbert.open(output)
    text = "the agreement was signed in winter " * 3_000

    (ending,) = index.search(text + "mostly about fishing boats", 1, "document")
    (other,) = index.search(text + "a tall red house stood there", 1, "document")

    assert len(text) > 100_000
    # Were it cut anywhere, both would be one query.
    assert ending.score != other.score


def test_a_long_query_is_windowed_as_a_document_is(small: Path) -> None:
    encoder = longbert.load(embed=small)
    text = "the agreement was signed in winter " * 50
    np.testing.assert_array_equal(encoder.embed_queries([text]), encoder.embed([text]))


def test_a_query_in_an_unknown_script_is_warned_of(output: Path) -> None:
    with pytest.warns(QueryWarning, match="characters of the query are unknown.*--rank lexical"):
        longbert.open(output).search("窗口属于哪个令牌 ⟁⟁⟁")
    with pytest.warns(QueryWarning, match="characters of 1 of 2 queries are unknown"):
        longbert.open(output).search_many(["the agreement", "⟁⟁⟁⟁"])


def test_a_document_without_a_token_is_spoken_of_as_a_document(small: Path) -> None:
    with pytest.raises(DocumentError, match="document"):
        longbert.load(embed=small).encode(["a", "\u200b"])


def test_an_id_that_is_not_there_is_shortened(output: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        longbert.open(output).like("i" * 400)
    assert str(raised.value).startswith("the output has no document 'iiii")
    assert len(str(raised.value)) < 200


def test_long_ids_of_the_output_are_shortened_too(tmp_path: Path, small: Path) -> None:
    names = {f"{letter * 200}.txt": "some words" for letter in "abcdef"}
    write_texts(tmp_path / "docs", names)
    longbert.run(tmp_path / "docs", output=tmp_path / "out", embed=small, runner="none")
    with pytest.raises(ConfigError, match="its ids look like 'aaaa") as raised:
        longbert.open(tmp_path / "out").like("nope")
    assert len(str(raised.value)) < 350


def test_a_query_from_another_folder_finds_the_model(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write_texts(tmp_path / "A", {"docs/a.txt": "some words"})
    (place / "model").symlink_to(small)
    monkeypatch.chdir(place)
    longbert.run("docs", output="out", embed="model", runner="none")
    (tmp_path / "B").mkdir()
    monkeypatch.chdir(tmp_path / "B")
    assert len(longbert.open("../A/out").search("words")) == 1

    (place / "model").unlink()
    with pytest.raises(ModelError) as raised:
        longbert.open("../A/out").search("words")
    message = str(raised.value)
    assert message.startswith("the model that ../A/out was made with cannot be loaded: ")
    assert f"looked for {place}/model" in message


def test_errors_of_the_package_are_of_one_kind() -> None:
    for name in longbert.__all__:
        one = getattr(longbert, name)
        if name.endswith("Error"):
            assert issubclass(one, LongbertError)


def test_a_table_of_the_hits_of_one_query(output: Path) -> None:
    hits = longbert.open(output).search("the agreement", 2)
    assert longbert.hits_table(hits) == longbert.hits_table({"1": hits})
