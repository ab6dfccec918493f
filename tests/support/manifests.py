"""The parts that a manifest's shards list, read and changed without the code that wrote them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longbert.core.fingerprint import fingerprint

Entry = dict[str, Any]


def parts_of(output: Path) -> list[Entry]:
    """What the shards say of each part, in order."""
    manifest = json.loads((output / "manifest.json").read_text())
    return [
        part
        for shard in manifest["shards"]
        for part in json.loads((output / shard["file"]).read_text())["parts"]
    ]


def part_names_of(output: Path) -> list[str]:
    """Names of the parts, in order."""
    return [part["name"] for part in parts_of(output)]


def edit_manifest(output: Path, change: Callable[[Entry], None]) -> None:
    """Change the manifest as a program might that knows how it is sealed."""
    path = output / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    del content["seal"]
    content["seal"] = fingerprint(content)
    path.write_text(json.dumps(content))


def edit_parts(output: Path, change: Callable[[list[Entry]], None]) -> None:
    """Change what the one shard of a manifest lists, as such a program might."""

    def change_shard(manifest: Entry) -> None:
        (shard,) = manifest["shards"]
        path = output / shard["file"]
        content = json.loads(path.read_text())
        change(content["parts"])
        data = json.dumps(content).encode()
        shard["sha256"] = hashlib.sha256(data).hexdigest()
        path.write_bytes(data)
        names = {name for part in content["parts"] for name in part["counts"]}
        shard["counts"] = {
            name: sum(part["counts"].get(name, 0) for part in content["parts"]) for name in names
        }

    edit_manifest(output, change_shard)
