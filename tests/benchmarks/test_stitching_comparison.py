"""The comparison of stitchings: its numbers and its reference are what it says they are."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from chart_stitching import chart
from compare_stitching import Regions, counts_of, main, side_by_side
from hypothesis import given, settings
from hypothesis import strategies as st
from stitching_methods import METHODS, Decoder, OverlapMerge, ScoredWindow, log_marginals
from support.models import NER_LABELS
from support.texts import long_text
from transformers import pipeline

from longbert.core.windows import Window, split_windows
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.records import LabelledSpan

Models = Callable[..., Path]


@settings(max_examples=30)
@given(n=st.integers(1, 5), n_labels=st.integers(2, 4), seed=st.integers(0, 2**32 - 1))
def test_marginals_equal_the_sum_over_all_sequences(n: int, n_labels: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    emissions = generator.normal(scale=3, size=(n, n_labels)).astype(np.float32)
    table = generator.normal(scale=2, size=(n_labels, n_labels))
    table[generator.random(table.shape) < 0.2] = -1e4

    expected = np.zeros((n, n_labels))
    for sequence in itertools.product(range(n_labels), repeat=n):
        total = sum(float(emissions[i, label]) for i, label in enumerate(sequence))
        total += sum(table[a, b] for a, b in itertools.pairwise(sequence))
        expected[range(n), sequence] += np.exp(total)
    # Where no sequence is allowed, enumeration has nothing to divide by.
    if expected.sum() > 0:
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            np.exp(log_marginals(emissions, table)), expected, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("n_windows", [1, 2, 5])
def test_merge_equals_the_pipeline_of_transformers(models: Models, n_windows: int) -> None:
    size, overlap = 30, 9
    folder = models("bert", task="ner", max_position_embeddings=size + 2)
    reference = pipeline(
        "token-classification",
        model=str(folder),
        device="cpu",
        aggregation_strategy="first",
        stride=overlap,
    )
    own = FastTokenizer.from_transformers(
        pipeline("token-classification", model=str(folder)).tokenizer, name="bert"
    )
    # So long that the last window needs not be moved to end with the text, as longbert does.
    text = long_text(400, seed=n_windows)
    n_tokens = size + (n_windows - 1) * (size - overlap)
    offsets = own.tokenize(text).offsets
    text = text[: offsets[n_tokens - 1, 1]]
    tokens = own.tokenize(text)
    assert len(tokens) == n_tokens
    windows = []
    for window in split_windows(n_tokens, size=size, overlap=overlap):
        ids = [*own.prefix, *tokens.ids[window.start : window.stop].tolist(), *own.suffix]
        with torch.inference_mode():
            logits = reference.model(torch.tensor([ids])).logits[0, 1:-1]
        logs = torch.log_softmax(logits, dim=-1).numpy()
        windows.append(ScoredWindow(window, logits.numpy(), logs))
    assert len(windows) == n_windows

    merge = OverlapMerge(NER_LABELS, tokenizer=reference.tokenizer, own_tokenizer=own)
    found = merge.merged(text, tokens, windows)

    expected = reference(text)
    assert expected
    keys = ("entity_group", "start", "end", "word")
    assert [[one[key] for key in keys] for one in found] == [
        [one[key] for key in keys] for one in expected
    ]
    assert [one["score"] for one in found] == pytest.approx(
        [one["score"] for one in expected], rel=1e-5
    )


def test_greedy_methods_agree_on_one_window(models: Models) -> None:
    reference = pipeline("token-classification", model=str(models("bert", task="ner")))
    own = FastTokenizer.from_transformers(reference.tokenizer, name="bert")
    text = long_text(60, seed=1)
    tokens = own.tokenize(text)
    generator = np.random.default_rng(0)
    emissions = generator.normal(scale=3, size=(len(tokens), len(NER_LABELS))).astype(np.float32)
    whole = ScoredWindow(Window(0, len(tokens), 0, len(tokens)), emissions, emissions)
    transitions = np.zeros((len(NER_LABELS), len(NER_LABELS)), dtype=np.float32)
    decoder = Decoder(NER_LABELS, transitions, tokenizer=reference.tokenizer, own_tokenizer=own)

    found = decoder.entities(text, tokens, [whole], [whole])

    assert tuple(sorted(found)) == tuple(sorted(METHODS))
    for name in METHODS:
        if name.endswith("greedy") or name == "no overlap":
            assert found[name] == found["transformers"], name
    # Learned transitions of zero are those of the scheme.
    assert found["owner, learned"] == found["owner, viterbi"] != found["owner, greedy"]


def test_regions_and_counts() -> None:
    # Ten tokens of one character; tokens 4 and 5 are in both windows, 5 belongs to the second.
    offsets = np.stack([np.arange(10), np.arange(1, 11)], axis=1)
    regions = Regions(offsets, [Window(0, 6, 0, 5), Window(4, 10, 5, 10)])
    inner, edge, across = (
        LabelledSpan(start, end, "PER") for start, end in ((0, 4), (3, 5), (4, 6))
    )
    assert [regions.overlaps(one) for one in (inner, edge, across)] == [False, True, True]
    assert [regions.is_cut(one) for one in (inner, edge, across)] == [False, True, False]
    assert [regions.is_across(one) for one in (inner, edge, across)] == [False, False, True]
    assert counts_of({inner, edge}, {edge, across}, regions).tolist() == [
        [2, 2, 1],
        [1, 2, 1],
        [1, 0, 1],
    ]


def test_windows_side_by_side_partition_the_document() -> None:
    windows = side_by_side(10, size=4)
    assert [(one.start, one.stop) for one in windows] == [(0, 4), (4, 8), (8, 10)]
    assert side_by_side(0, size=4) == ()


def test_script_compares_and_draws(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(0)
    rows = []
    for number in range(48):
        text, spans = "", []
        for _ in range(8):
            for kind, names in (("PER", ("Ada", "Bob Whitfield")), ("LOC", ("Rome", "New York"))):
                text += draw.choice(("and then ", "but ", "we saw "))
                name = draw.choice(names)
                spans.append([len(text), len(text) + len(name), kind])
                text += name + " "
        rows.append({"id": str(number), "text": text, "entities": spans})
    data = tmp_path / "spans" / "data.jsonl"
    data.parent.mkdir()
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "found.json"

    main(
        f"--data {data} --folds 2 --epochs 30 --backbone {models('bert')} --window 20 --overlap 5"
        f" --output {output}".split()
    )

    figures = json.loads(output.read_text())
    assert [one["method"] for one in figures["methods"]] == list(METHODS)
    assert figures["documents"] == figures["documents_of_several_windows"] == 48
    assert figures["entities"] == 48 * 16 > figures["entities_in_overlaps"] > 0
    for one in figures["methods"]:
        assert 0 < one["f1"]["low"] <= one["f1"]["value"] <= one["f1"]["high"] <= 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(METHODS) + 2
    drawn = chart([figures])
    assert drawn.startswith(b"<?xml")
    assert drawn == chart([figures])
