"""The documents that a benchmark reads: the user's own, or made ones."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from longbert.config import RunConfig
from longbert.errors import InputError
from longbert.files import filesystem_for
from longbert.readers.documents import read, scan
from longbert.readers.inputs import InputFiles
from longbert.readers.settings import ReadSettings
from longbert.records import Document

_WORDS_OF_MADE = 600
_SYLLABLES = ("ba", "den", "fo", "gri", "ka", "lo", "mer", "ni", "pol", "ra", "sti", "tu")


def sample(config: RunConfig, *, n_documents: int) -> list[str]:
    """The texts of the first documents of the inputs that can be read.

    Raises:
        InputError: there is none.
    """
    filesystem = filesystem_for(*config.inputs)
    settings = ReadSettings.of_run(config)
    files = InputFiles(filesystem, config.inputs)
    refs = (ref for file in files for ref in scan(filesystem, file, settings))
    items = (item for ref in refs for item in read(filesystem, [ref], settings))
    texts = [item.text for item in islice(_readable(items), n_documents)]
    if not texts:
        raise InputError(
            f"input {', '.join(config.inputs)} has no document that can be read: name one that has"
        )
    return texts


def made(*, n_documents: int) -> list[str]:
    """Texts of made words, the same ones each time."""
    draw = random.Random(0)
    return [" ".join(_sentences(draw)) for _ in range(n_documents)]


def write(texts: Sequence[str], path: Path) -> None:
    """Write texts as JSON lines."""
    with open(path, "w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": f"{number:06d}", "text": text}) + "\n")


def _readable(items: Iterator[object]) -> Iterator[Document]:
    for item in items:
        if isinstance(item, Document) and item.text.strip():
            yield item


def _sentences(draw: random.Random) -> Iterator[str]:
    n_words = 0
    while n_words < _WORDS_OF_MADE:
        length = draw.randint(6, 20)
        words = ["".join(draw.choices(_SYLLABLES, k=draw.randint(1, 3))) for _ in range(length)]
        yield " ".join(words).capitalize() + "."
        n_words += length
