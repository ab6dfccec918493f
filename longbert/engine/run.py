"""A run from inputs to manifest in this process, without Beam."""

from __future__ import annotations

from dataclasses import replace

from longbert.engine.context import RunContext, load_run_models
from longbert.engine.finish import RunInfo, RunResult, finish
from longbert.engine.plan import list_files, plan, scan_file, summarize
from longbert.engine.prepare import prepare
from longbert.engine.unit import process_unit


def run_in_process(context: RunContext, info: RunInfo) -> RunResult:
    """Do all steps of a run in order.

    Raises:
        LongbertError: see the steps.
    """
    # Before the models are loaded, and before anything is written.
    listing = list_files(context)
    models = load_run_models(context)
    prepared = prepare(context, models)
    refs = [ref for file in listing.files for ref in scan_file(context, file)]
    planned = plan(context, refs, prepared)
    n_resumed = sum(not process_unit(context, unit, models) for unit in planned.units)
    summary = replace(summarize(planned), n_units_resumed=n_resumed)
    return finish(context, summary, prepared, info)
