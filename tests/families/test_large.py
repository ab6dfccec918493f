"""The shape of BERT-large, its weights random and its vocabulary small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.encoding import token_windows
from support.runs import problems, rows, run, write_texts
from support.texts import long_text
from transformers import AutoModelForTokenClassification, AutoTokenizer

import longbert
from longbert.core.batching import padded_length

SHAPE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}


@pytest.mark.slow
def test_the_shape_of_bert_large(models: Callable[..., Path], tmp_path: Path) -> None:
    # Drawing its weights takes long, so one checkpoint serves as encoder, too.
    ner = models("bert-cased", task="ner", **SHAPE)
    text = long_text(120)
    docs = write_texts(tmp_path / "docs", {"a.txt": text, "b.txt": "Maria Alvarez"})

    manifest = run(docs, tmp_path / "out", embed=ner, ner=[str(ner)], window=64)

    (backbone,) = manifest["rows"]["settings"]["passes"]
    assert len(backbone["heads"]) == 2
    assert problems(tmp_path / "out") == []
    documents = {row["document_id"]: row for row in rows(tmp_path / "out", "documents")}
    assert documents["a.txt"]["n_windows"] > 2
    assert documents["a.txt"]["n_chars_covered"] == len(text)

    (pass_,) = longbert.load(
        embed="none", ner=str(ner), precision="float32", window=64
    ).models.passes
    tokens = pass_.tokenizer.tokenize("Maria Alvarez")
    length = padded_length(len(tokens) + 2, limit=64)
    batch = pass_.backbone.batch(list(token_windows(tokens, pass_.split_tokens(tokens))), length)
    tagger, device = pass_.heads[0].tagger, pass_.backbone.device  # type: ignore[attr-defined]
    reduced = tagger.reduce(pass_.backbone.hidden_states(batch), batch, device)
    (found,) = tagger.content_logits(device.download(reduced), batch)
    inputs = AutoTokenizer.from_pretrained(ner)(
        "Maria Alvarez", padding="max_length", max_length=length, return_tensors="pt"
    )
    with torch.no_grad():
        expected = AutoModelForTokenClassification.from_pretrained(ner).eval()(**inputs).logits
    assert np.array_equal(found, expected[0, 1 : 1 + len(tokens)].numpy())
