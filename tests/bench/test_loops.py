"""The encoder alone: how much it reads, and how many operations that takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.texts import long_text

from longbert.bench.loops import EncoderLoops
from longbert.config import ModelConfig
from longbert.encoders.devices.plain import PlainDevice
from longbert.encoders.models import load_models

TEXTS = (long_text(90, seed=1), long_text(5, seed=2))


def test_counts_and_operations_by_hand(models: Callable[..., Path]) -> None:
    folder = models("bert", sentence_transformers={"max_seq_length": 32})
    loaded = load_models(ModelConfig(embed=str(folder), overlap=6, precision="float32"))
    loops = EncoderLoops(loaded, TEXTS)
    (pass_,) = loaded.passes
    lengths = [len(pass_.tokenizer.tokenize(text)) for text in TEXTS]
    # Windows of 30 tokens start every 24, the last ends with the document.
    n_windows = 1 + -(-(lengths[0] - 30) // 24)
    assert lengths[1] <= 30 < lengths[0]
    counts = loops.counts
    assert counts.unique_tokens == sum(lengths)
    assert counts.windows == n_windows + 1
    assert counts.processed_tokens == 32 * n_windows + lengths[1] + 2
    padded = max(16, -(-(lengths[1] + 2) // 8) * 8)
    assert counts.padded_positions == 32 * n_windows + padded
    expected_share = 1 - counts.processed_tokens / counts.padded_positions
    assert counts.padding_share == expected_share

    backbone = pass_.backbone
    inner = json.loads((folder / "config.json").read_text())["intermediate_size"]
    of_layer = 4 * backbone.width**2 + 2 * backbone.width * inner
    linear = 2 * backbone.n_layers * of_layer * counts.padded_positions
    assert loops.linear_operations() == linear
    pairs = 32 * 32 * n_windows + padded * padded
    assert loops.operations() == linear + 4 * backbone.n_layers * backbone.width * pairs
    for run in (loops.run_with_heads, loops.run_forward, loops.run_products):
        run()


def test_where_shapes_are_fixed_rows_are_filled_up(
    models: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainDevice, "has_fixed_shapes", True)
    folder = models("bert", sentence_transformers={"max_seq_length": 32})
    loaded = load_models(
        ModelConfig(embed=str(folder), overlap=6, precision="float32", batch_tokens=5 * 32)
    )
    loops = EncoderLoops(loaded, TEXTS[:1])
    (pass_,) = loaded.passes
    counts = loops.counts
    n_windows = counts.windows
    assert n_windows % 5
    assert counts.processed_tokens == 32 * n_windows
    assert counts.padded_positions == 32 * 5 * -(-n_windows // 5)
    assert loops.linear_operations() == (
        pass_.backbone.bare_products().operations_a_position * counts.padded_positions
    )
    loops.run_with_heads()
    loops.run_forward()
