"""Offsets for tokenizers written in Python that take a text word by word.

BERTweet's and PhoBERT's are of this kind: fastBPE cuts each word by itself, and all pieces of a
word but the last end with ``@@``. transformers gives their ids, but not where they stand.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from longbert.arrays import IntArray
from longbert.core.spans import trim_all, white_space
from longbert.core.words import starts_apart
from longbert.encoders.tokenizers.base import (
    TokenizedText,
    TokenStream,
    around_content,
    declared_by_transformers,
)
from longbert.encoders.tokenizers.cuts import (
    BEHIND_LINE,
    PIECE_CHARS,
    CutStream,
    crosses_spaces,
)
from longbert.encoders.tokenizers.stream import WholeTextStream
from longbert.errors import ModelError

# As both classes split: a line feed right after a word is a part of it.
_WORD = re.compile(r"\S+\n?")
_SPACE = re.compile(r"\s+")
_MARK = "@@"
_KINDS = ("BertweetTokenizer", "PhobertTokenizer")
_LONGEST_CACHED = 64


class _Piece(NamedTuple):
    """A token of a word: its id and how many of the word's characters it takes."""

    id: int
    n_chars: int


class FastBpeTokenizer:
    """BERTweet's or PhoBERT's tokenizer, its tokens aligned to the caller's text.

    The ids are those of transformers, whatever they are: it takes a line feed right after a word
    for the word's last character, and so cuts that word into other pieces and adds an unknown
    token. With BERTweet's ``normalization``, ``@someone`` becomes ``@USER``, a link ``HTTPURL``,
    ``&amp;`` a character; the tokens of such a rewriting have the whole of what it replaced as
    their span.

    Args:
        tokenizer: as ``AutoTokenizer`` loads it.
        name: the model's name, for messages.

    Attributes:
        most_cached: words whose tokens are kept; all are forgotten when there is one more.
        piece_chars: characters of a text in pieces that are tokenized at once, at least.

    Raises:
        ModelError: special tokens do not stand around a text, or an added token must stand alone.
    """

    most_cached = 50_000
    piece_chars = PIECE_CHARS

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name
        example = tokenizer.convert_tokens_to_ids(tokenizer.tokenize("a"))
        whole = list(tokenizer.build_inputs_with_special_tokens(example))
        self.prefix, self.suffix = around_content(example, whole, name)
        declared = declared_by_transformers(tokenizer)
        self.pad_id = declared["pad_id"]
        self.pads_left = declared["pads_left"]
        self.max_tokens = declared["max_tokens"]
        self._unknown_id = declared["unknown_id"]
        vocabulary = tokenizer.get_vocab()
        self.n_ids = max(vocabulary.values()) + 1
        self._added = {token.content: token for token in tokenizer.added_tokens_decoder.values()}
        alone = [content for content, token in self._added.items() if token.single_word]
        if alone:
            raise ModelError(
                f"{name}: its tokenizer has the added token {alone[0]!r} with single_word, whose "
                "place in a text is not known: set single_word to false in tokenizer_config.json"
            )
        self._normalizes = bool(getattr(tokenizer, "normalization", False))
        # What is rewritten may reach over white space.
        self.splits_at_spaces = not self._normalizes
        added = (
            {"content": one.content, "lstrip": one.lstrip, "rstrip": one.rstrip}
            for one in self._added.values()
        )
        self.can_be_cut = not self._normalizes and not any(map(crosses_spaces, added))
        self.digest = _digest(tokenizer, vocabulary, self._added)
        self._cache: dict[str, tuple[_Piece, ...]] = {}

    @staticmethod
    def fits(tokenizer: Any) -> bool:
        """Whether a tokenizer is of this kind."""
        kind = type(tokenizer)
        return kind.__module__.startswith("transformers.") and kind.__name__ in _KINDS

    def tokenize(self, text: str) -> TokenizedText:
        """Tokenize a text of any length; time and memory grow with it in proportion."""
        ids, starts, ends = array("q"), array("q"), array("q")
        starts_word: list[bool] = []
        words = self._tweet if self._normalizes else _words
        for start, stop, added_id in self._segments(text):
            if added_id is not None:
                ids.append(added_id)
                starts.append(start)
                ends.append(stop)
                starts_word.append(True)
                continue
            for word in words(text[start:stop]):
                first = 0
                for piece in self._pieces(word.text):
                    ids.append(piece.id)
                    starts.append(start + word.starts[first])
                    starts_word.append(first == 0)
                    first += piece.n_chars
                    ends.append(start + word.ends[first - 1])
        all_ids = np.array(ids, dtype=np.int32)
        offsets = np.stack([np.array(starts), np.array(ends)], axis=1)
        if self._normalizes:
            offsets = _without_gaps(text, offsets)
        offsets = trim_all(text, offsets, white_space(text))
        is_unknown = all_ids == (-1 if self._unknown_id is None else self._unknown_id)
        return TokenizedText(
            ids=all_ids,
            offsets=offsets,
            starts_word=starts_apart(offsets, np.array(starts_word, dtype=np.bool_) | is_unknown),
            is_unknown=is_unknown,
        )

    def stream(self) -> TokenStream:
        """Takes a text in pieces; keeps all of it where no cut is known to be safe."""
        if not self.can_be_cut:
            return WholeTextStream(self.tokenize)
        return CutStream(
            BEHIND_LINE,
            size=self.piece_chars,
            at_once=1,
            tokenize=lambda text, _: self.tokenize(text),
        )

    def _segments(self, text: str) -> Iterator[tuple[int, int, int | None]]:
        """Half-open spans of added tokens, each with its id, and of what lies between them."""
        if self._tokenizer.split_special_tokens:
            yield 0, len(text), None
            return
        parts = self._tokenizer.tokens_trie.split(text)
        end = 0
        for i, part in enumerate(parts):
            start, end = end, end + len(part)
            if part in self._added:
                yield start, end, int(self._tokenizer.convert_tokens_to_ids(part))
                continue
            before = self._added.get(parts[i - 1]) if i > 0 else None
            after = self._added.get(parts[i + 1]) if i + 1 < len(parts) else None
            # The line feed of the last word goes, too, where an added token takes what is before.
            kept = part.rstrip() if after is not None and after.lstrip else part
            skipped = len(part) - len(part.lstrip()) if before is not None and before.rstrip else 0
            if skipped < len(kept):
                yield start + skipped, start + len(kept), None

    def _pieces(self, word: str) -> tuple[_Piece, ...]:
        known = self._cache.get(word)
        if known is not None:
            return known
        tokens = self._tokenizer.bpe(word).split(" ")
        # Its own cache never forgets, and corpora have many words.
        self._tokenizer.cache.pop(word, None)
        lengths = [len(token) - len(_MARK) for token in tokens[:-1]] + [len(tokens[-1])]
        ids = self._tokenizer.convert_tokens_to_ids(tokens)
        pieces = tuple(map(_Piece, ids, lengths))
        if len(word) <= _LONGEST_CACHED:
            if len(self._cache) >= self.most_cached:
                self._cache.clear()
            self._cache[word] = pieces
        return pieces

    def _tweet(self, text: str) -> Iterator[_Traced]:
        """Words as BERTweet's normalisation leaves them.

        Its last step, which splits off ``n't`` and the like, moves nothing but white space: what
        is visible after it is, one character after the other, what the tweet's tokens hold.
        """
        visible = self._tweet_chars(text)
        words = _WORD.findall(self._tokenizer.normalizeTweet(text))
        if "".join(words) != visible.text:
            raise ModelError(
                f"{self._name}: its tokenizer rewrites tweets in a way that is not known here: "
                "set normalization to false in tokenizer_config.json"
            )
        start = 0
        for word in words:
            stop = start + len(word)
            yield _Traced(word, visible.starts[start:stop], visible.ends[start:stop])
            start = stop

    def _tweet_chars(self, text: str) -> _Traced:
        """What is visible of the tweet's tokens."""
        from transformers.models.bertweet import tokenization_bertweet as bertweet

        replaced = self._tokenizer.special_puncts
        traced = _Traced.of(text)
        traced = traced.edited(
            (i, i + 1, replaced[char]) for i, char in enumerate(text) if char in replaced
        )
        traced = traced.edited(
            (*match.span(), bertweet._replace_html_entities(match.group()))
            for match in bertweet.ENT_RE.finditer(traced.text)
        )
        # Of a character four times or more in a row three are left; the last stands for the rest.
        traced = traced.edited(
            (match.start() + 2, match.end(), match.group(1))
            for match in bertweet.HANG_RE.finditer(traced.text)
        )
        traced = traced.edited(
            (*match.span(), normalized)
            for match in bertweet.WORD_RE.finditer(traced.text)
            if (normalized := self._tokenizer.normalizeToken(match.group())) != match.group()
        )
        return traced.edited((*match.span(), "") for match in _SPACE.finditer(traced.text))


class _Traced(NamedTuple):
    """A rewritten text, and the span in the original behind each of its characters.

    Attributes:
        starts, ends: half-open. Shape: (n_chars,).
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, text: str) -> _Traced:
        """A text as it is."""
        return cls(text, range(len(text)), range(1, len(text) + 1))

    def edited(self, edits: Iterable[tuple[int, int, str]]) -> _Traced:
        """Replace ranges of this text, in order and apart; each new character has the whole."""
        texts: list[str] = []
        starts, ends = array("q"), array("q")
        reached = 0
        for start, stop, replacement in edits:
            texts += self.text[reached:start], replacement
            starts.extend(self.starts[reached:start])
            ends.extend(self.ends[reached:start])
            if replacement:
                starts.extend([self.starts[start]] * len(replacement))
                ends.extend([self.ends[stop - 1]] * len(replacement))
            reached = stop
        if not reached:
            return self
        texts.append(self.text[reached:])
        starts.extend(self.starts[reached:])
        ends.extend(self.ends[reached:])
        return _Traced("".join(texts), starts, ends)


def _words(text: str) -> Iterator[_Traced]:
    for match in _WORD.finditer(text):
        start, stop = match.span()
        yield _Traced(match.group(), range(start, stop), range(start + 1, stop + 1))


def _without_gaps(text: str, offsets: IntArray) -> IntArray:
    """Let a token end with visible characters behind it that a rewriting removed.

    Such as a reference to no character, ``&#0;&nosuch;``; those before all tokens join the first.
    """
    if not len(offsets):
        return offsets
    limits = np.append(offsets[1:, 0], len(text))
    for token in np.flatnonzero(offsets[:, 1] < limits).tolist():
        end = int(offsets[token, 1])
        offsets[token, 1] = end + len(text[end : limits[token]].rstrip())
    before = text[: offsets[0, 0]]
    offsets[0, 0] -= len(before.lstrip())
    return offsets


def _digest(tokenizer: Any, vocabulary: dict[str, int], added: dict[str, Any]) -> str:
    demojizes = getattr(tokenizer, "demojizer", None) is not None
    description = {
        "class": type(tokenizer).__name__,
        "vocabulary": vocabulary,
        "merges": [list(pair) for pair in tokenizer.bpe_ranks],
        "added": {content: [token.lstrip, token.rstrip] for content, token in added.items()},
        "splits_special": tokenizer.split_special_tokens,
        "normalization": bool(getattr(tokenizer, "normalization", False)),
        # With this package, which is not needed, emoji become words.
        "emoji": importlib.metadata.version("emoji") if demojizes else None,
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
