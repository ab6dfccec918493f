"""Damaging an output the way a program or a hand might."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support.written_tables import to_parquet

from .manifests import edit_manifest, edit_parts, part_names_of


def part(output: Path, number: int = 0) -> str:
    return part_names_of(output)[number]


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a record as a program might that knows how a manifest is sealed."""
    if path.name == "manifest.json":
        edit_manifest(path.parent, change)
        return
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def replace_table(output: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change rows as a program might, checksums and numbers of rows included."""
    name = part(output)
    path = output / table / f"{name}.parquet"
    data = to_parquet(change(pq.read_table(path)))
    path.write_bytes(data)
    entry = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "n_bytes": len(data),
        "n_rows": pq.read_metadata(path).num_rows,
    }
    edit_parts(output, lambda parts: parts[0]["files"].update({table: entry}))
    edit(output / "receipts" / f"{name}.json", lambda r: r["files"].update({table: entry}))


def with_column(table: pa.Table, column: str, change: Callable[[list[Any]], None]) -> pa.Table:
    values = table.column(column).to_pylist()
    change(values)
    index = table.schema.get_field_index(column)
    field = table.schema.field(column)
    return table.set_column(index, field, pa.array(values, type=field.type))
