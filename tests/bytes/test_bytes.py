"""The bytes of tables and indexes are those of an earlier version, for the same settings.

``digests.json`` holds digests of commit 5ae0f43, in float32, and of e58f7c8 for the rows of the
packaged tagger, whose last digits that commit changed on purpose. Where rows change on purpose,
take them again from a version known to be right, which keeps those of other machines::

    git worktree add --detach /tmp/right COMMIT
    tests=$PWD/tests
    cd /tmp && PYTHONPATH=/tmp/right:$tests python -m support.byte_cases \
        $tests/bytes/digests.json /tmp/runs

Some cases run models whose arithmetic is exact and hold everywhere. The bits of any other forward
pass depend on the processor and on libraries, so those cases are compared where both are the ones
that the digests were taken with, and skipped elsewhere. Digests are of rows and of the contents of
table files, never of file names, which change with the version.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from support.byte_cases import EXACT, MEASURED, digests, machine

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("digests.json").read_text())


def check(found: dict[str, str], recorded: dict[str, str]) -> None:
    if version("pyarrow") != RECORDED["pyarrow"]:
        # Another writer, other bytes; the rows that it writes are compared all the same.
        found.pop("files")
        recorded = {name: digest for name, digest in recorded.items() if name != "files"}
    changed = [name for name in recorded if found.get(name) != recorded[name]]
    assert not changed, f"changed: {', '.join(changed)}"
    assert found.keys() == recorded.keys()


@pytest.mark.parametrize("case", EXACT)
def test_rows_that_are_exact_are_those_of_before(case: str, tmp_path: Path) -> None:
    check(digests(EXACT[case], tmp_path), RECORDED["exact"][case])


@pytest.mark.parametrize("case", MEASURED)
def test_rows_of_this_kind_of_machine_are_those_of_before(case: str, tmp_path: Path) -> None:
    here = machine()
    recorded = [one["digests"] for one in RECORDED["measured"] if one["machine"] == here]
    if not recorded:
        pytest.skip(f"no digests were taken with {here}: see the head of {Path(__file__).name}")
    check(digests(MEASURED[case], tmp_path), recorded[0][case])
