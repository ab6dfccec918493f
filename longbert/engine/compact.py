"""Merging small parts of an output, in the order of the inputs; nothing is encoded."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.encoders.loaded_models import no_models
from longbert.engine.compaction import plan_compaction
from longbert.engine.context import RunContext
from longbert.engine.finish import publish
from longbert.engine.gather import gather
from longbert.engine.plan import list_groups, scan_group
from longbert.engine.planner import with_units
from longbert.engine.prepare import Prepared
from longbert.engine.unit import index_part, process_unit
from longbert.errors import InputError, OutputError
from longbert.store.lock import Lock, locked
from longbert.store.manifest import Manifest
from longbert.store.receipts import Receipt
from longbert.store.shards import part_names


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting did.

    Attributes:
        n_before, n_after: parts.
        n_written: parts that were made; 0 if there was nothing to do.
    """

    n_before: int
    n_after: int
    n_written: int


def compact_output(context: RunContext) -> Compacted:
    """Write the parts that a fresh run over the same inputs would, from the rows that are there.

    Like a run it may be stopped anywhere and repeated: the manifest names the old parts until all
    new ones are complete.

    Args:
        context: the settings of the run that made the output.

    Raises:
        LockError: a run is writing the output.
        InputError: the inputs are not those of the last run any more.
        OutputError: a part is damaged, or a file cannot be written.
    """
    context.output.finished()
    with locked(context.output) as lock:
        return _compact(context, lock)


def _compact(context: RunContext, lock: Lock) -> Compacted:
    manifest = context.output.finished()
    names = part_names(context.output, manifest.shards)
    earlier = (_receipt(context, name).planned for name in names)
    blocks = (block for files in list_groups(context) for block in scan_group(context, files))
    plan = plan_compaction(blocks, unit_bytes=context.config.unit_bytes, earlier=earlier)
    if plan.n_held < plan.n_documents:
        raise InputError(
            f"{plan.n_documents - plan.n_held:,} of {plan.n_documents:,} documents in the "
            f"inputs are new or have changed since {context.output.path} was made: run longbert "
            "again, then compact"
        )
    context.meter.add({"planned_documents": sum(len(one.part.documents) for one in plan.units)})
    if len(plan.units):
        lock.check()
    for name, unit in with_units(plan.parts, plan.units):
        if unit is None:
            index_part(context, _receipt(context, name))
        else:
            process_unit(context, unit, no_models)
            context.meter.add({"documents": len(unit.part.documents)})
    # Also where all parts are there: what an earlier attempt no longer removed is removed now.
    publish(
        context,
        gather(context, plan.parts),
        _prepared(context, manifest),
        manifest,
        afresh=True,
        check=lock.check,
    )
    return Compacted(plan.n_parts_before, len(plan.parts), len(plan.units))


def _receipt(context: RunContext, name: str) -> Receipt:
    receipt = context.output.whole_receipt(name, context.tables)
    if receipt is None:
        raise OutputError(
            f"part {name} in {context.output.path} is damaged: run longbert again with the same "
            "inputs, which makes it anew, then compact"
        )
    return receipt


def _prepared(context: RunContext, manifest: Manifest) -> Prepared:
    """What publishing needs, as the last run had it; words are as this machine makes them."""
    return Prepared(
        rows=manifest.rows,
        index=manifest.index_settings,
        lexical=context.lexical,
        models=manifest.models,
        readers=manifest.readers,
        device="",
    )
