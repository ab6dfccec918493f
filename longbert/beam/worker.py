"""What a worker process on this machine runs: Beam's worker, without its output on standard error.

Workers share the standard error of the process that started them, where people read progress and
messages. Beam prints the traceback of every error there, in addition to passing it on.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Work until the process that started this one has no more to do."""
    from apache_beam.runners.worker import sdk_worker_main

    # Errors before this line are still shown, as are later messages of the interpreter itself.
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
