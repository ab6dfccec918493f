"""What a worker process on this machine runs: Beam's worker, without its output on standard error.

Workers share the standard error of the process that started them, where people read progress and
messages. Beam prints the traceback of every error there, in addition to passing it on, and logs
every worker's start and end.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from longbert.beam.failures import RunFolder
from longbert.encoders.runtime.machine import visible_gpus

_POLL_SECONDS = 0.5


def main(folder: str, parent: int) -> None:
    """Work until the process that started this one has no more to do, or has ended.

    Args:
        folder: in which processes of the run leave word.
        parent: number of the process that started this one.
    """
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _silence_standard_error()
    take_gpu(RunFolder(folder))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])
    RunFolder(folder).worker_is_done()


def take_gpu(folder: RunFolder) -> None:
    """Have this process see one GPU of several, each worker another; before torch looks for them.

    More workers than GPUs share them evenly.
    """
    gpus = visible_gpus()
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[folder.take_number() % len(gpus)]


def _end_with(parent: int) -> None:
    """End this process when its parent is gone; a killed parent can tell its children nothing."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def _silence_standard_error() -> None:
    """For Python and for libraries in C alike."""
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
