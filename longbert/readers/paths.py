"""Paths as ids, tables and messages give them."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[\ud800-\udfff]|%(?=25|[89A-F][0-9A-F])")


def printable_path(path: str) -> str:
    """A path that any table can hold, and that is unlike that of every other file.

    A byte that is not UTF-8 becomes ``%XX``. A percent sign becomes ``%25`` where it could be
    taken for the beginning of such an escape, so that no two names become one.
    """
    return _UNSAFE.sub(_escaped, path)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char == "%":
        return "%25"
    # Python keeps an undecodable byte of a name as a surrogate between U+DC80 and U+DCFF.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"%{byte:02X}" for byte in char.encode(errors=errors))
