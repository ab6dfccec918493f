"""Kinds of input, and what reads them."""

from __future__ import annotations

import importlib.metadata

_LIBRARIES = {"text": ("chardet",), "html": ("chardet", "inscriptis", "lxml")}


def reader_versions() -> dict[str, str]:
    """Versions of what reads each kind of input, by kind."""
    return {
        kind: ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
        for kind, names in _LIBRARIES.items()
    }
