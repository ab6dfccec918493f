"""The shape of BERT-large, its weights random and its vocabulary small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.runs import problems, rows, run, write_texts
from support.texts import long_text
from transformers import AutoModelForTokenClassification, AutoTokenizer

import longbert
from longbert.core.batching import padded_length
from longbert.encoders.backbone import token_windows

SHAPE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "backbone_seed": 1,
}


@pytest.mark.slow
def test_the_shape_of_bert_large(models: Callable[..., Path], tmp_path: Path) -> None:
    ner = models("bert-cased", task="ner", seed=2, **SHAPE)
    classify = models("bert-cased", task="classify", seed=3, **SHAPE)
    text = long_text(120)
    docs = write_texts(tmp_path / "docs", {"a.txt": text, "b.txt": "Maria Alvarez"})

    heads = {"embed": "none", "ner": [str(ner)], "classify": [str(classify)]}
    manifest = run(docs, tmp_path / "out", window=64, **heads)

    (backbone,) = manifest["settings"]["models"]["backbones"]
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
    batch = pass_.backbone.batch(list(token_windows(tokens, pass_.plan(len(tokens)))), length)
    found = pass_.heads[0]._model.logits(  # type: ignore[attr-defined]
        pass_.backbone.hidden_states(batch), batch
    )
    inputs = AutoTokenizer.from_pretrained(ner)(
        "Maria Alvarez", padding="max_length", max_length=length, return_tensors="pt"
    )
    with torch.no_grad():
        expected = AutoModelForTokenClassification.from_pretrained(ner).eval()(**inputs).logits
    assert torch.equal(found, expected)
