"""The comparison with other programs: the same windows for all, and the chart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chart_peers import REFERENCE, chart
from corpus import Task, count, window_texts
from support.texts import long_text

from longbert.config import ModelConfig
from longbert.encoders.models import load_models


def test_windows_are_those_of_longbert(models: Callable[..., Path]) -> None:
    folder = models("bert", sentence_transformers={"max_seq_length": 32})
    texts = [long_text(90, seed=1), long_text(3, seed=2)]
    task = Task(str(folder), "", window=32, overlap=6, threads=1, batch_rows=8)
    loaded = load_models(ModelConfig(embed=str(folder), overlap=6, precision="float32"))
    (pass_,) = loaded.passes
    expected = []
    for text in texts:
        tokens = pass_.tokenizer.tokenize(text)
        for one in pass_.split(text, tokens):
            own = tokens.offsets[one.window.start : one.window.stop]
            expected.append(text[own[0, 0] : own[-1, 1]])
    assert window_texts(texts, task) == expected
    counts = count(texts, task)
    assert counts["windows"] == len(expected)
    n_tokens = [len(pass_.tokenizer.tokenize(text)) for text in texts]
    assert counts["unique_tokens"] == sum(n_tokens)


def test_equal_results_give_equal_charts() -> None:
    bench = {"stages": {"encoding": 3.0, "writing": 0.5, "beam": -0.1}}
    peers = [
        {"programs": {"longbert": {"seconds": 1.0}, REFERENCE: {"seconds": 3.0}}},
        {"programs": {"other": {"seconds": 8.0}, REFERENCE: {"seconds": 2.0}}},
    ]
    assert chart(bench, peers) == chart(bench, peers)
    assert all(speed in chart(bench, peers) for speed in (b"3.00", b"1.00", b"0.25"))
    assert b"encoding" in chart(bench, peers)
    assert b"beam" not in chart(bench, peers)
