"""longbert and other programs on the same text, model, windows, overlap and threads, in turn.

    python benchmarks/peers/compare.py reviews.jsonl --rounds 3 --output peers.json

Each program is a process of its own, which loads once and then does all of the work in each
round, so that every round compares all of them within minutes. Programs that are not installed
are named with the reason. The JSON has all measurements, the machine and the versions.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Task, are_whole, count, default_overlap_of, say, window_texts
from programs import PROGRAMS

from longbert.bench.report import machine
from longbert.config import ModelConfig
from longbert.encoders.checkpoint.locate import find_model

LIBRARIES = (
    *("longbert", "torch", "transformers", "tokenizers", "sentence-transformers", "apache-beam"),
    *("onnxruntime", "optimum-onnx", "openvino", "optimum-intel", "afterthoughts"),
    *("llama-cpp-python", "gguf"),
)


class Program:
    """A program that is loaded and waits.

    Args:
        name: among PROGRAMS.
        task: what it does.
        folder: for its messages and vectors.
        python: that runs it.
    """

    def __init__(self, name: str, task: Task, folder: Path, python: str) -> None:
        self.name = name
        self._stem = folder / re.sub(r"\W+", "-", name)
        self._messages = open(self._stem.with_suffix(".log"), "w")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *(python, str(Path(__file__).with_name("child.py")), name),
                *(task.to_json(), str(self._stem.with_suffix(".npy"))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(task.threads)},
        )
        self.loaded = self._answer()

    def work(self) -> dict[str, float]:
        """Do everything once."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._answer()

    def vectors(self) -> Any:
        """Of the windows, in order; None if it gives none."""
        path = self._stem.with_suffix(".npy")
        return np.load(path) if path.exists() else None

    def end(self) -> None:
        """End its process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._messages.close()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            lines = self._stem.with_suffix(".log").read_text().strip().splitlines()
            raise RuntimeError((lines or ["it said nothing"])[-1][:300])
        found: dict[str, float] = json.loads(line)
        return found


@contextmanager
def running(name: str, task: Task, folder: Path, python: str) -> Iterator[Program]:
    """A program, ended at the end."""
    program = Program(name, task, folder, python)
    try:
        yield program
    finally:
        program.end()


def compare(
    names: Sequence[str], task: Task, *, rounds: int, pythons: dict[str, str]
) -> dict[str, Any]:
    """Measure programs in turn.

    Args:
        names: among PROGRAMS.
        task: what they do.
        rounds: after a first one that warms up.
        pythons: which Python runs a program; others have this one.
    """
    results: dict[str, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        programs = []
        for name in names:
            python = pythons.get(name, sys.executable)
            say(f"loading {name}")
            try:
                program = stack.enter_context(running(name, task, Path(folder), python))
                program.work()
            except RuntimeError as error:
                failures[name] = str(error)
                say(f"{name}: {error}")
                continue
            programs.append(program)
            results[name] = {**program.loaded, "rounds": []}
        for number in range(rounds):
            for program in programs:
                found = program.work()
                results[program.name]["rounds"].append(found)
                say(f"round {number + 1}: {program.name}: {found['seconds']:.2f} s")
        vectors = {program.name: program.vectors() for program in programs}
    reference = vectors.get("sentence-transformers")
    is_whole = are_whole(window_texts(task.texts(), task), task)
    for name, found in vectors.items():
        if found is not None and reference is not None:
            cosines = (found * reference).sum(1) / np.linalg.norm(found, axis=1)
            results[name]["least_cosine"] = float(cosines[is_whole].min())
    for result in results.values():
        for what in ("seconds", "processor_seconds", "peak_mb"):
            result[what] = statistics.median(one[what] for one in result["rounds"])
    return {"programs": results, "failures": failures}


def versions() -> dict[str, str]:
    """Of the libraries that are compared, where they are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Compare, print a table, and write everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("documents", help="JSON lines with id and text")
    parser.add_argument("--output", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--overlap", type=int)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch-rows", type=int, default=8)
    parser.add_argument("--only", action="append", choices=PROGRAMS)
    parser.add_argument("--python", action="append", default=[], metavar="PROGRAM=PATH")
    given = parser.parse_args()

    overlap = default_overlap_of(given.window) if given.overlap is None else given.overlap
    task = Task(
        model=str(find_model(given.model, task="embed", config=ModelConfig()).path),
        documents=given.documents,
        window=given.window,
        overlap=overlap,
        threads=given.threads,
        batch_rows=given.batch_rows,
    )
    pythons = dict(one.split("=", 1) for one in given.python)
    corpus = count(task.texts(), task)
    say(f"{corpus}")
    found = compare(given.only or list(PROGRAMS), task, rounds=given.rounds, pythons=pythons)
    report = {
        "corpus": corpus,
        "machine": machine(),
        "settings": {**asdict(task), "model": given.model, "documents": Path(given.documents).name},
        "versions": versions(),
        **found,
    }
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    for name, result in found["programs"].items():
        print(
            f"{name:>42}: {result['seconds']:7.2f} s, "
            f"{corpus['unique_tokens'] / result['seconds']:8,.0f} tokens/s, "
            f"{result['peak_mb']:6,.0f} MB, cosine {result.get('least_cosine', float('nan')):.5f}"
        )


if __name__ == "__main__":
    main()
