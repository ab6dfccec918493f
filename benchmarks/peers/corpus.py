"""The text that all programs of a comparison get, and the windows that they cut it into."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longbert.core.windows import default_overlap, split_windows

N_SPECIAL = 2
"""Positions of a window of BERT's kind that hold no content."""


@dataclass(frozen=True)
class Task:
    """What every program does.

    Attributes:
        model: folder of the encoder, as sentence-transformers reads it.
        documents: JSON lines with ``id`` and ``text``.
        window: positions of a window, special tokens included.
        overlap: content tokens that neighbours share.
        threads: of each program.
        batch_rows: windows of a batch where a program has no default of its own for a CPU.
    """

    model: str
    documents: str
    window: int
    overlap: int
    threads: int
    batch_rows: int

    def texts(self) -> list[str]:
        """The documents."""
        lines = Path(self.documents).read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["text"] for line in lines]

    def to_json(self) -> str:
        """For the process of a program."""
        return json.dumps(asdict(self))


def task_of(values: dict[str, Any]) -> Task:
    """A task as its own process gets it."""
    return Task(**values)


def default_overlap_of(window: int) -> int:
    """The overlap that longbert takes if none is named."""
    return default_overlap(window - N_SPECIAL)


def read_tokenizer(model: str) -> Any:
    """The tokenizer of a model, which neither cuts nor fills up."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def window_texts(texts: Sequence[str], task: Task) -> list[str]:
    """The text of each window of each document, in order."""
    tokenizer = read_tokenizer(task.model)
    found = []
    for text in texts:
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets
        size = task.window - N_SPECIAL
        for window in split_windows(len(offsets), size=size, overlap=task.overlap):
            start, stop = offsets[window.start][0], offsets[window.stop - 1][1]
            found.append(text[start:stop])
    return found


def are_whole(texts: Sequence[str], task: Task) -> list[bool]:
    """Whether each window's text is one window again.

    A text that begins within a word may have a token more than it had there, which other programs
    leave out and longbert puts into a second window.
    """
    tokenizer = read_tokenizer(task.model)
    size = task.window - N_SPECIAL
    lengths = (len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    return [length <= size for length in lengths]


def count(texts: Sequence[str], task: Task) -> dict[str, int]:
    """How much there is: documents, characters, tokens, windows and positions of these."""
    tokenizer = read_tokenizer(task.model)
    lengths = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    windows = [
        window
        for length in lengths
        for window in split_windows(length, size=task.window - N_SPECIAL, overlap=task.overlap)
    ]
    return {
        "documents": len(texts),
        "characters": sum(map(len, texts)),
        "unique_tokens": sum(lengths),
        "windows": len(windows),
        "processed_tokens": sum(window.n_tokens + N_SPECIAL for window in windows),
    }


def say(message: str) -> None:
    """Tell whoever watches."""
    print(message, file=sys.stderr, flush=True)
