"""The output that steps are measured with is one in which they find all parts."""

from __future__ import annotations

import pytest
from parts_memory import STEPS, MadeOutput, do


@pytest.mark.parametrize("step", STEPS)
def test_every_part_is_seen(step: str) -> None:
    assert do(step, MadeOutput(200)) == 200
