"""Prompts: what an embedding model wants to read before a query or a document."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.encoders.tokenizers.fast import TokenizedText, Tokenizer
from longbert.errors import ConfigError, ModelError

FILE = "config_sentence_transformers.json"
_QUERY_NAMES = ("query",)
_DOCUMENT_NAMES = ("document", "passage", "corpus")
# What every tokenizer takes for white space.
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts put before queries and before documents; empty where there is none."""

    query: str = ""
    document: str = ""

    @classmethod
    def of(cls, folder: ModelFolder, config: ModelConfig) -> Prompts:
        """Those of the configuration, and where it leaves one out, that of the model.

        Raises:
            ModelError: the model's files declare prompts that cannot be used.
        """
        declared = cls.from_folder(folder)
        given = config.query_prompt, config.document_prompt
        query, document = (
            own if one is None else one
            for one, own in zip(given, (declared.query, declared.document), strict=True)
        )
        return cls(query, document)

    @classmethod
    def from_folder(cls, folder: ModelFolder) -> Prompts:
        """What a model's sentence-transformers files declare.

        Names are those of ``encode_query`` and ``encode_document`` of that library: ``query``;
        the first that is there of ``document``, ``passage`` and ``corpus``. A prompt of another
        name that the files make the default is that of a side without one of its own, as in
        ``encode``.

        Raises:
            ModelError: a prompt is no text, or the default is none of the prompts.
        """
        settings = folder.read_json(FILE)
        if settings is None:
            return cls()
        path = folder.path / FILE
        if not isinstance(settings, Mapping):
            raise ModelError(f"{path} must hold a JSON object: restore the file")
        prompts = _texts(settings.get("prompts"), path)
        default = settings.get("default_prompt_name")
        names = {*_QUERY_NAMES, *_DOCUMENT_NAMES}
        # The library knows the first of both sides even where the files do not name them.
        known = {_QUERY_NAMES[0], _DOCUMENT_NAMES[0], *prompts}
        if default is not None and (not isinstance(default, str) or default not in known):
            raise ModelError(
                f"{path}: default_prompt_name is {default!r}, and the prompts are "
                f"{', '.join(sorted(prompts)) or 'none'}: name one of them, or remove the entry"
            )
        common = "" if default is None or default in names else prompts[default]
        query, document = (
            next((prompts[name] for name in side if name in prompts), common)
            for side in (_QUERY_NAMES, _DOCUMENT_NAMES)
        )
        return cls(query, document)


def _texts(prompts: Any, path: Any) -> dict[str, str]:
    """Prompts by name; those without a text, which the library allows, left out."""
    if prompts is None:
        return {}
    if not isinstance(prompts, Mapping):
        raise ModelError(
            f"{path}: prompts must be an object of names and texts, is a "
            f"{type(prompts).__name__}: restore the file"
        )
    texts = {}
    for name, text in prompts.items():
        if text is None:
            continue
        if not isinstance(text, str):
            raise ModelError(
                f"{path}: the prompt {name!r} must be a text, is a {type(text).__name__}: "
                "restore the file, or remove the entry"
            )
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ModelError(
                f"{path}: the prompt {name!r} has a lone surrogate, so it is not valid Unicode: "
                "restore the file"
            )
        texts[name] = text
    return texts


class PromptedTokenizer:
    """A tokenizer with a prompt's tokens among those before every window's content.

    White space at the end of the prompt belongs to the text's first token where the tokenizer
    marks words so, and to none elsewhere: it is no part of ``prefix``. The tokens of a text are
    those that it has behind the prompt, so that one window holds what the tokenizer makes of
    prompt and text put together. Where a token would reach across from the prompt into the text,
    which takes a prompt that ends with neither a space nor a mark, the text has the tokens that
    it has alone.

    Args:
        tokenizer: without a prompt.
        prompt: the text; not empty.

    Attributes:
        n_prompt: tokens of the prompt in ``prefix``.
        n_positions_alone: positions of the special tokens before a text and of the prompt as a
            text of its own. More than ``prefix`` has where white space at the prompt's end is a
            token then; sentence-transformers leaves so many out of its pooling if it leaves out
            the prompt (``Transformer._get_prompt_length``).
    """

    def __init__(self, tokenizer: Tokenizer, prompt: str) -> None:
        self._inner = tokenizer
        self._prompt = prompt
        body = prompt.rstrip(_SPACE)
        self._body_chars = len(body)
        self._body_ids = tokenizer.tokenize(body).ids
        self.n_prompt = len(self._body_ids)
        self.n_positions_alone = len(tokenizer.prefix) + len(tokenizer.tokenize(prompt))
        self.prefix = (*tokenizer.prefix, *self._body_ids.tolist())
        self.suffix = tokenizer.suffix
        self.pad_id = tokenizer.pad_id
        self.pads_left = tokenizer.pads_left
        self.max_tokens = tokenizer.max_tokens
        self.n_ids = tokenizer.n_ids
        self.splits_at_spaces = tokenizer.splits_at_spaces
        # Where a text has the same tokens behind the prompt as alone, passes with and without
        # the prompt share them.
        self._is_apart = tokenizer.splits_at_spaces and len(body) < len(prompt)
        self.digest = (
            tokenizer.digest
            if self._is_apart
            else hashlib.sha256(f"{tokenizer.digest} {prompt}".encode()).hexdigest()
        )

    def tokenize(self, text: str) -> TokenizedText:
        """Tokenize a text of any length as it reads behind the prompt; offsets are the text's."""
        if self._is_apart:
            return self._inner.tokenize(text)
        whole = self._inner.tokenize(self._prompt + text)
        n, n_chars = self.n_prompt, len(self._prompt)
        offsets = whole.offsets[n:]
        if (
            not np.array_equal(whole.ids[:n], self._body_ids)
            or (n and whole.offsets[:n, 1].max() > self._body_chars)
            or not (offsets[:, 1] > n_chars).any()
        ):
            return self._inner.tokenize(text)
        starts_word = whole.starts_word[n:].copy()
        starts_word[0] = True
        return TokenizedText(
            ids=whole.ids[n:],
            offsets=np.maximum(offsets - n_chars, 0),
            starts_word=starts_word,
            is_unknown=whole.is_unknown[n:],
        )


def with_prompt(tokenizer: Tokenizer, prompt: str, *, setting: str, window: int) -> Tokenizer:
    """The tokenizer of windows that begin with a prompt; itself if the prompt is empty.

    Args:
        setting: ``query_prompt`` or ``document_prompt``, for the message.
        window: positions of a window, special tokens included.

    Raises:
        ConfigError: the prompt leaves no room for content.
    """
    if not prompt:
        return tokenizer
    prompted = PromptedTokenizer(tokenizer, prompt)
    n_special = len(tokenizer.prefix) + len(tokenizer.suffix)
    if window <= n_special + prompted.n_prompt:
        raise ConfigError(
            f"{setting} must have fewer than {window - n_special} tokens in a window of {window} "
            f"with {n_special} special tokens, has {prompted.n_prompt}: shorten it, switch it off "
            "with an empty text, or enlarge window"
        )
    return prompted
