"""One program in a process of its own: loads it, and does the work each time a line comes in.

Started by compare.py; says in JSON lines what it measured.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np
from corpus import task_of


def main() -> None:
    """Serve one program: its name, its task, where its vectors go."""
    name, task_text, vectors_path = sys.argv[1:]
    task = task_of(json.loads(task_text))
    # Libraries print what they like; the answers have this descriptor for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    began = time.perf_counter()
    from programs import PROGRAMS

    work = PROGRAMS[name](task)
    _answer(answers, load_seconds=time.perf_counter() - began, loaded_mb=_peak_mb())
    for _ in sys.stdin:
        began, busy = time.perf_counter(), _busy_seconds()
        vectors = work()
        _answer(
            answers,
            seconds=time.perf_counter() - began,
            processor_seconds=_busy_seconds() - busy,
            peak_mb=_peak_mb(),
        )
        if vectors is not None:
            np.save(vectors_path, vectors)


def _answer(answers: Any, **values: float) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _busy_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
