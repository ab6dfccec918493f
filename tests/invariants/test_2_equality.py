"""Invariant 2, equality: what fits one window gives what the plain model gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from support.encoding import load, one_line, text_of, token_windows
from support.hf_entities import entity_pipeline, promised
from support.models import NER_LABELS
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from longbert.config import (
    ENTITY_STRATEGIES,
)
from longbert.core.batching import padded_length
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.passes import Pass

Models = Callable[..., Path]

# Each with another tokenizer, attention, pooler or kind of head.
ARCHITECTURES = ("bert", "roberta", "albert", "distilbert", "electra", "mpnet", "modernbert")
# Its own limit of 8,192 positions takes seconds to try out.
OPTIONS = {"modernbert": {"max_position_embeddings": 512}}
PREFIX_FREE = ("O", "PER", "LOC", "ORG", "DATE")


def one_window_batch(pass_: Pass, texts: Sequence[str]) -> WindowBatch:
    """Texts of one window each, padded to the length of the longest."""
    windows: list[TokenWindow] = []
    for text in texts:
        tokens = pass_.tokenizer.tokenize(text)
        windows += token_windows(tokens, pass_.split_tokens(tokens))
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
    inputs = {name: expected[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(torch.from_numpy(batch.input_ids), inputs["input_ids"])
    assert torch.equal(torch.from_numpy(batch.attention_mask), inputs["attention_mask"])
    _, classify, ner = pass_.heads
    device = pass_.backbone.device
    of_classify, of_ner = (
        device.download(one.reduce((hidden,), batch, device)) for one in (classify, ner)
    )
    found = {
        "base": list(hidden),
        "classify": [
            torch.from_numpy(one["logits"][0])
            for one in classify.classifier.window_features(of_classify, batch)
        ],
        "ner": [torch.from_numpy(one) for one in ner.tagger.content_logits(of_ner, batch)],
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
        for row, (own, start) in enumerate(zip(found[task], batch.content_starts, strict=True)):
            wanted = reference[row]
            if task == "ner":
                wanted = wanted[start : start + batch.windows[row].window.n_tokens]
            assert own.dtype == torch.float32
            assert torch.equal(own, wanted), task


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
