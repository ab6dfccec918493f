"""An encoder that counts instead of computing: whole numbers, whatever the machine, and no torch.

``fake_models`` stands where ``longbert.encoders.models.load_models`` does::

    RunContext(config, files, load=fake_models)

It reads the names of a configuration's models only as switches: an embedding, a classifier for each
name under ``classify``, and a tagger for each under ``ner``, all on one pass. Windows, overlap,
passages and batches are those of the engine.

A token's state tells which word it is, which word stands before it in its window, and its place
there, so that rows change when a token is taken from the wrong window, counted twice or left out.
States are added up as integers and divided once at the end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from longbert.config import ModelConfig
from longbert.core.passages import PassageStream, SpanStream
from longbert.core.text_stream import Text
from longbert.core.windows import Window, default_overlap
from longbert.encoders.batch import TokenWindow
from longbert.encoders.heads.base import HeadResult, finish_at_once
from longbert.encoders.loaded_models import Models
from longbert.encoders.reader import WindowReader
from longbert.encoders.splitting import Overlapping, Split
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.records import Classification, Entity, WindowScore
from longbert.store.fingerprints import HeadSettings, PassSettings

Integers = npt.NDArray[np.int64]

WIDTH = 8
LIMIT_TOKENS = 512
WINDOW = 16
"""Positions where the configuration leaves the window out."""

LABELS = ("O", "A", "B")
CLASSES = ("low", "high")
UNKNOWN = "\ufffd"
"""The character that makes a word unknown."""

_WORD = re.compile(r"\w+|[^\w\s]")
_N_IDS = 10_007
_FIRST, _LAST = 1, 2


class FakeTokenizer:
    """Words and marks of punctuation, one token each, by a digest of their letters."""

    prefix = (_FIRST,)
    suffix = (_LAST,)
    pad_id = 0
    pads_left = False
    max_tokens = LIMIT_TOKENS
    n_ids = _N_IDS
    splits_at_spaces = True
    can_be_cut = True
    digest = "fake tokenizer"

    def tokenize(self, text: str) -> TokenizedText:
        """Tokenize a text; white space is under no token."""
        found = list(_WORD.finditer(text))
        words = [match.group() for match in found]
        spans = np.array([match.span() for match in found], dtype=np.int64).reshape(-1, 2)
        return TokenizedText(
            ids=np.array([word_id(word) for word in words], dtype=np.int32),
            offsets=spans,
            starts_word=np.ones(len(words), dtype=np.bool_),
            is_unknown=np.array([UNKNOWN in word for word in words], dtype=np.bool_),
        )

    def stream(self) -> FakeStream:
        """Tokenize a text that comes in pieces."""
        return FakeStream(self)


class FakeStream:
    """Cuts a text behind the last white space that is known."""

    def __init__(self, tokenizer: FakeTokenizer) -> None:
        self._tokenizer = tokenizer
        self._held = ""
        self._n_chars_before = 0

    def add(self, piece: str) -> TokenizedText:
        """Take the next characters; the tokens up to the last white space."""
        self._held += piece
        n_whole = max(self._held.rfind(" "), self._held.rfind("\n")) + 1
        return self._take(n_whole)

    def finish(self) -> TokenizedText:
        """The tokens that are left."""
        return self._take(len(self._held))

    def _take(self, n_chars: int) -> TokenizedText:
        tokens = self._tokenizer.tokenize(self._held[:n_chars])
        found = replace(tokens, offsets=tokens.offsets + self._n_chars_before)
        self._held = self._held[n_chars:]
        self._n_chars_before += n_chars
        return found


@lru_cache(1 << 16)
def word_id(word: str) -> int:
    digest = hashlib.sha256(word.encode()).digest()
    return 3 + int.from_bytes(digest[:4], "big") % (_N_IDS - 3)


def window_states(window: TokenWindow) -> Integers:
    """States of a window's content tokens, from -20 to 20. Shape: (n_tokens, WIDTH)."""
    ids = window.ids.astype(np.int64)
    before = np.concatenate([[_FIRST], ids[:-1]])
    places = np.arange(len(ids))
    columns = np.arange(1, WIDTH + 1)
    mixed = ids[:, None] * columns + before[:, None] * (2 * columns + 1) + places[:, None] * 7
    states: Integers = mixed % 41 - 20
    return states


@dataclass(frozen=True)
class Partial:
    """What a head makes of some windows, one array for each.

    Attributes:
        windows: where they lie.
        values: of their owned tokens. Shape of each: (n_owned, width of the head).
    """

    windows: tuple[Window, ...]
    values: tuple[Integers, ...]


@dataclass(frozen=True)
class _FakeHead:
    name: str
    needs_all_layers: bool = False
    needs_word_shapes: bool = False
    passage_tokens: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    partial_type: Any = Partial

    @property
    def digest(self) -> str:
        """Name and settings are all that a head is."""
        return f"{type(self).__name__} {self.name} {self.settings}"

    def partial(self, window: TokenWindow, states: Integers) -> Partial:
        """The values of the tokens that a window owns."""
        place = window.window
        own = slice(place.owned_start - place.start, place.owned_stop - place.start)
        return Partial((place,), (self.values(states[own]),))

    def values(self, states: Integers) -> Integers:
        return states

    def stream(self) -> Any:
        raise NotImplementedError

    def finish(self, text: str, tokens: TokenizedText, partial: Partial) -> HeadResult:
        """The result of a document that is there as a whole."""
        return finish_at_once(self.stream(), text, tokens, partial)

    def merge(self, partials: Sequence[Partial]) -> Partial:
        """Windows one after the other."""
        return Partial(
            tuple(window for partial in partials for window in partial.windows),
            tuple(values for partial in partials for values in partial.values),
        )


class _Stream:
    """Tokens of a document and what a head makes of them, from the first that may still count.

    Attributes:
        offsets: Shape: (n, 2).
        values: of the first of these tokens, as far as their windows are there. Shape: (n, width).
    """

    def __init__(self, head: Any) -> None:
        self.head = head
        self.n_tokens = 0
        self.offsets = np.empty((0, 2), dtype=np.int64)
        self.values: Integers | None = None

    @property
    def first_char(self) -> int | None:
        """Where the first of these tokens stands."""
        return int(self.offsets[0, 0]) if len(self.offsets) else None

    def add(self, text: Text, tokens: TokenizedText, partials: Sequence[Partial]) -> HeadResult:
        """Take the next tokens and windows."""
        self.n_tokens += len(tokens)
        self.offsets = np.concatenate([self.offsets, tokens.offsets])
        self.note(tokens)
        held = [] if self.values is None else [self.values]
        values = [*held, *(value for partial in partials for value in partial.values)]
        if not values:
            return HeadResult()
        self.values = np.concatenate(values)
        return self.read(text, is_end=False)

    def finish(self, text: Text) -> HeadResult:
        """What is left."""
        return self.read(text, is_end=True)

    def drop(self, n: int) -> None:
        """Forget the first tokens."""
        assert self.values is not None
        self.offsets, self.values = self.offsets[n:], self.values[n:]

    def note(self, tokens: TokenizedText) -> None:
        """Look at the next tokens."""

    def read(self, text: Text, *, is_end: bool) -> HeadResult:
        """The results that are certain."""
        raise NotImplementedError


class _EmbeddingStream(_Stream):
    def __init__(self, head: FakeEmbedding) -> None:
        super().__init__(head)
        assert head.passage_tokens is not None
        self.passages = PassageStream(size=head.passage_tokens)
        self.starts: list[int] = []
        self.total = np.zeros(WIDTH, dtype=np.int64)

    def note(self, tokens: TokenizedText) -> None:
        self.starts += self.passages.add(tokens.offsets)

    def read(self, text: Text, *, is_end: bool) -> HeadResult:
        assert self.values is not None
        first = self.starts[0]
        starts = [*self.starts, *(self.passages.finish() if is_end else [])]
        borders = [start for start in starts if start - first <= len(self.values)]
        borders += [first + len(self.values)] * is_end
        vectors = np.zeros((len(borders) - 1, WIDTH), dtype=np.float32)
        for number, (start, stop) in enumerate(pairwise(borders)):
            own = self.values[start - first : stop - first].sum(axis=0)
            vectors[number] = own / (stop - start)
            self.total += own
        self.starts = self.starts[len(borders) - 1 :]
        self.drop(borders[-1] - first)
        embedding = (self.total / self.n_tokens).astype(np.float32) if is_end else None
        return HeadResult(embedding=embedding, passage_embeddings=vectors)


@dataclass(frozen=True)
class FakeEmbedding(_FakeHead):
    """The mean state of a document and of each passage, not scaled to length 1."""

    def stream(self) -> _EmbeddingStream:
        """Adds up integers, then divides once."""
        return _EmbeddingStream(self)


class _ClassifierStream(_Stream):
    def __init__(self, head: FakeClassifier) -> None:
        super().__init__(head)
        self.total = np.zeros(len(CLASSES), dtype=np.int64)
        self.n_windows = 0
        self.waiting: Integers | None = None
        self.spans = SpanStream()

    def read(self, text: Text, *, is_end: bool) -> HeadResult:
        assert self.values is not None
        counts, self.values = self.values, self.values[:0]
        self.total += counts.sum(axis=0)
        ends = counts.sum(axis=1).cumsum()
        begins = self.offsets[ends - counts.sum(axis=1), 0]
        self.offsets = self.offsets[int(ends[-1]) if len(ends) else 0 :]
        spans = self.spans.finish(len(text)) if is_end else self.spans.add(begins)
        held = [] if self.waiting is None else [self.waiting]
        rows = np.concatenate([*held, counts])
        self.waiting = rows[len(spans) :]
        scores = tuple(
            WindowScore(self.head.name, number, start, stop, label, int(n) / int(row.sum()))
            for number, ((start, stop), row) in enumerate(
                zip(spans.tolist(), rows[: len(spans)], strict=True), start=self.n_windows
            )
            for label, n in zip(CLASSES, row, strict=True)
        )
        self.n_windows += len(spans)
        classes = tuple(
            Classification(
                self.head.name, label, int(n) / self.n_tokens, i == int(self.total.argmax())
            )
            for i, (label, n) in enumerate(zip(CLASSES, self.total, strict=True))
        )
        return HeadResult(
            classifications=classes if is_end else (),
            window_scores=scores if self.head.window_scores else (),
        )


@dataclass(frozen=True)
class FakeClassifier(_FakeHead):
    """Shares of the tokens whose first number is below zero, and of all others."""

    window_scores: bool = False

    def values(self, states: Integers) -> Integers:
        """How many there are of each. Shape: (1, 2)."""
        n_low = int((states[:, 0] < 0).sum())
        return np.array([[n_low, len(states) - n_low]])

    def stream(self) -> _ClassifierStream:
        """Divides counts by tokens."""
        return _ClassifierStream(self)


class _TaggerStream(_Stream):
    def read(self, text: Text, *, is_end: bool) -> HeadResult:
        assert self.values is not None
        labels = self.values[:, 0]
        borders = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist()]
        borders += [len(labels)] * (is_end and len(labels) > 0)
        entities = []
        for start, stop in pairwise(borders):
            if labels[start]:
                char_start = int(self.offsets[start, 0])
                char_end = int(self.offsets[stop - 1, 1])
                entities.append(
                    Entity(
                        head=self.head.name,
                        char_start=char_start,
                        char_end=char_end,
                        label=LABELS[labels[start]],
                        score=int(self.values[start:stop, 1].sum()) / (stop - start),
                        text=text[char_start:char_end],
                    )
                )
        self.drop(borders[-1])
        return HeadResult(entities=tuple(entities))


@dataclass(frozen=True)
class FakeTagger(_FakeHead):
    """Runs of tokens with one label; the score is the share of them that are odd."""

    def values(self, states: Integers) -> Integers:
        """Label, and whether the second number is odd. Shape: (n_tokens, 2)."""
        # Two times in three a token is outside, so that entities are runs.
        label = np.where(states[:, 0] % 3 == 0, 1 + states[:, 1] % (len(LABELS) - 1), 0)
        return np.stack([label, states[:, 1] % 2], axis=1)

    def stream(self) -> _TaggerStream:
        """Joins neighbours of one label, across windows, too."""
        return _TaggerStream(self)


@dataclass(frozen=True)
class FakeBackbone:
    """What the engine asks of an encoder but for its passes."""

    tokenizer: FakeTokenizer
    n_special: int = 2
    limit: int = LIMIT_TOKENS
    digest: str = "fake backbone"
    precision: str = "float32"


@dataclass(frozen=True)
class FakePass:
    """One pass over the windows of a document.

    Attributes:
        watch: called with the windows of each batch before they are encoded, to count, to wait or
            to fail.
    """

    backbone: FakeBackbone
    heads: tuple[Any, ...]
    split_tokens: Split
    batch_tokens: int
    watch: Callable[[Sequence[TokenWindow]], None] | None = None
    reads_all: bool = True

    @property
    def tokenizer(self) -> FakeTokenizer:
        """The backbone's."""
        return self.backbone.tokenizer

    @property
    def limit(self) -> int:
        """Positions of a window."""
        return self.backbone.limit

    def reader(self) -> WindowReader:
        """Reads one document, whose tokens come in pieces."""
        return WindowReader(self.split_tokens)

    def split(self, text: str, tokens: TokenizedText) -> list[TokenWindow]:
        """The windows of a document."""
        reader = self.reader()
        return [*reader.add(text, tokens), *reader.finish(text)]

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Apply a function to items, here one after the other."""
        return map(function, items)

    def n_rows(self, n_windows: int, padded: int) -> int:
        """Rows of a batch of so many windows."""
        return n_windows

    def run(self, windows: Sequence[TokenWindow], padded: int) -> list[list[Partial]]:
        """For each head the partials of a batch's windows."""
        assert all(len(window.ids) + self.backbone.n_special <= padded for window in windows)
        if self.watch is not None:
            self.watch(windows)
        states = [window_states(window) for window in windows]
        return [
            [head.partial(window, state) for window, state in zip(windows, states, strict=True)]
            for head in self.heads
        ]


def fake_models(
    config: ModelConfig,
    *,
    threads: int | None = None,
    watch: Callable[[Sequence[TokenWindow]], None] | None = None,
) -> Models:
    """Models of a configuration that no file is read for.

    Args:
        config: ``embed``, ``classify`` and ``ner`` are names for the heads; window, overlap,
            passage, batch_tokens and window_scores are obeyed, all else is not.
        threads: of no use here.
        watch: see :class:`FakePass`.
    """
    window = config.window or WINDOW
    size = window - 2
    overlap = default_overlap(size) if config.overlap is None else config.overlap
    heads: list[tuple[str, _FakeHead]] = []
    if config.embed != "none":
        heads.append(("embed", FakeEmbedding("embedding", passage_tokens=config.passage)))
    for name in config.classify:
        head = FakeClassifier(name, window_scores=config.window_scores)
        heads.append(("classify", head))
    heads += [("ner", FakeTagger(name)) for name in config.ner]
    pass_: Any = FakePass(
        backbone=FakeBackbone(FakeTokenizer()),
        heads=tuple(head for _, head in heads),
        split_tokens=Overlapping(size, overlap),
        batch_tokens=config.batch_tokens or 256,
        watch=watch,
    )
    settings = PassSettings(
        digest=pass_.backbone.digest,
        attention="none",
        implementation="fake",
        window=window,
        overlap=overlap,
        reads="all",
        prompt="",
        batch_invariant=True,
        heads=tuple(
            HeadSettings(name=head.name, task=task, digest=head.digest, settings=head.settings)
            for task, head in heads
        ),
    )
    has_embedding = config.embed != "none"
    return Models(
        passes=(pass_,),
        settings=(settings,),
        decisive_batch_tokens=None,
        libraries={},
        processor="any",
        device="any",
        precision="integer",
        width=WIDTH if has_embedding else None,
        metric=(config.metric or "dot") if has_embedding else None,
        prompts=None,
        embed_digest=pass_.backbone.digest if has_embedding else None,
    )


def fake_vectors(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """The document vectors that ``fake_models`` gives texts of one window, for queries."""
    pass_ = fake_models(ModelConfig(embed="fake", window=LIMIT_TOKENS)).passes[0]
    vectors = []
    for text in texts:
        tokens = pass_.tokenizer.tokenize(text)
        ((partial_,),) = pass_.run(pass_.split(text, tokens), LIMIT_TOKENS)
        vectors.append(pass_.heads[0].finish(text, tokens, partial_).embedding)
    return np.stack(vectors)
