"""Shards of the manifest, which list the parts of an output, a bounded number in each file.

Like the files of an index they are named by their content: a run writes those that it lacks before
it publishes the manifest, and removes afterwards what that no longer names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from longbert.core.units import ordinal_of
from longbert.errors import OutputError
from longbert.store.folder import OutputFolder
from longbert.store.layout import MANIFEST, shard_file
from longbert.store.receipts import PartEntry, Receipt, Shard, ShardEntry
from longbert.store.record import from_json, to_json

PARTS_OF_A_SHARD = 1000
"""Numbers of parts that go into one shard, whether there are parts of all these numbers or not."""


def shard_of(part: str) -> int:
    """Number of the shard that lists a part; it stays when other parts come and go."""
    return ordinal_of(part) // PARTS_OF_A_SHARD


def number_of(shard: ShardEntry) -> int:
    """By what shards are in order."""
    return ordinal_of(shard.file.rpartition("/")[2])


def write_shard(output: OutputFolder, number: int, receipts: Iterable[Receipt]) -> ShardEntry:
    """List some parts in a file, unless it is there already.

    Args:
        output: the folder.
        number: of the shard.
        receipts: of its parts, in order.

    Raises:
        OutputError: the file cannot be written.
    """
    parts = tuple(
        PartEntry(
            name=receipt.part,
            fingerprint=receipt.fingerprint,
            lexical=receipt.lexical,
            counts=receipt.counts,
            files=receipt.files,
        )
        for receipt in receipts
    )
    data = to_json(Shard(parts=parts))
    sha256 = hashlib.sha256(data).hexdigest()
    file = shard_file(number, sha256)
    # A finished output may lie where nothing can be written; a damaged file may have this size.
    if output.read(file) != data:
        output.write(file, data)
    return _entry(file, sha256, parts)


def read_shard(output: OutputFolder, entry: ShardEntry) -> tuple[PartEntry, ...]:
    """The parts that a shard lists, in order.

    Raises:
        OutputError: its file is missing or damaged.
    """
    path = output.join(entry.file)
    data = output.read(entry.file)
    if data is None or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise OutputError(
            f"{path} is {'missing' if data is None else 'damaged'}: restore it, or remove "
            f"{output.join(MANIFEST)} and run longbert again, which keeps the parts that are "
            "complete"
        )
    return from_json(data, Shard, path=path).parts


def read_parts(output: OutputFolder, shards: Iterable[ShardEntry]) -> Iterator[PartEntry]:
    """The parts that some shards list, in order, read as they are asked for.

    Raises:
        OutputError: a shard is missing or damaged.
    """
    for entry in shards:
        yield from read_shard(output, entry)


def part_names(output: OutputFolder, shards: Iterable[ShardEntry]) -> Iterator[str]:
    """As :func:`read_parts`, the names alone."""
    return (part.name for part in read_parts(output, shards))


def sums_up(entry: ShardEntry, parts: Sequence[PartEntry]) -> bool:
    """Whether what the manifest says of a shard is what the shard lists."""
    return entry == _entry(entry.file, entry.sha256, parts)


def n_parts(shards: Sequence[ShardEntry]) -> int:
    """How many parts some shards list."""
    return sum(shard.n_parts for shard in shards)


def _entry(file: str, sha256: str, parts: Sequence[PartEntry]) -> ShardEntry:
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    return ShardEntry(
        file=file,
        sha256=sha256,
        n_parts=len(parts),
        counts=dict(counts),
        fingerprints=tuple(sorted({part.fingerprint for part in parts})),
    )
