"""How a tokenizer puts two texts into one window."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from longbert.encoders.transformers_log import silenced
from longbert.errors import ModelError

_EXAMPLE = "a"


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """Special tokens and types around two texts, each as ids and their types.

    Attributes:
        prefix, middle, suffix: special tokens before, between and after the texts.
        first_type, second_type: of the texts' own tokens.
    """

    prefix: tuple[tuple[int, int], ...]
    middle: tuple[tuple[int, int], ...]
    suffix: tuple[tuple[int, int], ...]
    first_type: int
    second_type: int

    @property
    def n_special(self) -> int:
        """Positions that the texts cannot have."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def joined(self, first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
        """The ids of two texts in one window, and their types."""
        whole = chain(
            self.prefix,
            ((one, self.first_type) for one in first),
            self.middle,
            ((one, self.second_type) for one in second),
            self.suffix,
        )
        ids, types = zip(*whole, strict=True)
        return list(ids), list(types)


def load_pair_template(folder: Path, *, name: str) -> PairTemplate:
    """Read off an example how the tokenizer of a model joins two texts.

    Args:
        folder: of the model.
        name: the model's name, for messages.

    Raises:
        ModelError: the tokenizer puts no special tokens around two texts.
    """
    from transformers import AutoTokenizer

    with silenced():
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        content = list(tokenizer(_EXAMPLE, add_special_tokens=False)["input_ids"])
        whole = tokenizer(_EXAMPLE, _EXAMPLE)
    return _template(content, whole, name)


def _template(content: list[int], whole: Any, name: str) -> PairTemplate:
    ids = list(whole["input_ids"])
    # Without types all tokens are of the same one.
    types = list(whole.get("token_type_ids", [0] * len(ids)))
    first = _find(content, ids, 0)
    second = -1 if first < 0 else _find(content, ids, first + len(content))
    if second < 0:
        raise ModelError(
            f"{name}: its tokenizer does not join two texts into one window: use a model that was "
            "trained as a cross-encoder, with the tokenizer it was trained with"
        )
    marked = list(zip(ids, types, strict=True))
    n = len(content)
    return PairTemplate(
        prefix=tuple(marked[:first]),
        middle=tuple(marked[first + n : second]),
        suffix=tuple(marked[second + n :]),
        first_type=types[first],
        second_type=types[second],
    )


def _find(wanted: list[int], ids: list[int], start: int) -> int:
    """Where a run of ids begins, at or after a place; -1 if nowhere."""
    places = range(start, len(ids) - len(wanted) + 1)
    return next((one for one in places if ids[one : one + len(wanted)] == wanted), -1)
