"""A run whose steps this process calls one after another, from inputs to manifest."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from longbert.core.threads import in_order
from longbert.core.units import Unit
from longbert.engine.context import RunContext, load_models, load_run_models
from longbert.engine.done_units import DoneUnits, encoded_parts, find_unit, total_done
from longbert.engine.finish import RunInfo, RunResult, finish
from longbert.engine.gather import gather
from longbert.engine.plan import (
    check_errors,
    check_memory,
    check_missing,
    list_groups,
    plan,
    summarize,
)
from longbert.engine.planner import Planned
from longbert.engine.prepare import (
    Prepared,
    check_machine,
    claim_output,
    fingerprints,
    row_fingerprint,
)
from longbert.engine.remembered import models_key, remembered
from longbert.engine.spool import Spool
from longbert.errors import ConfigError
from longbert.index.lexical.languages import read_ahead
from longbert.store.lock import locked

if TYPE_CHECKING:
    from longbert.encoders.loaded_models import Models


class RunModels:
    """The models of a run, loaded in this process when they are first needed.

    Args:
        context: the run.
        load: loads them; None: as the context does, once.
    """

    def __init__(self, context: RunContext, load: Callable[[], Models] | None = None) -> None:
        self._context = context
        self._load = load
        self._models: Models | None = None
        self._checked = ""
        # Several units may be the first at the same time.
        self._loading = threading.Lock()

    @property
    def are_loaded(self) -> bool:
        """Whether they are in memory."""
        return self._models is not None

    def get(self) -> Models:
        """The models.

        Raises:
            ModelError, ConfigError: models or settings do not fit.
        """
        with self._loading:
            if self._models is None:
                load = self._load or partial(load_run_models, self._context)
                self._models = load()
            return self._models

    def checked(self, prepared: Prepared) -> Models:
        """The models, if this machine would write the planned rows.

        Raises:
            FingerprintError: it would not.
        """
        models = self.get()
        if self._checked != prepared.fingerprint:
            check_machine(prepared.rows, row_fingerprint(self._context.config, models))
            self._checked = prepared.fingerprint
        return models


class DoUnits(Protocol):
    """Makes the parts of units, wherever it likes."""

    def __call__(
        self,
        context: RunContext,
        units: Spool[Unit],
        prepared: Prepared,
        models: RunModels,
    ) -> None:
        """Make the parts, none of which is there yet."""


def do_units_here(
    context: RunContext, units: Spool[Unit], prepared: Prepared, models: RunModels
) -> None:
    """Make the parts of units in this process, one after another or a few at a time."""
    # Torch is imported for work only.
    from longbert.engine.unit import process_unit

    def do(unit: Unit) -> None:
        process_unit(context, unit, lambda: models.checked(prepared))

    n_threads = prepared.units_at_once
    for _ in in_order(do, units, n_threads=n_threads, at_most=2 * n_threads):
        pass


def run_in_process(
    context: RunContext, info: RunInfo, do_units: DoUnits = do_units_here
) -> RunResult:
    """Do all steps of a run in order.

    Args:
        context: the run.
        info: about it.
        do_units: makes the parts of the planned units.

    Raises:
        LockError: another run is writing the output.
        LongbertError: see the steps.
    """
    refuse_file(context)
    with locked(context.output) as lock:
        models = RunModels(context)
        planned, prepared, key = plan_run(context, models)
        check_missing(context, planned.counts)
        check_memory(planned.counts, prepared)
        summary = summarize(context, planned.counts)
        done = DoneUnits()
        if len(planned.units):
            lock.check()
            claim_output(context, prepared)
            done = _do(context, planned.units, prepared, models, do_units)
        return finish(
            context,
            summary,
            done,
            gather(context, planned.parts),
            prepared,
            replace(info, models=key),
            check=lock.check,
        )


def _do(
    context: RunContext,
    units: Spool[Unit],
    prepared: Prepared,
    models: RunModels,
    do_units: DoUnits,
) -> DoneUnits:
    """Have those units made that are not there yet; what all of them came to."""
    done = DoneUnits()
    left: Spool[Unit] = Spool()
    for unit in units:
        found = find_unit(context, unit)
        done = total_done((done, found.done))
        if not found.is_done:
            left.add(found.left)
    check_errors(context)
    if len(left):
        read_ahead(context.config.language)
        do_units(context, left, prepared, models)
    encoded = encoded_parts(context, (unit.part.name for unit in left if unit.refs))
    return total_done((done, encoded))


def plan_run(context: RunContext, models: RunModels) -> tuple[Planned, Prepared, str | None]:
    """Read the inputs and plan what is to be done, changing nothing.

    Args:
        context: the run.
        models: loaded only if they are not those of the last run.

    Returns:
        The plan, what the models say, and by what a later run knows them again.

    Raises:
        LongbertError: see the steps.
    """
    # Inputs that are not there are told before models are looked for.
    groups = Spool(list_groups(context))
    # Another loader may load anything.
    key = models_key(context) if context.load is load_models else None
    prepared = remembered(context, key)
    if prepared is None:
        prepared = fingerprints(context, models.get())
    return plan(context, groups, prepared), prepared, key


def refuse_file(context: RunContext) -> None:
    """Refuse an output that is a file.

    Raises:
        ConfigError: it is.
    """
    path = context.output.path
    if os.path.isfile(path):
        raise ConfigError(f"output {path!r} is a file: name a folder")
