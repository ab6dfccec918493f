"""Commands in processes of their own."""

from __future__ import annotations

import pytest

from longbert.bench.processes import run_python
from longbert.errors import LongbertError


def test_peak_memory_is_that_of_the_process_alone() -> None:
    held = bytearray(200 << 20)
    small, large = run_python("pass"), run_python("held = b'x' * (100 << 20)")
    del held
    if small.peak_mb is None or large.peak_mb is None:
        pytest.skip("this system does not tell")
    assert small.peak_mb < 100
    assert large.peak_mb - small.peak_mb > 90
    assert small.seconds > 0


def test_arguments_arrive() -> None:
    run_python("import sys; assert sys.argv[1:] == ['a', 'b']", "a", "b")


def test_a_failure_is_told() -> None:
    with pytest.raises(LongbertError, match=r"longbert run ended with 3: no such thing"):
        run_python("import sys; print('no such thing', file=sys.stderr); sys.exit(3)", "run")
