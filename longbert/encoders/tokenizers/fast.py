"""Tokenizing a whole document once, with offsets into the caller's own text."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import tokenizers

from longbert.arrays import BoolArray, IdArray, IntArray
from longbert.core.spans import trim_all, white_space
from longbert.core.words import starts_apart
from longbert.encoders.remembered import remembered
from longbert.encoders.tokenizers.base import (
    TokenizedText,
    TokenStream,
    around_content,
    declared_by_transformers,
)
from longbert.encoders.tokenizers.cuts import (
    PIECE_CHARS,
    CutStream,
    normalizers_of,
    safe_cuts,
    splits_at_spaces,
)
from longbert.encoders.tokenizers.stream import WholeTextStream, tokens_of
from longbert.errors import ModelError


class FastTokenizer:
    """A tokenizer of the ``tokenizers`` library.

    Args:
        backend: it is changed to neither truncate nor pad.
        name: the model's name, for messages.
        pad_id: id that fills a row up.
        pads_left: whether padding comes before the tokens.
        max_tokens: positions that the tokenizer declares; None if it declares none.
        unknown_id: id of the unknown token; None if there is none.

    Attributes:
        piece_chars: characters of a long text that are tokenized as one piece, at least.
        pieces_at_once: pieces in a call of the library.

    Raises:
        ModelError: the tokenizer adds special tokens inside a text.
    """

    piece_chars = PIECE_CHARS
    pieces_at_once = 64

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        name: str,
        pad_id: int,
        pads_left: bool,
        max_tokens: int | None,
        unknown_id: int | None,
    ) -> None:
        self._backend = backend
        self._backend.no_truncation()
        self._backend.no_padding()
        content, whole = (
            self._backend.encode("a", add_special_tokens=special).ids for special in (False, True)
        )
        self.prefix, self.suffix = around_content(content, whole, name)
        self.pad_id = pad_id
        self.pads_left = pads_left
        self.max_tokens = max_tokens
        self._unknown_id = unknown_id
        vocabulary = self._backend.get_vocab(with_added_tokens=True)
        self.n_ids = max(vocabulary.values()) + 1
        text = self._backend.to_str()
        description = json.loads(text)
        self.digest = _digest(text, description)
        self._cuts = safe_cuts(description, self._normalize)
        self.can_be_cut = self._cuts is not None
        self.splits_at_spaces = splits_at_spaces(description)
        normalizers = [one["type"] for one in normalizers_of(description)]
        self._drops_first_chars = "Precompiled" in normalizers
        self._joins_quotes = "Replace" in normalizers
        self._continues_word = _continuing_ids(description["model"], vocabulary, self.n_ids)

    @classmethod
    def from_transformers(cls, tokenizer: Any, *, name: str) -> FastTokenizer:
        """Wrap a tokenizer as ``AutoTokenizer`` loads it.

        Args:
            tokenizer: of transformers.
            name: the model's name, for messages.

        Raises:
            ModelError: it gives no offsets, or adds special tokens inside a text.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"{name}: its tokenizer {type(tokenizer).__name__} is written in Python and gives "
                "no character offsets: use a model with a tokenizer.json"
            )
        return cls(tokenizer.backend_tokenizer, name=name, **declared_by_transformers(tokenizer))

    def tokenize(self, text: str) -> TokenizedText:
        """Tokenize a text; long ones piece by piece where that gives the same tokens."""
        return tokens_of(self.stream(), text)

    def stream(self) -> TokenStream:
        """Takes a text in pieces; keeps all of it where no cut is known to be safe."""
        if self._cuts is None:
            return WholeTextStream(lambda text: self.tokenize_pieces(text, [0]))
        return CutStream(
            self._cuts,
            size=self.piece_chars,
            at_once=self.pieces_at_once,
            tokenize=self.tokenize_pieces,
        )

    def tokenize_pieces(self, text: str, starts: Sequence[int]) -> TokenizedText:
        """Tokenize a text piece by piece.

        Args:
            text: the whole, or what lies between two safe cuts.
            starts: where each piece begins; the last one ends with the text.
        """
        pieces = [text[start:stop] for start, stop in pairwise([*starts, len(text)])]
        dropped = list(map(self._n_dropped, pieces))
        pieces = [piece[n:] for piece, n in zip(pieces, dropped, strict=True)]
        encodings = self._backend.encode_batch(pieces, add_special_tokens=False)
        ids = np.concatenate([np.array(one.ids, dtype=np.int32) for one in encodings])
        offsets = np.concatenate(
            [
                np.array(one.offsets, dtype=np.int64).reshape(-1, 2) + (start + n)
                for start, n, one in zip(starts, dropped, encodings, strict=True)
            ]
        )
        offsets = _with_marks(text, offsets)
        if self._joins_quotes:
            offsets = _with_quotes(text, offsets)
        is_space = white_space(text)
        offsets = trim_all(text, offsets, is_space)
        is_unknown = (
            np.zeros(len(ids), dtype=np.bool_)
            if self._unknown_id is None
            else ids == self._unknown_id
        )
        starts_word = self._starts_word(is_space, ids, offsets) | is_unknown
        return TokenizedText(ids, offsets, starts_apart(offsets, starts_word), is_unknown)

    def _n_dropped(self, piece: str) -> int:
        """Characters to begin behind: of those that are dropped at the start the library loses
        count."""
        n = 0
        while self._drops_first_chars and n < len(piece) and not self._normalize(piece[n]):
            n += 1
        return n

    def _normalize(self, text: str) -> str:
        normalizer = self._backend.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _starts_word(
        self,
        is_space: BoolArray,
        ids: IdArray,
        offsets: IntArray,
    ) -> BoolArray:
        if self._continues_word is not None:
            return ~self._continues_word[ids]
        # Without marks on the tokens a word is what white space surrounds.
        is_space = np.append(is_space, True)
        starts = offsets[:, 0]
        starts_word: BoolArray = (
            (starts == 0) | is_space[starts] | is_space[np.maximum(starts, 1) - 1]
        )
        return starts_word


def _digest(text: str, description: Mapping[str, Any]) -> str:
    """Of a description in one order of its keys; bringing 30,000 words into it takes a while."""
    return remembered(
        "digest of tokenizer",
        {"text": hashlib.sha256(text.encode()).hexdigest()},
        lambda: hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest(),
    )


def _with_marks(text: str, offsets: IntArray) -> IntArray:
    """Let each token end with the marks that follow its last character.

    Where a normaliser drops or composes them, the library gives the span of the base alone.
    """
    if text.isascii():
        return offsets
    limits = np.append(offsets[1:, 0], len(text))
    for token in np.flatnonzero(offsets[:, 1] < limits).tolist():
        end, limit = int(offsets[token, 1]), int(limits[token])
        while end < limit and _extends(text[end]):
            end += 1
        offsets[token, 1] = end
    return offsets


def _with_quotes(text: str, offsets: IntArray) -> IntArray:
    """Let a token begin with the first of two quotes that a normaliser, as ALBERT's, makes one.

    The library gives the span of the second.
    """
    ends = np.append(0, offsets[:-1, 1])
    for token in np.flatnonzero(ends < offsets[:, 0]).tolist():
        start = int(offsets[token, 0])
        if text[start - 1 : start + 1] in ("``", "''"):
            offsets[token, 0] = start - 1
    return offsets


def _extends(char: str) -> bool:
    """Whether normalisers join a character to the one before it.

    Marks, the vowel and final of a decomposed Hangul syllable, half-width voiced sound marks.
    """
    return (
        unicodedata.category(char)[0] == "M"
        or "\u1160" <= char <= "\u11ff"
        or "\ud7b0" <= char <= "\ud7ff"
        or "\uff9e" <= char <= "\uff9f"
    )


def _continuing_ids(
    model: dict[str, Any], vocabulary: dict[str, int], n_ids: int
) -> BoolArray | None:
    """Ids of tokens marked as continuing a word, None where the vocabulary has no such mark."""
    prefix = model.get("continuing_subword_prefix")
    if not prefix:
        return None
    continues = np.zeros(n_ids, dtype=np.bool_)
    continues[[id_ for token, id_ in vocabulary.items() if token.startswith(prefix)]] = True
    return continues
