"""Commands that are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Call = Callable[..., Result]

MARKER = "Zyxomma"
"""A word of every document, which no message may tell."""


def run_arguments(docs: Path | str, output: Path | str, model: Path | str) -> list[str]:
    arguments = ["run", "--input", docs, "--output", output, "--embed", model]
    return [*map(str, arguments), "--precision", "float32", "--runner", "none"]


def refuse(
    call: Call, arguments: list[str], *messages: str, status: int = 2, output: Path | None = None
) -> str:
    """Check that a command fails with one plain message, and leaves no output behind."""
    result = call(*arguments)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert "should not happen" not in result.output
    assert result.stdout == ""
    assert MARKER not in result.output
    for message in messages:
        assert re.search(message, result.stderr), result.stderr
    if output is not None:
        assert not output.exists()
    return result.stderr
