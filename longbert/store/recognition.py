"""Telling the output folders of longbert, of any version, from other folders."""

from __future__ import annotations

import json
from typing import Any

from longbert.store.filesystem import FileSystem, join
from longbert.store.layout import CLAIM, MANIFEST

_MOST_BYTES = 256 << 20
_DEPTH = 3


def is_output(filesystem: FileSystem, folder: str) -> bool:
    """Whether longbert wrote the manifest or claim in a folder.

    Every format of these files has a number called ``format`` at the top level, and the version
    of longbert a few levels down.
    """
    # The claim first: it exists from the start and stays small.
    return any(_is_ours(filesystem, join(folder or ".", name)) for name in (CLAIM, MANIFEST))


def _is_ours(filesystem: FileSystem, path: str) -> bool:
    try:
        with filesystem.open(path) as file:
            data = file.read(_MOST_BYTES)
        content = json.loads(data) if b'"longbert"' in data else None
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(content, dict)
        and isinstance(content.get("format"), int)
        and _names_version(content, _DEPTH)
    )


def _names_version(content: dict[str, Any], depth: int) -> bool:
    if isinstance(content.get("longbert"), str):
        return True
    return depth > 1 and any(
        isinstance(value, dict) and _names_version(value, depth - 1) for value in content.values()
    )
