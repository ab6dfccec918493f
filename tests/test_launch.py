"""How a run is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import longbert
from longbert import launch
from longbert.config import Execution, run_config


class TestWorkers:
    @pytest.fixture(autouse=True)
    def cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})

    @pytest.mark.parametrize(("asked", "started"), [(None, None), (1, 1), (3, 3), (4, 3)])
    def test_at_most_one_for_each_core(
        self,
        asked: int | None,
        started: int | None,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        from longbert.engine import run

        started_with = []
        monkeypatch.setattr(
            run, "run_in_process", lambda _, info, __: started_with.append(info.workers)
        )
        said: list[str] = []
        config = run_config({"input": "docs"})
        launch.run_job(
            config, Execution(workers=asked), meter_folder=str(tmp_path), notify=said.append
        )
        assert started_with == [started]
        assert said == (
            ["workers is 4, but this machine has 3 cores: starting 3"] if asked == 4 else []
        )

    def test_from_python_it_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from longbert.engine import run

        monkeypatch.setattr(run, "run_in_process", lambda *_: None)
        with pytest.warns(RuntimeWarning, match=r"workers is 1,000, .*: starting 3") as warned:
            longbert.run("docs", workers=1000)
        assert warned[0].filename == __file__
