"""How the memory of a run grows with its input: one case, several sizes.

Inputs are generated where they are read. Each run has a process of its own, which loads the models
and does a small run before; what it takes beyond that is measured from outside::

    PYTHONPATH=tests python benchmarks/memory/constant_memory.py FOLDER document 100MB 1GB
    PYTHONPATH=tests python benchmarks/memory/constant_memory.py FOLDER model 10MB 100MB
    PYTHONPATH=tests python benchmarks/memory/constant_memory.py FOLDER tiny 10000 100000 1000000
    PYTHONPATH=tests python benchmarks/memory/constant_memory.py FOLDER lines 250MB 500MB
    PYTHONPATH=tests python benchmarks/memory/constant_memory.py FOLDER mixed 10MB 100MB
    PYTHONPATH=tests python benchmarks/memory/constant_memory.py FOLDER shared 20MB 100MB

``document`` is one text of that size; ``model`` the same for a small model of BERT's architecture,
where all other cases have an encoder that counts instead of computing; ``tiny`` is so many
documents of 64 bytes as JSON lines; ``files`` the same as files; ``lines`` has JSON lines of 4 KiB;
``mixed`` has a text of that size among 3,000 of 1 KiB; ``shared`` is one text, made as workers make
it that share it, but by one process. Prints a JSON object for each run, then a
table.

Memory is in MB. *Anonymous* is what the process holds; the peak of all pages includes those of
files that are mapped, which the system takes back when it needs them. The last column has the most
in each quarter of the time: what grows, grows there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from generated_files import FOLDER, Content, GeneratedFiles, Records, Text

from longbert.config import run_config
from longbert.core.units import Unit
from longbert.engine.context import ModelLoader, RunContext
from longbert.engine.finish import RunInfo, RunResult
from longbert.engine.meter import FileMeter
from longbert.engine.prepare import Prepared
from longbert.engine.run import DoUnits, RunModels, do_units_here, run_in_process
from longbert.engine.segments import divide, encode_segment, join
from longbert.engine.spool import Spool

KIB, MB = 1 << 10, 10**6
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
# Without a tagger, for the fake one finds an entity at every third word.
_FAKE = {
    "embed": "fake",
    "classify": ["c"],
    "window": 256,
    "window_scores": True,
    "max_text_bytes": 10**12,
}
_SECONDS_BETWEEN = 0.02


def document(n_bytes: int) -> dict[str, Content]:
    """One text."""
    return {"document.txt": Text(n_bytes)}


def tiny(n: int) -> dict[str, Content]:
    """JSON lines of a few words."""
    return {"lines.jsonl": Records(n, 64)}


def files(n: int) -> dict[str, Content]:
    """Files of a few words."""
    return {f"{i // 1000:04}/{i:08}.txt": Text(64, first=i) for i in range(n)}


def lines(n_bytes: int) -> dict[str, Content]:
    """JSON lines of a page or two."""
    return {"lines.jsonl": Records(n_bytes // (4 * KIB), 4 * KIB)}


def mixed(n_bytes: int) -> dict[str, Content]:
    """One text among many small ones."""
    small: dict[str, Content] = {f"{i:05}.txt": Text(KIB, first=i) for i in range(3_000)}
    return small | {"01500-large.txt": Text(n_bytes)}


CASES: dict[str, Callable[[int], dict[str, Content]]] = {
    "document": document,
    "model": document,
    "tiny": tiny,
    "files": files,
    "lines": lines,
    "mixed": mixed,
    "shared": document,
}


@dataclass(frozen=True)
class Measured:
    """A run, and what it took beyond what the process had before.

    Attributes:
        before_mb: anonymous, with libraries and models.
        anonymous_mb: at most, beyond that.
        peak_mb: of all pages, at most.
        quarters_mb: as ``anonymous_mb``, in each quarter of the time.
        processor_seconds: of the run, which other work on the machine changes little.
        stages: seconds of the steps.
    """

    case: str
    size: str
    seconds: float
    processor_seconds: float
    before_mb: int
    anonymous_mb: int
    peak_mb: int
    quarters_mb: list[int]
    documents: int
    passages: int
    stages: dict[str, float]


def run_case(case: str, size: int, folder: Path) -> None:
    """Do a small run, wait for a line, and do the one that is measured."""
    load, settings = _models(case, folder)
    do_units = do_shared if case == "shared" else do_units_here
    _run({"small.txt": Text(64 * KIB)}, folder / "small", load, settings)
    print("ready", flush=True)
    sys.stdin.readline()
    began, processor_began = time.perf_counter(), time.process_time()
    result = _run(CASES[case](size), folder / "output", load, settings, do_units)
    facts = {
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - processor_began, 1),
        "documents": result.entry.documents,
        "passages": result.manifest.counts["passages"],
        "stages": {
            name.removeprefix("seconds_"): round(value, 1)
            for name, value in result.entry.measured.items()
            if name.startswith("seconds_")
        },
    }
    print(json.dumps(facts), flush=True)


def _models(case: str, folder: Path) -> tuple[ModelLoader, dict[str, Any]]:
    if case != "model":
        from fakes.encoder import fake_models

        return fake_models, _FAKE
    from support.models import build_model

    from longbert.encoders.models import load_models

    model = build_model(folder / "model", "bert", sentence_transformers={})
    return load_models, {"embed": str(model), "precision": "float32"}


def _run(
    contents: dict[str, Content],
    output: Path,
    load: ModelLoader,
    settings: dict[str, Any],
    do_units: DoUnits = do_units_here,
) -> RunResult:
    files = GeneratedFiles(contents)
    config = run_config({"input": [FOLDER], "output": str(output), **settings})
    with tempfile.TemporaryDirectory() as counts:
        context = RunContext(config, files, meter=FileMeter(counts), load=load)
        return run_in_process(context, RunInfo("none"), do_units)


def do_shared(
    context: RunContext, units: Spool[Unit], prepared: Prepared, models: RunModels
) -> None:
    """Do all that workers do with a document that they share."""
    loaded = partial(models.checked, prepared)
    for unit in units:
        segments = divide(context, unit, loaded())
        join(
            context, unit, [encode_segment(context, unit, one, loaded) for one in segments], loaded
        )


def measure(case: str, size: str, folder: Path) -> Measured:
    """Run a case in a process of its own, and watch its memory."""
    command = [sys.executable, __file__, str(folder), case, size, "--here"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        before, _ = _memory(run.pid)
        run.stdin.write("go\n")
        run.stdin.close()
        seen, peak = [before], 0
        while run.poll() is None:
            anonymous, most = _memory(run.pid)
            if not anonymous:
                break
            seen.append(anonymous)
            peak = max(peak, most)
            time.sleep(_SECONDS_BETWEEN)
        facts = json.loads(run.stdout.read())
    borders = [len(seen) * quarter // 4 for quarter in range(5)]
    return Measured(
        case=case,
        size=size,
        before_mb=before // MB,
        anonymous_mb=(max(seen) - before) // MB,
        peak_mb=peak // MB,
        quarters_mb=[
            (max(seen[start:stop], default=before) - before) // MB
            for start, stop in pairwise(borders)
        ],
        **facts,
    )


def _memory(pid: int) -> tuple[int, int]:
    """Bytes of a process's pages: those of no file now, and of all at most so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    values = dict(line.split(":", 1) for line in status.splitlines())
    anonymous, most = (values.get(name, "0").split()[0] for name in ("RssAnon", "VmHWM"))
    return int(anonymous) * KIB, int(most) * KIB


def table(results: list[Measured]) -> str:
    """The runs, as Markdown."""
    columns = ("case", "size", "documents", "passages", "processor seconds", "before")
    columns += ("anonymous", "peak", "by quarters")
    rows = [
        (
            *(one.case, one.size, f"{one.documents:,}", f"{one.passages:,}"),
            *(f"{one.processor_seconds:,.1f}", one.before_mb, one.anonymous_mb, one.peak_mb),
            ", ".join(map(str, one.quarters_mb)),
        )
        for one in results
    ]
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _size(text: str) -> int:
    digits = text.rstrip("BGKM")
    return int(float(digits) * _UNITS[text.removeprefix(digits)])


def main() -> None:
    """Measure one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for outputs, which are removed")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("sizes", nargs="+")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        run_case(given.case, _size(given.sizes[0]), given.folder)
        return
    about = {
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    results = []
    for size in given.sizes:
        given.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            results.append(measure(given.case, size, folder))
        finally:
            shutil.rmtree(folder)
        print(json.dumps(asdict(results[-1]) | about), flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
