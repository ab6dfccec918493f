"""Invariant 4, segment independence: cutting a document changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.encoding import load
from support.heads import build_head
from support.texts import long_text

from longbert.config import (
    CLASSIFY_POOLINGS,
    ENTITY_STITCHINGS,
    ENTITY_STRATEGIES,
    ModelConfig,
)
from longbert.core.entity_stream import BestLabels
from longbert.core.text_stream import TextStream
from longbert.encoders.batch import TokenWindow
from longbert.encoders.heads import sequence_classification
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.loaded_models import Models as LoadedModels
from longbert.encoders.models import load_models
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.engine import document_stream, window_groups
from longbert.engine.encode import encode_documents
from longbert.engine.meter import NullMeter
from longbert.engine.segments import partials_type
from longbert.records import Document, DocumentResult
from longbert.store.packed import pack, unpack

Models = Callable[..., Path]


def bits(result: HeadResult | DocumentResult) -> tuple[Any, ...]:
    """All that heads made of a document, comparable to the bit."""
    passages: Any = ()
    if isinstance(result, HeadResult):
        if result.passage_embeddings is not None:
            passages = result.passage_embeddings.tobytes()
    else:
        passages = [
            (p.char_start, p.char_end, None if p.embedding is None else p.embedding.tobytes())
            for p in result.passages
        ]
    embedding = None if result.embedding is None else result.embedding.tobytes()
    return embedding, passages, result.entities, result.classifications, result.window_scores


# One pooling reads a single window, one is that of other heads.
POOLINGS_OF_WINDOWS = sorted({*CLASSIFY_POOLINGS} - {"head+tail", "learned"})


TEXT = long_text(120, seed=4)


def head_configurations(models: Models, folder: Path) -> Iterator[ModelConfig]:
    common: dict[str, Any] = {"window": 24, "overlap": 7, "passage": 6, "precision": "float32"}
    for pooling in ("mean", "cls", "max"):
        files = {"pooling": pooling}
        yield ModelConfig(embed=str(models("bert", sentence_transformers=files)), **common)
    classify = {"embed": "none", "classify": (str(models("bert", task="classify")),), **common}
    for pooling in POOLINGS_OF_WINDOWS:
        yield ModelConfig(classify_pooling=pooling, window_scores=True, **classify)
    ner = {"embed": "none", "ner": (str(models("bert", task="ner")),), **common}
    for strategy in ENTITY_STRATEGIES:
        yield ModelConfig(entity_strategy=strategy, **ner)
    for stitching in ENTITY_STITCHINGS:
        yield ModelConfig(entity_stitching=stitching, entity_decoding="viterbi", **ner)
    learned = {
        task: (str(build_head(folder / task, models("bert"), task)),)
        for task in ("classify", "ner")
    }
    yield ModelConfig(embed="none", window_scores=True, **learned, **common)


@pytest.fixture(scope="module")
def heads_with_partials(
    models: Models, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Any, Any, list[Any], list[Any]]]:
    """Every head with the tokens of a document, its windows and their partials."""
    found = []
    for config in head_configurations(models, tmp_path_factory.mktemp("heads")):
        for pass_ in load_models(config).passes:
            tokens = pass_.tokenizer.tokenize(TEXT)
            windows = pass_.split(TEXT, tokens)
            assert len(windows) > 8
            by_head = pass_.run(windows, 24)
            for head, partials in zip(pass_.heads, by_head, strict=True):
                found.append((head, tokens, windows, list(partials)))
    n_entity_heads = len(ENTITY_STRATEGIES) + len(ENTITY_STITCHINGS)
    assert len(found) == 3 + 2 + len(POOLINGS_OF_WINDOWS) + n_entity_heads + 2
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_invariant_4_segments_of_windows_merge_to_the_whole(
    heads_with_partials: list[tuple[Any, Any, list[Any], list[Any]]], data: st.DataObject
) -> None:
    for head, tokens, _, partials in heads_with_partials:
        whole = bits(head.finish(TEXT, tokens, head.merge(partials)))
        assert any(whole)
        cuts = data.draw(st.sets(st.integers(1, len(partials) - 1), max_size=5))
        borders = [0, *sorted(cuts), len(partials)]
        segments = [head.merge(partials[start:stop]) for start, stop in pairwise(borders)]
        assert bits(head.finish(TEXT, tokens, head.merge(segments))) == whole
        left = segments[0]
        for segment in segments[1:]:
            left = head.merge([left, segment])
        assert bits(head.finish(TEXT, tokens, left)) == whole


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_invariant_4_windows_a_few_at_a_time_give_what_all_do(
    heads_with_partials: list[tuple[Any, Any, list[Any], list[Any]]], data: st.DataObject
) -> None:
    """Tokens run ahead of their windows, and the text is forgotten where that is allowed."""
    cuts = data.draw(st.lists(st.integers(0, 30), max_size=6))
    ahead = data.draw(st.integers(0, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BestLabels, "most_held", 10)
        patch.setattr(sequence_classification, "BLOCK_WINDOWS", 3)
        for head, tokens, windows, partials in heads_with_partials:
            whole = bits(head.finish(TEXT, tokens, head.merge(partials)))
            stream, text = head.stream(), TextStream()
            result = HeadResult()
            n_tokens = 0
            borders = [0, *sorted(min(cut, len(partials)) for cut in cuts), len(partials)]
            for start, stop in pairwise(borders):
                seen = max([one.window.stop for one in windows[:stop]], default=0) + ahead
                piece = slice(n_tokens, max(n_tokens, min(seen, len(tokens))))
                reached = max(tokens.offsets[piece, 1], default=0)
                text.add(TEXT[len(text) : max(len(text), reached)])
                result += stream.add(text, _tokens(tokens, piece), partials[start:stop])
                n_tokens = piece.stop
                first = stream.first_char
                text.release(len(text) if first is None else first)
            text.add(TEXT[len(text) :])
            assert bits(result + stream.finish(text)) == whole


def document_configurations(models: Models, folder: Path) -> Iterator[ModelConfig]:
    """Documents in several passes, and every kind of head beside others."""
    yield from head_configurations(models, folder)
    embed = {"embed": str(models("bert", sentence_transformers={"pooling": "cls"}))}
    heads = {
        "classify": (str(models("bert", task="classify")),),
        "ner": tuple(str(models("bert", task="ner", seed=seed)) for seed in (1, 2)),
    }
    common: dict[str, Any] = {"window": 24, "overlap": 7, "passage": 6, "precision": "float32"}
    yield ModelConfig(**embed, **heads, **common, document_prompt="passage:")
    yield ModelConfig(**embed, **heads, **common, classify_pooling="head+tail")
    yield ModelConfig(embed="none", classify=heads["classify"], classify_pooling="head+tail")


def test_invariant_4_a_stream_of_pieces_has_the_rows_of_the_whole(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(7)
    text = "\n".join([TEXT, "", *TEXT.split(". "), "  \n\t"])
    document = Document("a", text)
    monkeypatch.setattr(FastTokenizer, "piece_chars", 40)
    monkeypatch.setattr(BestLabels, "most_held", 30)
    monkeypatch.setattr(window_groups, "TOKENS_AT_ONCE", 70)
    n_configurations = 0
    for config in document_configurations(models, tmp_path):
        loaded = load_models(config)
        (whole,) = encode_documents(loaded, [document], passage_tokens=config.passage)
        assert isinstance(whole, DocumentResult)
        assert whole.n_windows > 10 or not loaded.passes[0].reads_all
        for most_chars, is_shared in ((7, False), (300, True), (10_000, False)):
            sizes = generator.integers(0, most_chars, len(text))
            borders = np.minimum(np.append(0, np.cumsum(sizes)), len(text)).tolist()
            pieces = [text[start:stop] for start, stop in pairwise(borders)]
            *rows, last = document_stream.stream_document(
                loaded,
                replace(document, text=""),
                pieces,
                passage_tokens=config.passage,
                meter=NullMeter(),
                encode=encoded_apart(loaded, pieces) if is_shared else None,
            )
            found = replace(
                last,
                document=document,
                **{
                    name: tuple(row for one in rows for row in getattr(one, name))
                    for name in ("passages", "entities", "window_scores")
                },
            )
            assert bits(found) == bits(whole)
            assert [p.text for p in found.passages] == [p.text for p in whole.passages]
            for name in DOCUMENT_COUNTS:
                assert getattr(found, name) == getattr(whole, name), name
        n_configurations += 1
    assert n_configurations > 15


def encoded_apart(loaded: LoadedModels, pieces: Sequence[str]) -> window_groups.EncodeGroup:
    """What heads make of windows, by way of files, the last groups first."""
    groups = list(window_groups.window_groups(loaded, pieces, NullMeter()))
    assert len(groups) > 2 or not loaded.passes[0].reads_all
    found = []
    for group in reversed(groups):
        windows = unpack(bytes(pack(group.windows)), list[TokenWindow])
        partials = document_stream.encode_group(
            loaded, replace(group, windows=windows), meter=NullMeter()
        )
        found.append(unpack(bytes(pack(partials)), partials_type(loaded, group.pass_number)))
    return lambda _: found.pop()


DOCUMENT_COUNTS = (
    *("content_sha256", "n_chars", "n_tokens", "n_windows", "n_chars_covered"),
    "n_chars_unknown",
)


def _tokens(tokens: TokenizedText, piece: slice) -> TokenizedText:
    return TokenizedText(
        tokens.ids[piece],
        tokens.offsets[piece],
        tokens.starts_word[piece],
        tokens.is_unknown[piece],
    )


@lru_cache
def _lines() -> str:
    return "\r\n".join(long_text(300, seed=6).split(". "))


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_invariant_4_segments_of_text_are_tokenized_as_the_whole(
    models: Models, family: str
) -> None:
    encoder = load(
        embed=models(family, backbone_seed=1),
        ner=models(family, task="ner", backbone_seed=1),
        window=32,
        passage=9,
    )
    whole = bits(encoder(_lines()))
    (tokenizer,) = {pass_.tokenizer for pass_ in encoder.models.passes}
    tokenizer.piece_chars = 50  # type: ignore[attr-defined]
    tokenizer.pieces_at_once = 2  # type: ignore[attr-defined]
    assert bits(encoder(_lines())) == whole
