"""How fast the forward passes of an encoder are, and how near to the rate of bare products.

    python benchmarks/encoder.py minilm --rows 8 --length 256 --rounds 20

In turn, in one process and one thread: transformers, torch alone, oneDNN with weights laid out
beforehand, and the bare products of the encoder's linear layers, whose rate is the limit. Times
are those that the thread had a processor, so that other work beside it matters less. Where torch
has several threads, batches that run one after the other on all of them are compared, by the clock,
with batches that run beside each other on one thread each; for this the machine must be quiet.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.devices.plain import PlainDevice
from longbert.encoders.runtime.base import EncoderModule, Runtime
from longbert.encoders.runtime.bert_files import load_bert
from longbert.encoders.runtime.parallel import map_in_threads
from longbert.encoders.runtime.registry import runtime_factory
from longbert.encoders.runtime.transformers_model import load_transformers_model

CPU = torch.device("cpu")


def runtimes(folder: Path, dtype: torch.dtype) -> dict[str, Runtime]:
    """Every way to run an encoder, by name."""

    def own() -> EncoderModule:
        model = load_bert(folder, model_class="AutoModel")
        assert model is not None, "a model of a family that is computed without transformers"
        return model.encoder

    foreign = load_transformers_model(
        folder, model_class="AutoModel", trust_pickle=False, trust_remote_code=False
    )
    encoders = {"transformers": ("torch", foreign.encoder), "torch": ("torch", own())}
    if dtype == torch.bfloat16:
        encoders["oneDNN"] = ("onednn", own())
    return {
        name: runtime_factory(runtime)(encoder, folder=folder, device=PlainDevice(CPU), dtype=dtype)
        for name, (runtime, encoder) in encoders.items()
    }


def least_seconds(
    functions: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """The least time of each, in turn; prints medians, too."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            function()
            began = clock()
            function()
            times[name].append(clock() - began)
    for name, found in times.items():
        print(
            f"{name:>14}: {min(found) * 1e3:8.1f} ms, median {statistics.median(found) * 1e3:.1f}"
        )
    return {name: min(found) for name, found in times.items()}


def main() -> None:
    """Time the forward passes of one model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    given = parser.parse_args()

    folder = find_model(given.model, task="embed", config=ModelConfig()).path
    dtype = getattr(torch, given.precision)
    shape = given.rows, given.length
    n_positions = given.rows * given.length
    model = load_bert(folder, model_class="AutoModel")
    assert model is not None
    width, n_layers = model.encoder.width, model.encoder.n_layers
    inner = model.encoder.shape.inner_width  # type: ignore[attr-defined]
    sizes = [(width, width)] * 4 + [(width, inner), (inner, width)]
    ids = np.random.default_rng(0).integers(0, model.encoder.n_ids, shape)
    mask = np.ones(shape, dtype=np.int64)
    products = [
        [torch.randn(*size).to(dtype) for size in ((n_positions, k), (n, k), (n,))]
        for k, n in sizes
    ]

    def bare_products() -> None:
        with torch.inference_mode():
            for _ in range(n_layers):
                for inputs, weight, bias in products:
                    functional.linear(inputs, weight, bias)

    passes = runtimes(folder, dtype)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    functions: dict[str, Callable[[], object]] = {
        name: lambda runtime=runtime: runtime.hidden_states(ids, mask)  # type: ignore[misc]
        for name, runtime in passes.items()
    }
    seconds = least_seconds(
        {**functions, "products": bare_products}, given.rounds, time.thread_time
    )
    linear = n_layers * 2 * n_positions * sum(k * n for k, n in sizes)
    attention = n_layers * 4 * n_positions * given.length * width
    rate = linear / seconds.pop("products")
    print(f"products: {rate / 1e9:.0f} GFLOP/s; positions a second, and share of that rate:")
    for name, least in seconds.items():
        share = (linear + attention) / least / rate
        print(f"{name:>14}: {n_positions / least:8,.0f}  {share:.3f}")
    if n_threads > 1:
        torch.set_num_threads(n_threads)
        runtime = list(passes.values())[-1]

        def batches(n_at_once: int) -> None:
            for _ in map_in_threads(
                lambda _: runtime.hidden_states(ids, mask), range(8), n_threads=n_at_once
            ):
                pass

        print(f"8 batches with {n_threads} threads:")
        least_seconds(
            {"one by one": lambda: batches(1), "at once": lambda: batches(n_threads)},
            given.rounds,
            time.perf_counter,
        )


if __name__ == "__main__":
    main()
