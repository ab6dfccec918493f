"""What a runner says when it fails, told as ours."""

from __future__ import annotations

import pytest

from longbert.beam.failures import own_errors
from longbert.errors import LongbertError, OutputError, WorkerError


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("Channel closed prematurely.", WorkerError, r"ended .* \(Channel closed prematurely\): "),
        ("Workflow failed.\nSDK harness sdk-0-0 disconnected.\nNone", WorkerError, "sdk-0-0 disco"),
        ("it is full.\nNone", LongbertError, "pipeline failed: it is full. Completed units are"),
        (
            "longbert.errors.OutputError: a is gone: run again [while running 'Finish']",
            OutputError,
            "^a is gone: run again$",
        ),
    ],
)
def test_an_error_of_a_runner_is_told_as_ours(
    said: str, kind: type[LongbertError], message: str
) -> None:
    with pytest.raises(kind, match=message) as raised, own_errors():
        raise RuntimeError(said)
    assert type(raised.value) is kind
