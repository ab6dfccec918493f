"""Gathering the receipts of parts into the shards of a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from longbert.engine.context import RunContext
from longbert.errors import OutputError
from longbert.store.receipts import Receipt, ShardEntry
from longbert.store.shards import shard_of, write_shard


def gather_shard(context: RunContext, number: int, parts: Iterable[str]) -> ShardEntry:
    """List the parts of one shard of the manifest, with what their receipts say.

    Args:
        context: the run.
        number: of the shard.
        parts: names, in order.

    Raises:
        OutputError: a part has no receipt, or the file cannot be written.
    """
    return write_shard(context.output, number, receipts(context, parts))


def gather(context: RunContext, parts: Iterable[str]) -> tuple[ShardEntry, ...]:
    """As :func:`gather_shard`, for all parts of an output, in order."""
    return tuple(
        gather_shard(context, number, of_shard) for number, of_shard in groupby(parts, key=shard_of)
    )


def receipts(context: RunContext, parts: Iterable[str]) -> Iterator[Receipt]:
    """The receipts of parts that should all be there.

    Raises:
        OutputError: one has none.
    """
    for name in parts:
        receipt = context.output.receipt(name)
        if receipt is None:
            raise OutputError(f"part {name} has no receipt: run again to create it")
        yield receipt
