"""Loading the tokenizer of a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longbert.encoders.tokenizers.base import Tokenizer
from longbert.encoders.tokenizers.fast import FastTokenizer
from longbert.encoders.tokenizers.fastbpe import FastBpeTokenizer
from longbert.encoders.tokenizers.files import read_tokenizer
from longbert.encoders.transformers_log import first_line, silenced
from longbert.errors import ModelError


def load_tokenizer(folder: Path, *, name: str, trust_remote_code: bool = False) -> Tokenizer:
    """Load the tokenizer of a model.

    Args:
        folder: of the model.
        name: the model's name, for messages.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        ModelError: it cannot be loaded, or gives no offsets and is of no known kind.
    """
    tokenizer = None if trust_remote_code else read_tokenizer(folder, name=name)
    return tokenizer or _load_with_transformers(folder, name, trust_remote_code)


def _load_with_transformers(folder: Path, name: str, trust_remote_code: bool) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        with silenced():
            loaded = AutoTokenizer.from_pretrained(
                str(folder), use_fast=True, trust_remote_code=trust_remote_code
            )
    except Exception as error:
        raise ModelError(
            f"{name}: its tokenizer cannot be loaded from {folder} "
            f"({type(error).__name__}: {first_line(error)}): get its files again"
        ) from error
    return wrap_tokenizer(loaded, name=name)


def wrap_tokenizer(tokenizer: Any, *, name: str) -> Tokenizer:
    """Wrap a tokenizer of transformers.

    Args:
        tokenizer: as ``AutoTokenizer`` loads it.
        name: the model's name, for messages.

    Raises:
        ModelError: it is written in Python, and not of a kind whose tokens can be aligned.
    """
    if FastBpeTokenizer.fits(tokenizer):
        return FastBpeTokenizer(tokenizer, name=name)
    return FastTokenizer.from_transformers(tokenizer, name=name)
