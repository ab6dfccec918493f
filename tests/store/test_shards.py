"""Shards of the manifest: which parts they list, and what happens to their files."""

from __future__ import annotations

import errno
import json
import os

import pytest
from fakes.memory_files import MemoryFiles

from longbert.errors import OutputError
from longbert.store.folder import OutputFolder
from longbert.store.receipts import Receipt
from longbert.store.shards import (
    n_parts,
    number_of,
    part_names,
    read_shard,
    shard_of,
    sums_up,
    write_shard,
)


def receipt(part: str, fingerprint: str = "f", **counts: int) -> Receipt:
    return Receipt(
        part=part, fingerprint=fingerprint, lexical="l", counts=counts, files={}, documents=()
    )


def test_a_part_stays_in_its_shard_whatever_others_there_are() -> None:
    assert [shard_of(f"{n:06d}-0123") for n in (0, 999, 1000, 12_345, 1_000_000)] == [
        *(0, 0, 1, 12, 1000)
    ]


def test_the_manifest_says_what_a_shard_holds() -> None:
    output = OutputFolder(MemoryFiles(), "out")
    receipts = [receipt("001000-a", documents=2), receipt("001001-b", "e", documents=3, errors=1)]
    entry = write_shard(output, 1, receipts)
    assert entry.counts == {"documents": 5, "errors": 1}
    assert entry.fingerprints == ("e", "f")
    assert number_of(entry) == 1
    parts = read_shard(output, entry)
    assert [(part.name, part.counts) for part in parts] == [
        (one.part, one.counts) for one in receipts
    ]
    assert sums_up(entry, parts)
    assert not sums_up(entry, parts[1:])
    other = write_shard(output, 2, [receipt("002000-c")])
    assert [*part_names(output, (entry, other))] == ["001000-a", "001001-b", "002000-c"]
    assert n_parts((entry, other)) == 3


def test_a_shard_that_is_there_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), path)

    files = MemoryFiles()
    output = OutputFolder(files, "out")
    entry = write_shard(output, 0, [receipt("000000-a", documents=1)])
    monkeypatch.setattr(files, "create", refuse)
    assert write_shard(output, 0, [receipt("000000-a", documents=1)]) == entry
    files.remove(f"out/{entry.file}")
    with pytest.raises(OutputError, match="cannot be written"):
        write_shard(output, 0, [receipt("000000-a", documents=1)])


def test_a_damaged_shard_is_written_again_although_it_has_the_size() -> None:
    files = MemoryFiles()
    output = OutputFolder(files, "out")
    entry = write_shard(output, 0, [receipt("000000-a", documents=1)])
    whole = files.data[f"out/{entry.file}"]
    files.data[f"out/{entry.file}"] = whole.replace(b"1", b"2")
    assert write_shard(output, 0, [receipt("000000-a", documents=1)]) == entry
    assert files.data[f"out/{entry.file}"] == whole


def test_a_changed_part_gives_its_shard_another_name() -> None:
    output = OutputFolder(MemoryFiles(), "out")
    before, after = (write_shard(output, 0, [receipt("000000-a", documents=n)]) for n in (1, 2))
    assert before.file != after.file
    assert read_shard(output, before)[0].counts == {"documents": 1}


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_shard_that_is_lost_or_changed_says_what_to_do(is_gone: bool) -> None:
    files = MemoryFiles()
    output = OutputFolder(files, "out")
    entry = write_shard(output, 0, [receipt("000000-a", documents=1)])
    path = f"out/{entry.file}"
    if is_gone:
        files.remove(path)
    else:
        content = json.loads(files.data[path])
        content["parts"][0]["counts"]["documents"] = 2
        files.data[path] = json.dumps(content).encode()
    what = "missing" if is_gone else "damaged"
    with pytest.raises(OutputError, match=rf"000000-.*{what}.*remove out/manifest\.json and run"):
        read_shard(output, entry)
