"""The files that a model is loaded from."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHTS = ("*.safetensors",)
PICKLED_WEIGHTS = ("*.bin",)
SETTINGS = ("*.json", "*.txt", "*.model", "*.codes", "*.py")
"""Configuration, tokenizers and code."""


def files_digest(folder: Path) -> str:
    """SHA-256 of all files of a folder that a model can be loaded from.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(
        path
        for pattern in (*WEIGHTS, *PICKLED_WEIGHTS, *SETTINGS)
        for path in folder.rglob(pattern)
    ):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content} {path.relative_to(folder)}\n".encode())
    return digest.hexdigest()
