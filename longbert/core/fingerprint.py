"""The run fingerprint: what decides on the output, hashed, and how two runs differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()


def fingerprint(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings that are JSON-able, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def differences(before: Any, after: Any, *, key: str = "") -> Iterator[str]:
    """Lines ``key: before -> after`` for every setting that differs."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            path = f"{key}.{name}" if key else str(name)
            yield from differences(before.get(name, _ABSENT), after.get(name, _ABSENT), key=path)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, key=f"{key}[{index}]")
    elif _json(before) != _json(after):
        yield f"{key}: {_short(before)} -> {_short(after)}"


def _json(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
