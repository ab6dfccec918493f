"""Files in memory, in place of a file system."""

from __future__ import annotations

import io
from typing import BinaryIO


class MemoryFiles:
    """Files in memory."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.opened: list[str] = []

    def is_folder(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self.data)

    def open(self, path: str) -> BinaryIO:
        self.opened.append(path)
        if path not in self.data:
            raise FileNotFoundError(2, "No such file or directory", path)
        return io.BytesIO(self.data[path])

    def write(self, path: str, data: bytes) -> None:
        self.data[path] = data
