"""Prompts belong to every window's budget and to no passage; vectors are the reference's."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from support.encoding import token_windows
from support.texts import HOSTILE_TEXTS, long_text
from transformers import AutoTokenizer

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.declared import Prompts
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.loaded_models import Models
from longbert.encoders.models import load_models
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.encoders.tokenizers.prompts import PromptedTokenizer
from longbert.encoders.tokenizers.stream import joined
from longbert.engine.encode import encode_documents
from longbert.errors import ConfigError
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]

WORDPIECE, BYTE_LEVEL, SENTENCEPIECE = ("bert", "mpnet"), ("roberta",), ("xlm-roberta", "albert")
FAMILIES = (*WORDPIECE, *BYTE_LEVEL, *SENTENCEPIECE)
E5 = {"query": "query: ", "passage": "passage: "}
BGE = "Represent this sentence for searching relevant passages: "
CHINESE = "为这个句子生成表示以用于检索相关文章："


def one_line(n_words: int, seed: int) -> str:
    return " ".join(long_text(n_words, seed=seed).split())


SHORT = ("Maria", "a", "It isn't.", "  two spaces", "\nline", one_line(4, 1), one_line(30, 2))
LONG = [Document(f"long {n}", long_text(n, seed=n)) for n in (1, 20, 45, 120)]


def load(embed: Path | str, *, for_queries: bool = False, **given: Any) -> Models:
    common = {"embed": str(embed), "precision": "float32", "passage": 10, **given}
    return load_models(ModelConfig(**common), for_queries=for_queries)


def encode(models: Models, documents: list[Document]) -> list[DocumentResult]:
    results = list(encode_documents(models, documents, passage_tokens=10))
    assert all(isinstance(result, DocumentResult) for result in results)
    return results  # type: ignore[return-value]


def n_word_embeddings() -> int:
    """Vocabularies' vectors that are in memory, one for each encoder."""
    gc.collect()
    weights = (one for one in gc.get_objects() if type(one) is torch.nn.Parameter)
    # Nothing else in models this small has so many rows.
    return sum(one.dim() == 2 and len(one) > 600 for one in weights)


def vectors(models: Models, texts: tuple[str, ...]) -> np.ndarray:
    results = encode(models, [Document(str(i), text) for i, text in enumerate(texts)])
    assert [result.n_windows for result in results] == [1] * len(texts)
    return np.stack([result.embedding for result in results])  # type: ignore[misc]


# Equality with sentence-transformers --------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize(
    ("include_prompt", "dialect"), [(True, "classic"), (False, "classic"), (False, "v6")]
)
def test_one_window_has_the_vector_of_sentence_transformers(
    models: Build, family: str, pooling: str, dialect: str, include_prompt: bool
) -> None:
    files = {
        "pooling": pooling,
        "prompts": E5,
        "include_prompt": include_prompt,
        "dialect": dialect,
        "max_seq_length": 128,
    }
    folder = models(family, sentence_transformers=files)
    reference = SentenceTransformer(str(folder), device="cpu")
    plain = vectors(load(folder, document_prompt=""), SHORT)
    for prompt, changes in (("passage: ", {}), (BGE, {"document_prompt": BGE})):
        found = vectors(load(folder, **changes), SHORT)
        expected = reference.encode(list(SHORT), batch_size=1, prompt=prompt)
        assert np.abs(found - expected).max() < 1e-6
        assert np.abs(found - plain).max() > 1e-3
    expected = reference.encode(list(SHORT), batch_size=1, prompt_name="query")
    assert np.abs(vectors(load(folder, for_queries=True), SHORT) - expected).max() < 1e-6
    assert np.abs(plain - reference.encode(list(SHORT), batch_size=1)).max() < 1e-6


@pytest.fixture(scope="module")
def tokenizers(models: Build) -> dict[str, tuple[FastTokenizer, Any]]:
    found = {}
    for family in (*FAMILIES, "modernbert", "deberta-v3"):
        reference = AutoTokenizer.from_pretrained(models(family))
        loaded = AutoTokenizer.from_pretrained(models(family))
        found[family] = FastTokenizer.from_transformers(loaded, name=family), reference
    return found


@pytest.mark.parametrize("family", [*FAMILIES, "modernbert", "deberta-v3"])
@pytest.mark.parametrize("prompt", ["passage: ", "passage:", "passage:  ", " ", "\n", CHINESE, BGE])
def test_one_window_holds_what_the_tokenizer_makes_of_prompt_and_text(
    models: Build, family: str, prompt: str
) -> None:
    folder = models(family)
    reference = AutoTokenizer.from_pretrained(folder)
    inner = FastTokenizer.from_transformers(AutoTokenizer.from_pretrained(folder), name=family)
    tokenizer = PromptedTokenizer(inner, prompt)
    n_other = 0
    texts = [*SHORT, *(hostile.text for hostile in HOSTILE_TEXTS)]
    for text in texts:
        tokens = tokenizer.tokenize(text)
        alone = inner.tokenize(text)
        if not len(alone):
            assert not len(tokens)
            continue
        assert (tokens.offsets >= 0).all()
        assert (tokens.offsets <= len(text)).all()
        assert tokens.starts_word[0]
        found = [*tokenizer.prefix, *tokens.ids.tolist(), *tokenizer.suffix]
        n_other += found != reference(prompt + text)["input_ids"]
        if tokenizer.digest == inner.digest:
            assert np.array_equal(tokens.ids, alone.ids)
    if prompt[-1] in " \n" or family in (*WORDPIECE, *BYTE_LEVEL, "modernbert"):
        assert not n_other
    else:
        # SentencePiece joins a text to a prompt that ends in no space; it is then read alone.
        assert 0 < n_other <= 8


_PIECES = st.sampled_from(["the", "Maria", " ", "  ", "\n", "\t", ".", "'s", "é", "中", "🙂", "``"])
_TEXTS = st.one_of(st.text(max_size=20), st.lists(_PIECES, max_size=8).map("".join))


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v3"])
@pytest.mark.parametrize("prompt", ["passage:", " ", "a:\n"])
def test_a_text_that_comes_in_pieces_has_the_tokens_of_the_whole(
    tokenizers: dict[str, tuple[FastTokenizer, Any]], family: str, prompt: str
) -> None:
    whole = PromptedTokenizer(tokenizers[family][0], prompt)

    @given(text=_TEXTS, size=st.integers(1, 5))
    def check(text: str, size: int) -> None:
        text = text + "\na" + text
        expected = whole.tokenize(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FastTokenizer, "piece_chars", 2)
            stream = whole.stream()
            parts = [stream.add(text[at : at + size]) for at in range(0, len(text), size)]
            found = joined([*parts, stream.finish()])
        for name in ("ids", "offsets", "starts_word", "is_unknown"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name

    check()


@settings(max_examples=150)
@given(text=_TEXTS, prompt=st.sampled_from(["passage: ", " ", "a:\n", "Find  ", "x\t "]))
def test_any_text_behind_a_space_is_read_as_the_tokenizer_reads_both(
    tokenizers: dict[str, tuple[FastTokenizer, Any]], text: str, prompt: str
) -> None:
    for family, (inner, reference) in tokenizers.items():
        tokenizer = PromptedTokenizer(inner, prompt)
        tokens, alone = tokenizer.tokenize(text), inner.tokenize(text)
        if not len(alone):
            assert not len(tokens)
            continue
        found = [*tokenizer.prefix, *tokens.ids.tolist(), *tokenizer.suffix]
        assert found == reference(prompt + text)["input_ids"], family
        assert (tokens.offsets[:, 0] <= tokens.offsets[:, 1]).all()
        assert tokens.offsets.min() >= 0
        assert tokens.offsets.max() <= len(text)


def test_texts_behind_a_space_are_tokenized_once_where_they_read_as_alone(models: Build) -> None:
    for family, prompt, is_shared in (
        *((one, "passage: ", one in WORDPIECE) for one in FAMILIES),
        *((one, "passage:", False) for one in FAMILIES),
    ):
        inner = FastTokenizer.from_transformers(
            AutoTokenizer.from_pretrained(models(family)), name=family
        )
        assert (PromptedTokenizer(inner, prompt).digest == inner.digest) == is_shared, family


# Windows and passages -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_every_window_holds_the_prompt_and_no_passage_does(
    models: Build, family: str, pooling: str
) -> None:
    prompt = "passage: "
    folder = models(family, sentence_transformers={"pooling": pooling, "prompts": E5})
    loaded = load(folder, window=32)
    inner = FastTokenizer.from_transformers(AutoTokenizer.from_pretrained(folder), name=family)
    own = (*inner.prefix, *inner.tokenize("passage:").ids.tolist())
    for pass_ in loaded.passes:
        assert pass_.tokenizer.prefix == own
        tokens = pass_.tokenizer.tokenize(LONG[-1].text)
        windows = list(token_windows(tokens, pass_.split_tokens(tokens)))
        assert len(windows) > 3
        lengths = [len(own) + len(one.ids) + len(inner.suffix) for one in windows]
        assert max(lengths) <= 32
        if pass_ is loaded.passes[0]:
            assert set(lengths) == {32}
        row = pass_.backbone.batch(windows[1:2], 32).input_ids[0].tolist()
        assert tuple(row[: len(own)]) == own
    for document, result in zip(LONG, encode(loaded, LONG), strict=True):
        assert "".join(passage.text for passage in result.passages) == document.text
        assert not any(prompt in passage.text for passage in result.passages)
        assert all(a.char_end == b.char_start for a, b in pairwise(result.passages))
        assert result.n_chars_covered == len(document.text)
        n_plain = len(inner.tokenize(document.text))
        assert n_plain <= result.n_tokens <= n_plain + 1
        assert len(result.passages) == -(-result.n_tokens // 10)
        assert all(passage.embedding is not None for passage in result.passages)


def test_passage_vectors_have_seen_the_prompt(models: Build) -> None:
    files: dict[str, Any] = {"prompts": E5, "normalize": False}
    document = Document("one", one_line(24, 5))
    for pooling in ("mean", "cls"):
        folder = models("bert", sentence_transformers={**files, "pooling": pooling})
        (with_it,) = encode(load(folder), [document])
        (without,) = encode(load(folder, document_prompt=""), [document])
        assert [p.text for p in with_it.passages] == [p.text for p in without.passages]
        for passage, other in zip(with_it.passages, without.passages, strict=True):
            assert passage.embedding is not None
            assert other.embedding is not None
            assert np.abs(passage.embedding - other.embedding).max() > 1e-3
        if pooling == "cls":
            expected = SentenceTransformer(str(folder), device="cpu").encode(
                [passage.text for passage in with_it.passages], prompt="passage: ", batch_size=1
            )
            found = np.stack([passage.embedding for passage in with_it.passages])  # type: ignore[misc]
            assert np.abs(found - expected).max() < 1e-5


@pytest.fixture(scope="module")
def with_partials(models: Build) -> list[tuple[Any, Any, list[Any]]]:
    """Heads of models that read a prompt, with the partials of a document's windows."""
    found = []
    for family in ("bert", "roberta"):
        for pooling in ("mean", "cls", "max"):
            for include_prompt in (True, False):
                files = {"pooling": pooling, "prompts": E5, "include_prompt": include_prompt}
                loaded = load(models(family, sentence_transformers=files), window=24)
                for pass_ in loaded.passes:
                    tokens = pass_.tokenizer.tokenize(LONG[-1].text)
                    windows = pass_.split(LONG[-1].text, tokens)
                    (partials,) = pass_.run(windows, 24)
                    found.append((pass_.heads[0], tokens, partials))
    return found


def bits(result: HeadResult) -> tuple[Any, ...]:
    found = (result.embedding, result.passage_embeddings)
    return tuple(None if one is None else one.tobytes() for one in found)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_segments_merge_to_the_whole_with_a_prompt(
    with_partials: list[tuple[Any, Any, list[Any]]], data: st.DataObject
) -> None:
    for head, tokens, partials in with_partials:
        whole = bits(head.finish(LONG[-1].text, tokens, head.merge(partials)))
        cuts = data.draw(st.sets(st.integers(1, len(partials) - 1), max_size=5))
        borders = [0, *sorted(cuts), len(partials)]
        segments = [head.merge(partials[start:stop]) for start, stop in pairwise(borders)]
        assert bits(head.finish(LONG[-1].text, tokens, head.merge(segments))) == whole


@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_document_of_many_windows_is_the_mean_over_its_tokens(
    models: Build, include_prompt: bool
) -> None:
    files = {"prompts": E5, "include_prompt": include_prompt, "normalize": False}
    loaded = load(models("bert", sentence_transformers=files), window=24)
    (pass_,) = loaded.passes
    tokens = pass_.tokenizer.tokenize(LONG[-1].text)
    windows = list(token_windows(tokens, pass_.split_tokens(tokens)))
    batch = pass_.backbone.batch(windows, 24)
    (last,) = pass_.backbone.hidden_states(batch)
    hidden = last.numpy().astype(np.float64)
    rows = [] if not include_prompt else [hidden[0, : batch.n_prefix]]
    for one, states in zip(windows, hidden, strict=True):
        shift = batch.n_prefix - one.window.start
        rows.append(states[one.window.owned_start + shift : one.window.owned_stop + shift])
    rows.append(hidden[-1, -batch.n_suffix :])
    (result,) = encode(loaded, LONG[-1:])
    assert result.embedding is not None
    assert np.abs(result.embedding - np.concatenate(rows).mean(axis=0)).max() < 1e-6


def test_documents_with_a_prompt_do_not_depend_on_each_other(models: Build) -> None:
    loaded = load(models("roberta", sentence_transformers={"prompts": E5}), window=32)
    assert all(one.batch_invariant for one in loaded.settings)
    together = encode(loaded, LONG)
    alone = [encode(loaded, [document])[0] for document in LONG]
    for one, other in zip(together, alone, strict=True):
        assert one.embedding is not None
        assert other.embedding is not None
        assert one.embedding.tobytes() == other.embedding.tobytes()


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("text", ["", " \n"])
def test_a_prompt_gives_no_token_to_an_empty_document(
    models: Build, family: str, text: str
) -> None:
    folder = models(family, sentence_transformers={"prompts": E5})
    counts = []
    for changes in ({}, {"document_prompt": ""}):
        (outcome,) = encode_documents(
            load(folder, **changes), [Document("empty", text)], passage_tokens=10
        )
        counts.append(outcome.n_tokens if isinstance(outcome, DocumentResult) else 0)
    assert (counts[0] == 0) == (counts[1] == 0)


# Passes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_heads_without_a_prompt_have_a_pass_of_their_own_and_the_same_rows(
    models: Build, family: str
) -> None:
    files = {"prompts": E5, "max_seq_length": 40}
    given = {
        "embed": str(models(family, backbone_seed=3, sentence_transformers=files)),
        "classify": (str(models(family, task="classify", seed=1, backbone_seed=3)),),
        "ner": (str(models(family, task="ner", seed=2, backbone_seed=3)),),
    }
    without = load(**given, document_prompt="")
    (shared,) = without.passes
    assert shared.heads[0].name == "embedding"
    assert len(shared.heads) == 3

    n_before = n_word_embeddings()
    prompted = load(**given)
    embedding, others = prompted.passes
    assert len(embedding.heads) == 1
    assert len(others.heads) == 2
    # One set of weights in memory, one length of windows.
    assert n_word_embeddings() == n_before + 1
    described = prompted.settings
    assert [one.window for one in described] == [40, 40]
    assert [one.prompt for one in described] == ["passage: ", ""]
    assert len({one.digest for one in described}) == 1
    for one, other in zip(encode(prompted, LONG), encode(without, LONG), strict=True):
        assert one.entities == other.entities
        assert one.classifications == other.classifications
        assert one.classifications


def test_settings_go_before_the_files(models: Build) -> None:
    folder = models("bert", sentence_transformers={"prompts": E5})
    assert load(folder).prompts == Prompts("query: ", "passage: ")
    assert load(folder, query_prompt="").prompts == Prompts("", "passage: ")
    assert load(folder, document_prompt="").prompts == Prompts("query: ", "")
    other = load(folder, query_prompt="q ", document_prompt="d ").prompts
    assert other == Prompts("q ", "d ")
    bare = load(models("bert"))
    assert bare.prompts == Prompts("", "")
    assert not isinstance(bare.passes[0].tokenizer, PromptedTokenizer)


def test_the_document_prompt_is_part_of_the_description_and_the_query_prompt_is_not(
    models: Build,
) -> None:
    folder = models("bert", sentence_transformers={"prompts": E5})
    common = load(folder).settings
    assert load(folder, query_prompt="q ").settings == common
    assert load(folder, document_prompt="d ").settings != common


# Room ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["query_prompt", "document_prompt"])
def test_a_prompt_that_leaves_no_room(models: Build, name: str) -> None:
    folder = models("bert")
    inner = FastTokenizer.from_transformers(AutoTokenizer.from_pretrained(folder), name="bert")
    n_tokens = len(inner.tokenize(BGE))
    message = (
        rf"^{name} must have fewer than {n_tokens} tokens in a window of {n_tokens + 2} with 2 "
        rf"special tokens, has {n_tokens}: shorten it, switch it off with an empty text, or enl"
    )
    with pytest.raises(ConfigError, match=message):
        load(folder, window=n_tokens + 2, **{name: BGE})
    loaded = load(folder, window=n_tokens + 3, **{name: BGE})
    (result,) = encode(loaded, LONG[1:2])
    assert result.n_windows == (result.n_tokens if name == "document_prompt" else 2)


def test_overlap_and_passage_are_checked_against_what_a_prompt_leaves(models: Build) -> None:
    folder = models("bert", sentence_transformers={"prompts": E5, "pooling": "cls"})
    n_prompt = len(load(folder).passes[0].tokenizer.prefix) - 1
    size = 32 - 2 - n_prompt
    assert load(folder, window=32, passage=size, overlap=size - 1).passes
    with pytest.raises(ConfigError, match=rf"passage must be in \[1, {size}\] "):
        load(folder, window=32, passage=size + 1)
    with pytest.raises(ConfigError, match=rf"overlap must be in \[0, {size}\) "):
        load(folder, window=32, passage=1, overlap=size)
    # Queries have no passages.
    assert len(load(folder, window=32, passage=size + 1, for_queries=True).passes) == 1


def test_prompts_without_an_embedding_model_or_of_no_text(models: Build) -> None:
    ner = (str(models("bert", task="ner")),)
    for name in ("query_prompt", "document_prompt"):
        given: dict[str, Any] = {name: "query: "}
        with pytest.raises(ConfigError, match=f"{name} is read by the embedding model, but embed"):
            ModelConfig(embed="none", ner=ner, **given)
        config = ModelConfig(embed="none", ner=ner, **{**given, name: ""})
        assert load_models(replace(config, precision="float32")).prompts is None
        given[name] = "a\udc80"
        with pytest.raises(ConfigError, match=f"{name} has a lone surrogate at character 2"):
            ModelConfig(**given)
        given[name] = 3
        with pytest.raises(ConfigError, match=f"{name} must be a string, got 3"):
            ModelConfig(**given)
