"""Tokenizers that put a prompt before every window."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from longbert.arrays import IdArray
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer, TokenStream
from longbert.encoders.tokenizers.stream import joined, no_tokens, tokens_of
from longbert.errors import ConfigError

# What every tokenizer takes for white space.
_SPACE = " \t\r\n"


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
        self.can_be_cut = tokenizer.can_be_cut
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
        return tokens_of(self.stream(), text)

    def stream(self) -> TokenStream:
        """Tokenize a text that comes in pieces as it reads behind the prompt."""
        if self._is_apart:
            return self._inner.stream()
        return _PromptedStream(self._inner, self._prompt, self._body_ids)


class _PromptedStream:
    """Tokenizes a text behind a prompt, or alone if a token would reach across.

    Until it has a token of the text, which decides that, it keeps the text.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: str, body_ids: IdArray) -> None:
        self._tokenizer = tokenizer
        self._stream = tokenizer.stream()
        self._body_ids = body_ids
        self._body_chars = len(prompt.rstrip(_SPACE))
        self._n_chars = len(prompt)
        self._held: list[str] | None = []
        self._found = [self._stream.add(prompt)]

    def add(self, piece: str) -> TokenizedText:
        """Take the next characters; the tokens that no later one can change."""
        tokens = self._stream.add(piece)
        if self._held is None:
            return self._of_text(tokens)
        self._held.append(piece)
        self._found.append(tokens)
        # White space behind the prompt does not decide anything.
        if not (tokens.offsets[:, 1] > self._n_chars).any():
            return no_tokens()
        return self._decide()

    def finish(self) -> TokenizedText:
        """The tokens that are left."""
        tokens = self._stream.finish()
        if self._held is None:
            return self._of_text(tokens)
        self._found.append(tokens)
        return joined([self._decide(), self._stream.finish()])

    def _decide(self) -> TokenizedText:
        """The tokens so far behind the prompt, or those of the text alone."""
        whole, held = joined(self._found), self._held or []
        self._found, self._held = [], None
        n = len(self._body_ids)
        if (
            not np.array_equal(whole.ids[:n], self._body_ids)
            or (n and whole.offsets[:n, 1].max() > self._body_chars)
            or not (whole.offsets[n:, 1] > self._n_chars).any()
        ):
            self._stream, self._n_chars = self._tokenizer.stream(), 0
            return joined([no_tokens(), *(self._stream.add(piece) for piece in held)])
        starts_word = whole.starts_word[n:].copy()
        starts_word[0] = True
        tokens = TokenizedText(whole.ids[n:], whole.offsets[n:], starts_word, whole.is_unknown[n:])
        return self._of_text(tokens)

    def _of_text(self, tokens: TokenizedText) -> TokenizedText:
        return replace(tokens, offsets=np.maximum(tokens.offsets - self._n_chars, 0))


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
