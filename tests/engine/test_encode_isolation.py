"""Invariant 7 within a unit: what goes wrong with a document costs that document alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.texts import long_text
from torch import Tensor

from longbert.config import (
    CLASSIFY_POOLINGS,
    ENTITY_DECODINGS,
    ENTITY_STITCHINGS,
    ModelConfig,
)
from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.heads.token_classification import EntityHead
from longbert.encoders.loaded_models import Models
from longbert.encoders.models import load_models
from longbert.encoders.passes import Pass
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.engine.encode import encode_documents
from longbert.errors import DocumentError
from longbert.records import Document, DocumentResult

Build = Callable[..., Path]

BAD = "[MASK]"
"""A document that holds it is the one that goes wrong."""

DOCUMENTS = [
    *(Document(f"d{n}", long_text(n, seed=n)) for n in (5, 40, 41, 120)),
    Document("bad", f"{long_text(60, seed=8)} {BAD} {long_text(30, seed=9)}"),
    *(Document(f"e{n}", long_text(n, seed=n)) for n in (6, 42, 80)),
]


@pytest.fixture(scope="module")
def loaded(models: Build) -> Models:
    return load_models(
        ModelConfig(
            embed=str(models("bert", backbone_seed=4)),
            classify=(str(models("bert", task="classify", backbone_seed=4)),),
            ner=(str(models("bert", task="ner", backbone_seed=6)),),
            window=32,
            passage=10,
            precision="float32",
        )
    )


def encode(models: Models) -> dict[str, Any]:
    """Results, comparable to the bit, or errors, by document."""
    found: dict[str, Any] = {}
    results = encode_documents(models, DOCUMENTS, passage_tokens=10)
    for document, result in zip(DOCUMENTS, results, strict=True):
        if isinstance(result, DocumentResult):
            assert result.document is document
            assert result.embedding is not None
            vectors = [p.embedding.tobytes() for p in result.passages if p.embedding is not None]
            plain = replace(result, embedding=None, passages=())
            found[document.document_id] = plain, result.embedding.tobytes(), vectors
        else:
            found[document.document_id] = result
    return found


def check(found: dict[str, Any], expected: dict[str, Any]) -> DocumentError:
    """All but the bad document are as they would be; return its error."""
    error = found["bad"]
    assert isinstance(error, DocumentError)
    assert {**found, "bad": None} == {**expected, "bad": None}
    assert "[MASK]" not in error.message
    return error


@pytest.fixture(scope="module")
def undisturbed(loaded: Models) -> dict[str, Any]:
    results = encode(loaded)
    assert not any(isinstance(result, DocumentError) for result in results.values())
    return results


def mask_id(models: Models) -> int:
    (id_,) = models.passes[0].tokenizer.tokenize(BAD).ids.tolist()
    return int(id_)


@pytest.mark.parametrize("number", [0, 1])
def test_a_pass_that_fails_for_one_document(
    loaded: Models, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    bad_id, run = mask_id(loaded), Pass.run
    largest = 0

    def fails(self: Pass, windows: Sequence[TokenWindow], padded: int) -> Any:
        nonlocal largest
        if self is loaded.passes[number] and any(bad_id in window.ids for window in windows):
            largest = max(largest, len(windows))
            raise torch.OutOfMemoryError("no room")
        return run(self, windows, padded)

    monkeypatch.setattr(Pass, "run", fails)
    error = check(encode(loaded), undisturbed)
    assert (error.stage, error.error) == ("encode", "OutOfMemoryError")
    assert largest > 4


def test_batches_too_large_for_the_memory_are_halved(
    loaded: Models, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Pass.run

    def fails(self: Pass, windows: Sequence[TokenWindow], padded: int) -> Any:
        if len(windows) > 2:
            raise torch.OutOfMemoryError("no room")
        return run(self, windows, padded)

    monkeypatch.setattr(Pass, "run", fails)
    assert encode(loaded) == undisturbed


def spoil(models: Models, value: float) -> Callable[..., tuple[Tensor, ...]]:
    """Hidden states of which one position is not finite, in windows of the bad document."""
    bad_id, hidden_states = mask_id(models), Backbone.hidden_states

    def spoilt(self: Backbone, batch: WindowBatch, **options: Any) -> tuple[Tensor, ...]:
        states = tuple(one.clone() for one in hidden_states(self, batch, **options))
        for one in states:
            one[torch.from_numpy(batch.input_ids == bad_id)] = value
        return states

    return spoilt


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(
    loaded: Models, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(Backbone, "hidden_states", spoil(loaded, value))
    error = check(encode(loaded), undisturbed)
    assert (error.stage, error.error) == ("encode", "not_finite")
    # No precision is wider than the one in use.
    assert error.message.startswith("the model gave NaN or infinity for this document in float32: ")
    assert "try --precision" not in error.message


@pytest.mark.parametrize(
    ("precision", "advice"),
    [
        ("float16", "try --precision bfloat16 or float32"),
        ("bfloat16", "try --precision float32"),
        ("float32", "check the model's weights, or leave the document out"),
    ],
)
def test_advice_fits_the_precision(
    models: Build, monkeypatch: pytest.MonkeyPatch, precision: str, advice: str
) -> None:
    config = ModelConfig(embed=str(models("bert")), window=32, passage=30, precision=precision)
    found = load_models(config)
    monkeypatch.setattr(Backbone, "hidden_states", spoil(found, float("inf")))
    (error,) = (
        one
        for one in encode_documents(found, DOCUMENTS, passage_tokens=30)
        if isinstance(one, DocumentError)
    )
    assert f"in {precision}: " in error.message
    assert advice in error.message


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_no_embedding_hides_nan(
    models: Build, monkeypatch: pytest.MonkeyPatch, pooling: str
) -> None:
    folder = str(models("bert", sentence_transformers={"pooling": pooling}))
    refuses_nan(ModelConfig(embed=folder, window=32, passage=30), monkeypatch)


# The two ends do not hold the bad token, and checkpoints have learned no pooling.
@pytest.mark.parametrize("pooling", sorted({*CLASSIFY_POOLINGS} - {"head+tail", "learned"}))
def test_no_classification_hides_nan(
    models: Build, monkeypatch: pytest.MonkeyPatch, pooling: str
) -> None:
    folder = str(models("bert", task="classify"))
    config = ModelConfig(embed="none", classify=(folder,), classify_pooling=pooling, window=32)
    refuses_nan(config, monkeypatch)


@pytest.mark.parametrize("stitching", ENTITY_STITCHINGS)
@pytest.mark.parametrize("decoding", ENTITY_DECODINGS)
def test_no_decoding_hides_nan(
    models: Build, monkeypatch: pytest.MonkeyPatch, stitching: str, decoding: str
) -> None:
    folder = str(models("bert", task="ner"))
    options = {"entity_stitching": stitching, "entity_decoding": decoding}
    refuses_nan(ModelConfig(embed="none", ner=(folder,), window=32, **options), monkeypatch)


def refuses_nan(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_models(config)
    bad_id, hidden_states = mask_id(loaded), Backbone.hidden_states

    def spoilt(self: Backbone, batch: WindowBatch, **options: Any) -> tuple[Tensor, ...]:
        states = tuple(one.clone() for one in hidden_states(self, batch, **options))
        for one in states:
            one[torch.from_numpy((batch.input_ids == bad_id).any(axis=1))] = float("nan")
        return states

    monkeypatch.setattr(Backbone, "hidden_states", spoilt)
    results = list(encode_documents(loaded, DOCUMENTS, passage_tokens=30))
    for document, result in zip(DOCUMENTS, results, strict=True):
        assert isinstance(result, DocumentError) == (document.document_id == "bad")
        if isinstance(result, DocumentError):
            assert result.error == "not_finite"


def test_a_tokenizer_that_raises(
    loaded: Models, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenize = FastTokenizer.tokenize

    def raises(self: FastTokenizer, text: str) -> TokenizedText:
        if BAD in text:
            raise RuntimeError(f"cannot read {text}")
        return tokenize(self, text)

    monkeypatch.setattr(FastTokenizer, "tokenize", raises)
    error = check(encode(loaded), undisturbed)
    assert (error.stage, error.error) == ("tokenize", "RuntimeError")


def test_a_head_that_raises(
    loaded: Models, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = EntityHead.finish

    def raises(self: EntityHead, text: str, tokens: TokenizedText, partial: Any) -> Any:
        if BAD in text:
            raise KeyError(text)
        return finish(self, text, tokens, partial)

    monkeypatch.setattr(EntityHead, "finish", raises)
    error = check(encode(loaded), undisturbed)
    assert (error.stage, error.error) == ("encode", "KeyError")


def test_tokens_that_leave_visible_characters_out(
    loaded: Models, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenize = FastTokenizer.tokenize

    def loses(self: FastTokenizer, text: str) -> TokenizedText:
        tokens = tokenize(self, text)
        if BAD not in text:
            return tokens
        return TokenizedText(
            ids=tokens.ids[:-3],
            offsets=tokens.offsets[:-3],
            starts_word=tokens.starts_word[:-3],
            is_unknown=tokens.is_unknown[:-3],
        )

    monkeypatch.setattr(FastTokenizer, "tokenize", loses)
    error = check(encode(loaded), undisturbed)
    assert (error.stage, error.error) == ("tokenize", "not_covered")


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200d", "\x00"])
def test_texts_without_a_token(loaded: Models, text: str) -> None:
    documents = [DOCUMENTS[0], Document("odd", text), DOCUMENTS[1]]
    first, odd, last = encode_documents(loaded, documents, passage_tokens=10)
    assert isinstance(first, DocumentResult)
    assert isinstance(last, DocumentResult)
    assert isinstance(odd, DocumentError)
    assert (odd.stage, odd.error) == ("tokenize", "no_tokens")


class TestSeveralBatchesAtOnce:
    @pytest.fixture(autouse=True)
    def threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    def test_rows_are_those_of_one_batch_at_a_time(self, loaded: Models) -> None:
        torch.set_num_threads(1)
        expected = encode(loaded)
        torch.set_num_threads(3)
        assert {pass_.backbone.n_batches_at_once for pass_ in loaded.passes} == {3}
        assert encode(loaded) == expected

    def test_a_document_that_fails_fails_alone(
        self, loaded: Models, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch.set_num_threads(1)
        expected = encode(loaded)
        torch.set_num_threads(3)
        whole_run = Pass.run

        def run(pass_: Pass, windows: Sequence[TokenWindow], padded: int) -> list[list[Any]]:
            bad_id = pass_.tokenizer.tokenize(BAD).ids[0]
            if any(bad_id in window.ids for window in windows):
                raise MemoryError
            return whole_run(pass_, windows, padded)

        monkeypatch.setattr(Pass, "run", run)
        found = encode(loaded)
        assert check(found, expected).error == "MemoryError"
