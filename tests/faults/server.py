"""Runs the command in forks of one process that has imported it, which takes a tenth of the time.

Reads a JSON line ``{"arguments": [...], "environment": {...}, "stderr": path}`` for each run from
standard input, and answers with the number of its process, which leads a group of its own, and once
it has ended, with its exit status: negative for a signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any


def _serve() -> None:
    # Everything that is not replaced where a fault is injected.
    import apache_beam.runners.portability.fn_api_runner  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import longbert.config  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            _run(request)
        # As the child does, whoever comes first.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(request: dict[str, Any]) -> None:
    os.environ.update(request["environment"])
    handle = os.open(request["stderr"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # As Python's start does in a process of its own.
    import sitecustomize

    from longbert.cli.main import main

    sitecustomize.begin()
    status = 0
    try:
        main(request["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
