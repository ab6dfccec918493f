"""Whole runs in this process, with models that are loaded already."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from longbert.beam.runners import local_units
from longbert.config import DEFAULT_RUNNER, NO_BEAM, ModelConfig, RunConfig
from longbert.encoders.loaded_models import Models
from longbert.engine.context import RunContext, load_models
from longbert.engine.finish import RunInfo
from longbert.engine.meter import FileMeter
from longbert.engine.run import do_units_here, run_in_process
from longbert.files import filesystem_for


@cache
def kept_models(config: ModelConfig, *, threads: int | None) -> Models:
    """Models that later runs in this process find loaded.

    Beam copies what its steps hold, but knows this function by name.
    """
    return load_models(config, threads=threads)


@dataclass(frozen=True, slots=True)
class DoneJob:
    """What a run took.

    Attributes:
        seconds: in all.
        totals: of its meter, such as ``seconds_tokenizing``.
    """

    seconds: float
    totals: Mapping[str, float]

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage; ``rest`` is planning, and what Beam takes where it runs."""
        named = {
            name.removeprefix("seconds_"): seconds
            for name, seconds in self.totals.items()
            if name.startswith("seconds_")
        }
        return {**named, "rest": self.seconds - sum(named.values())}


def run_job(config: RunConfig, *, through_beam: bool, folder: Path) -> DoneJob:
    """Run a configuration into a folder that is emptied before.

    Args:
        config: its output is not written to.
        through_beam: whether Beam makes the units, or this process by itself.
        folder: for the output and what the run counts.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder) as meter_folder:
        meter = FileMeter(meter_folder)
        own = replace(config, output=str(folder / "output"))
        files = filesystem_for(*own.places)
        context = RunContext(own, files, meter, load=kept_models)
        info = RunInfo(DEFAULT_RUNNER if through_beam else NO_BEAM, None)
        do_units = local_units(info, run_folder=meter_folder) if through_beam else do_units_here
        began = time.perf_counter()
        run_in_process(context, info, do_units)
        return DoneJob(time.perf_counter() - began, dict(meter.totals()))
