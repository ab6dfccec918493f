"""The invariants that hold for one document, whatever the run: see the page on the design."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from support.heads import build_head
from support.hf_entities import entity_pipeline, promised
from support.models import NER_LABELS
from support.texts import HOSTILE_TEXTS, long_text
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

import longbert
import longbert.encoders.tokenizers.fast as tokenizer_module
from longbert.config import (
    CLASSIFY_POOLINGS,
    ENTITY_STITCHINGS,
    ENTITY_STRATEGIES,
    ModelConfig,
)
from longbert.core.batching import padded_length
from longbert.core.stitching import ScoredRun
from longbert.core.windows import plan_windows
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.heads.token_classification import EntityPartial
from longbert.encoders.models import load_models
from longbert.encoders.passes import Pass
from longbert.encoders.runtime.backbone import TokenWindow, WindowBatch, token_windows
from longbert.engine.encode import encode_documents
from longbert.engine.encoder import Encoder
from longbert.records import Document, DocumentResult

Models = Callable[..., Path]

# Each with another tokenizer, attention, pooler or kind of head.
ARCHITECTURES = ("bert", "roberta", "albert", "distilbert", "electra", "mpnet", "modernbert")
# Its own limit of 8,192 positions takes seconds to try out.
OPTIONS = {"modernbert": {"max_position_embeddings": 512}}
PREFIX_FREE = ("O", "PER", "LOC", "ORG", "DATE")


def load(**settings: Any) -> Encoder:
    """In float32, as the reference libraries compute."""
    paths = {
        key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
    }
    return longbert.load(**{"embed": "none", "precision": "float32", **paths})


def one_line(n_words: int, seed: int) -> str:
    return " ".join(long_text(n_words, seed=seed).split())


def text_of(folder: Path, n_tokens: int) -> str:
    """A text of exactly so many content tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = long_text(n_tokens).split()
    while len(tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]) > n_tokens:
        words.pop()
    while len(tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]) < n_tokens:
        words.append(".")
    return " ".join(words)


# 1. Coverage ------------------------------------------------------------------------------------


def slow_owners(starts: Sequence[int], size: int, n_tokens: int) -> np.ndarray:
    """The window of each token with the most context on its poorer side, the first of several."""
    owner = np.full(n_tokens, -1)
    most = np.full(n_tokens, -1)
    left = np.arange(size)
    context = np.minimum(left, size - 1 - left)
    for window, start in enumerate(starts):
        held = slice(start, start + size)
        is_better = context > most[held]
        owner[held][is_better] = window
        most[held][is_better] = context[is_better]
    return owner


def check_plan(n_tokens: int, size: int, overlap: int) -> None:
    windows = plan_windows(n_tokens, size=size, overlap=overlap)

    if n_tokens <= size:
        assert len(windows) == (n_tokens > 0)
        assert all((w.start, w.stop) == (0, n_tokens) for w in windows)
    else:
        assert all(window.n_tokens == size for window in windows)
        steps = [following.start - window.start for window, following in pairwise(windows)]
        assert set(steps[:-1]) <= {size - overlap}
        assert 1 <= steps[-1] <= size - overlap
        owners = slow_owners([window.start for window in windows], size, n_tokens)
        for number, window in enumerate(windows):
            assert window.n_owned > 0
            owned = np.flatnonzero(owners == number)
            assert owned.tolist() == list(range(window.owned_start, window.owned_stop))
    if windows:
        assert windows[0].start == 0
        assert windows[-1].stop == n_tokens
    owned = [(window.owned_start, window.owned_stop) for window in windows]
    assert [0, *(stop for _, stop in owned)] == [*(start for start, _ in owned), n_tokens]


@given(st.data())
def test_invariant_1_coverage_of_tokens_by_their_owners(data: st.DataObject) -> None:
    size = data.draw(st.integers(3, 512) | st.integers(3, 16), "size")
    overlap = data.draw(st.integers(0, size - 1), "overlap")
    n_tokens = data.draw(st.integers(0, 5_000) | st.integers(0, 3 * size), "n_tokens")
    check_plan(n_tokens, size, overlap)


def test_invariant_1_coverage_by_every_small_window() -> None:
    for size in range(1, 10):
        for overlap in range(size):
            for n_tokens in range(3 * size + 3):
                check_plan(n_tokens, size, overlap)


def hostile_documents(n_chars: int) -> list[Document]:
    documents = [Document(hostile.name, hostile.text[:n_chars]) for hostile in HOSTILE_TEXTS]
    return [*documents, Document("long", long_text(200))]


def encode(encoder: Encoder, documents: Sequence[Document], passage: int) -> list[DocumentResult]:
    """Results in common batches; the one document without a token is left out."""
    results = []
    for result in encode_documents(encoder.models, documents, passage_tokens=passage):
        if isinstance(result, longbert.DocumentError):
            assert result.error == "no_tokens"
        else:
            results.append(result)
    names = {document.document_id for document in documents}
    assert names - {result.document.document_id for result in results} <= {"only_zero_width"}
    return results


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "modernbert", "albert"])
def test_invariant_1_coverage_of_characters(models: Models, family: str) -> None:
    encoder = load(embed=models(family), window=19, overlap=3, passage=7)
    for result in encode(encoder, hostile_documents(500), 7):
        text = result.document.text
        assert result.n_chars_covered == len(text), result.document.document_id
        spans = [(passage.char_start, passage.char_end) for passage in result.passages]
        assert spans[0][0] == 0
        assert spans[-1][1] == len(text)
        assert all(left[1] == right[0] for left, right in pairwise(spans))
        assert "".join(passage.text for passage in result.passages) == text
        assert all(start < stop for start, stop in spans)
        # Elsewhere a letter may have several tokens, and all of them are in one passage.
        if family == "bert":
            assert len(result.passages) == -(-result.n_tokens // 7)
        (pass_,) = encoder.models.passes
        offsets = pass_.tokenizer.tokenize(text).offsets
        for border, _ in spans[1:]:
            assert not ((offsets[:, 0] < border) & (offsets[:, 1] > border)).any()
        assert result.n_windows == len(plan_windows(result.n_tokens, size=17, overlap=3))
        assert result.n_chars_unknown <= len(text)


def test_invariant_1_coverage_where_windows_do_not_overlap(models: Models) -> None:
    for family in ("albert", "modernbert"):
        encoder = load(embed=models(family), window=3, overlap=0)
        for result in encode(encoder, hostile_documents(100), 64):
            assert result.n_windows == result.n_tokens
            assert result.n_chars_covered == len(result.document.text)


def test_invariant_1_coverage_of_lone_surrogates(models: Models) -> None:
    text = "caf\ud83d e\udc00\ud800 end \udfff"
    result = load(embed=models("bert"))(text)
    assert result.document.text == "caf\ufffd e\ufffd\ufffd end \ufffd"
    assert result.document.n_chars_replaced == 4
    assert result.n_chars_covered == len(text)


def test_invariant_1_coverage_of_a_word_of_100_000_characters(models: Models) -> None:
    text = "x" * 100_000
    result = load(embed=models("bert"), window=64)(text)
    assert (result.n_tokens, result.n_windows) == (1, 1)
    assert result.n_chars_covered == result.n_chars_unknown == len(text)

    result = load(embed=models("roberta"), window=512, batch_tokens=8_192)(text[:5_000])
    assert result.n_windows > 1
    assert result.n_chars_covered == 5_000
    assert result.n_chars_unknown == 0


# 2. Equality ------------------------------------------------------------------------------------


def one_window_batch(pass_: Pass, texts: Sequence[str]) -> WindowBatch:
    """Texts of one window each, padded to the length of the longest."""
    windows: list[TokenWindow] = []
    for text in texts:
        tokens = pass_.tokenizer.tokenize(text)
        windows += token_windows(tokens, pass_.plan(tokens))
    assert len(windows) == len(texts)
    longest = max(len(window.ids) for window in windows)
    n_special = len(pass_.tokenizer.prefix) + len(pass_.tokenizer.suffix)
    padded = padded_length(longest + n_special, limit=pass_.limit)
    return pass_.backbone.batch(windows, padded)


TEXTS = (one_line(40, 1), one_line(3, 2), "Maria", one_line(25, 3))


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_invariant_2_equality_of_hidden_states_and_logits(models: Models, family: str) -> None:
    tasks = {
        "base": (AutoModel, "last_hidden_state"),
        "classify": (AutoModelForSequenceClassification, "logits"),
        "ner": (AutoModelForTokenClassification, "logits"),
    }
    options = {"base": "embed", "classify": "classify", "ner": "ner"}
    folders = {
        task: models(family, task=task, seed=seed, backbone_seed=9, **OPTIONS.get(family, {}))
        for seed, task in enumerate(tasks)
    }
    encoder = load(**{options[task]: str(folder) for task, folder in folders.items()})
    (pass_,) = encoder.models.passes
    batch = one_window_batch(pass_, TEXTS)
    (hidden,) = pass_.backbone.hidden_states(batch)

    expected = AutoTokenizer.from_pretrained(folders["base"])(
        list(TEXTS), padding=True, pad_to_multiple_of=8, return_tensors="pt"
    )
    assert torch.equal(batch.input_ids, expected["input_ids"])
    assert torch.equal(batch.attention_mask, expected["attention_mask"])
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    _, classify, ner = pass_.heads
    found = {
        "base": hidden,
        "classify": classify.classifier._model.logits(hidden, batch),  # type: ignore[attr-defined]
        "ner": ner.tagger._model.logits(hidden, batch),  # type: ignore[attr-defined]
    }
    for task, (cls, output) in tasks.items():
        model = cls.from_pretrained(folders[task]).eval()
        with torch.no_grad():
            if task == "base":
                reference = model(**inputs)[output]
            else:
                # Each document as if it were the only one: heads may depend on the rows.
                rows = [
                    {name: v[i : i + 1] for name, v in inputs.items()} for i in range(len(TEXTS))
                ]
                reference = torch.cat([model(**row)[output] for row in rows])
        assert found[task].dtype == torch.float32
        assert torch.equal(found[task], reference), task


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_invariant_2_equality_of_embeddings(
    models: Models, family: str, pooling: str, normalize: bool
) -> None:
    files = {"pooling": pooling, "normalize": normalize, "max_seq_length": 48}
    folder = models(family, sentence_transformers=files)
    texts = [*TEXTS[1:3], "a", "It isn't.", text_of(folder, 45), text_of(folder, 46)]

    found = load(embed=folder, passage=10).encode(texts)

    assert [result.n_windows for result in found] == [1] * len(texts)
    assert found[-1].n_tokens == 46
    reference = SentenceTransformer(str(folder), device="cpu").encode(texts, batch_size=1)
    for result, expected in zip(found, reference, strict=True):
        assert result.embedding is not None
        assert np.abs(result.embedding - expected).max() < 1e-6 * max(1, np.abs(expected).max())


def test_invariant_2_equality_of_the_packaged_model(minilm: Path) -> None:
    texts = ["budget", "The tenant paid the invoice.", text_of(minilm, 100), text_of(minilm, 254)]

    found = load(embed="minilm").encode(texts)

    assert [result.n_windows for result in found] == [1] * 4
    assert found[-1].n_tokens == 254
    reference = SentenceTransformer(str(minilm), device="cpu").encode(texts, batch_size=1)
    for result, expected in zip(found, reference, strict=True):
        assert result.embedding is not None
        assert np.abs(result.embedding - expected).max() < 1e-6


@pytest.mark.parametrize(
    "family",
    [*("bert", "bert-cased", "roberta", "xlm-roberta", "modernbert", "albert", "deberta-v3")],
)
@pytest.mark.parametrize("labels", [NER_LABELS, PREFIX_FREE], ids=["BIO", "prefix-free"])
def test_invariant_2_equality_of_entities(
    models: Models, family: str, labels: tuple[str, ...]
) -> None:
    folder = models(family, task="ner", labels=labels, **OPTIONS.get(family, {}))
    texts = [one_line(n_words, seed) for seed, n_words in enumerate((1, 2, 5, 20, 60, 120))]
    reference = entity_pipeline(folder, words_apart=True)
    n_entities = 0
    for strategy in ENTITY_STRATEGIES:
        results = load(ner=folder, entity_strategy=strategy, batch_tokens=512).encode(texts)
        for text, result in zip(texts, results, strict=True):
            assert result.n_windows == 1
            expected = list(promised(text, reference(text, aggregation_strategy=strategy)))
            assert [(e.label, e.char_start, e.char_end) for e in result.entities] == [
                (label, start, end) for label, start, end, _ in expected
            ]
            assert [entity.score for entity in result.entities] == pytest.approx(
                [score for *_, score in expected], abs=1e-5
            )
            n_entities += len(expected)
    assert n_entities > 20


@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        (("neg", "neutral", "pos"), None),
        (("neg", "neutral", "pos"), "single_label_classification"),
        (("law", "money", "people"), "multi_label_classification"),
        (("score",), "regression"),
        (("width", "height"), "regression"),
        (("spam",), None),
    ],
)
@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_invariant_2_equality_of_classes(
    models: Models, labels: tuple[str, ...], problem_type: str | None, pooling: str
) -> None:
    folder = models("bert", task="classify", labels=labels, problem_type=problem_type)
    encoder = load(classify=folder, classify_pooling=pooling)
    reference = pipeline("text-classification", model=str(folder), device="cpu")
    for text in (*TEXTS, text_of(folder, 500)):
        result = encoder(text)
        assert result.n_windows == 1
        expected = {row["label"]: row["score"] for row in reference(text, top_k=None)}
        found = {row.label: row.score for row in result.classifications}
        assert list(found) == list(labels)
        assert found == pytest.approx(expected, abs=1e-5)
        predicted = [row.label for row in result.classifications if row.predicted]
        if problem_type == "regression":
            assert predicted == list(labels)
        elif problem_type == "multi_label_classification" or len(labels) == 1:
            assert predicted == [label for label in labels if expected[label] >= 0.5]
        else:
            assert predicted == [max(expected, key=lambda label: expected[label])]


# 3. Offsets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "modernbert", "deberta-v3"])
def test_invariant_3_offsets_of_entities_and_passages(models: Models, family: str) -> None:
    folder = models(family, task="ner", labels=PREFIX_FREE)
    encoder = load(ner=folder, window=21, overlap=8, passage=5)
    n_entities = 0
    for result in encode(encoder, hostile_documents(500), 5):
        text = result.document.text
        last_start = 0
        for entity in result.entities:
            assert last_start <= entity.char_start <= entity.char_end <= len(text)
            assert entity.text == text[entity.char_start : entity.char_end]
            last_start = entity.char_start
        for passage in result.passages:
            assert passage.text == text[passage.char_start : passage.char_end]
        n_entities += len(result.entities)
    assert n_entities > 100


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert"])
def test_invariant_3_offsets_of_known_names(models: Models, family: str) -> None:
    labels = ("O", "NAME")
    encoder = load(ner=models(family, task="ner", labels=labels), window=64)
    (pass_,) = encoder.models.passes
    (head,) = pass_.heads
    names = ["Jose\u0301", "Zu\u0308rich", "Åsa", "\u1109\u1165\u110b\u116e\u11af", "北"]
    for before in ("", "\x01\x7f ", "\ufeff ", "a\x00 ", "\u0301 ", "👩\u200d🚀 ", "\r\n"):
        text = before + " ".join(names)
        tokens = pass_.tokenizer.tokenize(text)
        found = set()
        # Every second word is a name, then all the others.
        for remainder in (0, 1):
            is_name = tokens.starts_word.cumsum() % 2 == remainder
            scores = np.stack([~is_name, is_name], axis=1).astype(np.float32)
            partial = EntityPartial((ScoredRun(0, scores),))
            entities = head.finish(text, tokens, partial).entities
            found |= {entity.text.strip() for entity in entities}
        assert found >= set(names), ascii(before)


# 4. Segment independence ------------------------------------------------------------------------


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


SEGMENTED = long_text(120, seed=4)


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
) -> list[tuple[Any, Any, list[Any]]]:
    """Every head with the tokens of a document and the partials of its windows."""
    found = []
    for config in head_configurations(models, tmp_path_factory.mktemp("heads")):
        for pass_ in load_models(config).passes:
            tokens = pass_.tokenizer.tokenize(SEGMENTED)
            windows = pass_.split(SEGMENTED, tokens)
            assert len(windows) > 8
            by_head = pass_.run(windows, 24)
            for head, partials in zip(pass_.heads, by_head, strict=True):
                found.append((head, tokens, partials))
    n_entity_heads = len(ENTITY_STRATEGIES) + len(ENTITY_STITCHINGS)
    assert len(found) == 3 + 2 + len(POOLINGS_OF_WINDOWS) + n_entity_heads + 2
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_invariant_4_segments_of_windows_merge_to_the_whole(
    heads_with_partials: list[tuple[Any, Any, list[Any]]], data: st.DataObject
) -> None:
    for head, tokens, partials in heads_with_partials:
        whole = bits(head.finish(SEGMENTED, tokens, head.merge(partials)))
        assert any(whole)
        cuts = data.draw(st.sets(st.integers(1, len(partials) - 1), max_size=5))
        borders = [0, *sorted(cuts), len(partials)]
        segments = [head.merge(partials[start:stop]) for start, stop in pairwise(borders)]
        assert bits(head.finish(SEGMENTED, tokens, head.merge(segments))) == whole
        left = segments[0]
        for segment in segments[1:]:
            left = head.merge([left, segment])
        assert bits(head.finish(SEGMENTED, tokens, left)) == whole


@lru_cache
def _lines() -> str:
    return "\r\n".join(long_text(300, seed=6).split(". "))


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_invariant_4_segments_of_text_are_tokenized_as_the_whole(
    models: Models, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(
        embed=models(family, backbone_seed=1),
        ner=models(family, task="ner", backbone_seed=1),
        window=32,
        passage=9,
    )
    whole = bits(encoder(_lines()))
    monkeypatch.setattr(tokenizer_module, "_PIECE_CHARS", 50)
    monkeypatch.setattr(tokenizer_module, "_PIECES_AT_ONCE", 2)
    assert bits(encoder(_lines())) == whole
