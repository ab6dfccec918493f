"""What a GPU gives: the rows of a CPU in float32, and how fast.

    python benchmarks/gpu.py novel.txt
    python benchmarks/gpu.py novel.txt --embed minilm --classify sentiment-en --ner entities-en

Encodes passages of a text on the CPU in float32 and on the GPU, and compares labels, entities and
vectors. Then times the encoder, against the bare products of its linear layers at the same shapes,
for several sizes of batches; the tokenizer in one and more threads; and a whole run. Prints JSON.
The aim is an encoder at 0.7 of the rate of the products.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch.nn import functional

import longbert
from longbert.config import ModelConfig
from longbert.encoders.backbone import Backbone
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.passes import Pass
from longbert.encoders.runtime.bert import BertEncoder, BertShape
from longbert.encoders.runtime.load import outline_model
from longbert.encoders.runtime.probe import random_windows
from longbert.records import DocumentResult

PARITY_CHARS = 2_000
"""Of each document that is compared, and that the tokenizer is given."""
N_BATCHES = 40
BATCH_TOKENS = (8_192, 16_384, 32_768, 65_536)


def parity(found: Sequence[DocumentResult], expected: Sequence[DocumentResult]) -> dict[str, Any]:
    """How results differ from those that are right.

    Returns:
        Documents, entities and labels in all; those of either side alone; the least and the mean
        cosine of vectors of documents and passages.
    """
    cosines = []
    n_labels = n_other_labels = n_entities = n_other_entities = 0
    for own, right in zip(found, expected, strict=True):
        labels, right_labels = (
            {(one.head, one.label) for one in result.classifications if one.predicted}
            for result in (own, right)
        )
        n_labels += len(right_labels)
        n_other_labels += len(labels ^ right_labels)
        entities, right_entities = (
            {(one.head, one.char_start, one.char_end, one.label) for one in result.entities}
            for result in (own, right)
        )
        n_entities += len(right_entities)
        n_other_entities += len(entities ^ right_entities)
        cosines += [*map(_cosine, _vectors(own), _vectors(right))]
    return {
        "documents": len(expected),
        "labels": n_labels,
        "labels_that_differ": n_other_labels,
        "entities": n_entities,
        "entities_that_differ": n_other_entities,
        "least_cosine": min(cosines, default=None),
        "mean_cosine": float(np.mean(cosines)) if cosines else None,
    }


def _vectors(result: DocumentResult) -> list[Any]:
    vectors = [result.embedding, *(one.embedding for one in result.passages)]
    return [one for one in vectors if one is not None]


def _cosine(one: Any, other: Any) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def operations(
    *, n_positions: int, length: int, width: int, inner_width: int, n_layers: int
) -> tuple[int, int]:
    """Of the linear layers of an encoder, and of its attention."""
    weights = 4 * width * width + 2 * width * inner_width
    return n_layers * 2 * n_positions * weights, n_layers * 4 * n_positions * length * width


def encoder_seconds(
    backbone: Backbone, *, length: int, batch_tokens: int, synchronize: Callable[[], None]
) -> float:
    """Seconds of a batch of full windows, of many that run as in a pass."""
    n_rows = max(1, batch_tokens // length)
    batch = backbone.batch(random_windows(backbone, n_rows, length), length)

    def run(_: int) -> None:
        backbone.hidden_states(batch)

    def run_all() -> None:
        for _ in backbone.device.map(run, range(N_BATCHES), n_at_once=backbone.n_batches_at_once):
            pass
        synchronize()

    run_all()  # Records, and warms up.
    began = time.perf_counter()
    run_all()
    return (time.perf_counter() - began) / N_BATCHES


def products_seconds(
    *,
    n_positions: int,
    width: int,
    inner_width: int,
    n_layers: int,
    device: torch.device,
    dtype: torch.dtype,
    synchronize: Callable[[], None],
) -> float:
    """Seconds of the bare products of the linear layers, launched one after the other."""
    sizes = [(width, width)] * 4 + [(width, inner_width), (inner_width, width)]
    products = [
        [torch.randn(*size, device=device).to(dtype) for size in ((n_positions, k), (n, k), (n,))]
        for k, n in sizes
    ]

    def run(times: int) -> None:
        with torch.inference_mode():
            for _ in range(times * n_layers):
                for inputs, weight, bias in products:
                    functional.linear(inputs, weight, bias)
        synchronize()

    run(3)
    began = time.perf_counter()
    run(N_BATCHES)
    return (time.perf_counter() - began) / N_BATCHES


def encoder_rates(
    backbone: Backbone, shape: BertShape, *, length: int, synchronize: Callable[[], None]
) -> list[dict[str, float]]:
    """Positions a second of the encoder, and its share of the rate of its products."""
    rates = []
    for batch_tokens in BATCH_TOKENS:
        n_positions = max(1, batch_tokens // length) * length
        sizes = {
            "n_positions": n_positions,
            "width": shape.width,
            "inner_width": shape.inner_width,
            "n_layers": shape.n_layers,
        }
        linear, attention = operations(length=length, **sizes)
        bare = linear / products_seconds(
            **sizes,
            device=backbone.device.torch_device,
            dtype=getattr(torch, backbone.precision),
            synchronize=synchronize,
        )
        seconds = encoder_seconds(
            backbone, length=length, batch_tokens=batch_tokens, synchronize=synchronize
        )
        rates.append(
            {
                "batch_tokens": batch_tokens,
                "positions_per_second": n_positions / seconds,
                "products_teraflops": bare / 1e12,
                "share_of_products": (linear + attention) / seconds / bare,
            }
        )
    return rates


def shape_of(name: str) -> BertShape:
    """Sizes of an embedding model, which must be of a family that is computed here."""
    folder = find_model(name, task="embed", config=ModelConfig()).path
    encoder = outline_model(folder, trust_remote_code=False)
    if not isinstance(encoder, BertEncoder):
        sys.exit(f"{name} is a {encoder.model_type}, whose products are not known here: try minilm")
    return encoder.shape


def tokens_per_second(pass_: Pass, texts: Sequence[str], *, n_threads: int) -> float:
    """Of the tokenizer alone, in so many threads."""
    began = time.perf_counter()
    with ThreadPoolExecutor(n_threads) as pool:
        n_tokens = sum(map(len, pool.map(pass_.tokenizer.tokenize, texts)))
    return n_tokens / (time.perf_counter() - began)


def whole_run(text: Path, models: dict[str, Any]) -> dict[str, Any]:
    """A run from reading to index, start-up left in."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        longbert.run(text, output=f"{folder}/output", runner="none", device="cuda", **models)
        seconds = time.perf_counter() - began
        rows = pq.read_table(f"{folder}/output/documents", columns=["n_tokens"])
    n_tokens = sum(rows["n_tokens"].to_pylist())
    return {"seconds": seconds, "tokens": n_tokens, "tokens_per_second": n_tokens / seconds}


def main() -> None:
    """Compare and time, where there is a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="a long text in UTF-8")
    parser.add_argument("--chars", type=int, default=100_000, help="of the text, for the parity")
    parser.add_argument("--embed", default="minilm")
    parser.add_argument("--classify", default="sentiment-en")
    parser.add_argument("--ner", default="entities-en")
    parser.add_argument("--precision", default="auto", help="on the GPU")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(
            "there is no CUDA device here, so there is nothing to compare or to time: run this on "
            "a machine with an NVIDIA GPU and a build of PyTorch for it"
        )
    text = given.text.read_text(encoding="utf-8")
    texts = [text[start : start + PARITY_CHARS] for start in range(0, len(text), PARITY_CHARS)]
    models = {"embed": given.embed, "classify": given.classify, "ner": given.ner}
    compared = [one for one in texts[: given.chars // PARITY_CHARS] if one.strip()]
    on_gpu = longbert.load(**models, device="cuda", precision=given.precision)
    right = longbert.load(**models, device="cpu", precision="float32").encode(compared)
    pass_ = on_gpu.models.passes[0]
    report = {
        "machine": {"device": on_gpu.models.device, "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("longbert", "torch", "tokenizers")},
        "precision": on_gpu.models.precision,
        "batch_tokens": pass_.batch_tokens,
        "batch_invariant": [one.batch_invariant for one in on_gpu.models.settings],
        "parity": parity(on_gpu.encode(compared), right),
        "encoder": encoder_rates(
            pass_.backbone,
            shape_of(given.embed),
            length=on_gpu.models.settings[0].window,
            synchronize=torch.cuda.synchronize,
        ),
        "tokenizer_tokens_per_second": {
            n: tokens_per_second(pass_, texts, n_threads=n) for n in (1, 2, 4)
        },
        "run": whole_run(given.text, {**models, "precision": given.precision}),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
