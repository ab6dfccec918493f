"""Patterns of paths: ``*``, ``?`` and ``[...]`` within a part, ``**`` for any number of folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

ANY_FOLDERS = "**"

_WILDCARD = re.compile(r"[*?\[]")


def first_wildcard(pattern: str) -> int | None:
    """Where the first wildcard of a pattern stands; None if there is none."""
    found = _WILDCARD.search(pattern)
    return None if found is None else found.start()


def path_matches(path: str, pattern: str) -> bool:
    """Whether a whole path fits a pattern; wildcards do not stand for a leading dot of a part."""
    return _match(path.split("/"), pattern.split("/"))


def _match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    wanted, rest = pattern[0], pattern[1:]
    if wanted != ANY_FOLDERS:
        return bool(parts) and _fits(parts[0], wanted) and _match(parts[1:], rest)
    if not rest:
        return bool(parts) and not any(part.startswith(".") for part in parts)
    if rest[0] == ANY_FOLDERS:
        return _match(parts, rest)
    for n_folders in range(len(parts)):
        if _match(parts[n_folders:], rest):
            return True
        if parts[n_folders].startswith("."):
            return False
    return False


def _fits(part: str, pattern: str) -> bool:
    is_hidden = part.startswith(".") and not pattern.startswith(".")
    return not is_hidden and fnmatchcase(part, pattern)
