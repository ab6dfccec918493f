"""A document on its way to the encoder: its windows, in groups that are encoded together.

The groups follow from the text alone, so that whoever reads it finds the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longbert.core.text_stream import Text, TextStream
from longbert.encoders.batch import TokenWindow
from longbert.encoders.loaded_models import Models
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.stream import tokens_between
from longbert.engine.document_errors import tokenizing, without_tokens
from longbert.engine.meter import Meter, timed

if TYPE_CHECKING:
    from longbert.encoders.passes import Pass

TOKENS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class WindowGroup:
    """Neighbouring windows of one pass, which share batches with no others.

    Attributes:
        pass_number: place of the pass among those of the models.
        windows: at least one.
        n_bytes: input bytes that they stand for, for the meter.
    """

    pass_number: int
    windows: list[TokenWindow]
    n_bytes: float


EncodeGroup = Callable[[WindowGroup], Sequence[Sequence[Any]]]
"""From a group to what each head of its pass makes of each window; may raise DocumentError."""


@dataclass(frozen=True, slots=True)
class TokenizedPiece:
    """A piece of a text, and the tokens that are certain with it.

    Attributes:
        data: the piece in UTF-8.
        tokens: by the digest of the tokenizer.
        is_end: whether these are the last tokens.
    """

    data: bytes
    tokens: dict[str, TokenizedText]
    is_end: bool


def tokenized_pieces(
    models: Models, text: TextStream, pieces: Iterable[str], meter: Meter
) -> Iterator[TokenizedPiece]:
    """Tokenize a text that comes in pieces with all tokenizers.

    Args:
        models: as loaded.
        text: to which each piece is added before it is tokenized.
        pieces: of the text.
        meter: counts seconds.

    Yields:
        Each piece, and behind them one without text, whose tokens are the last.

    Raises:
        DocumentError: the text cannot be read, a tokenizer failed on it, or it has no token.
    """
    segmenters = [models.segmenter, *(pass_.tokenizer for pass_ in models.passes)]
    streams = {one.digest: one.stream() for one in segmenters}
    n_tokens = 0
    for piece in pieces:
        text.add(piece)
        with timed(meter, "tokenizing"), tokenizing():
            tokens = {key: stream.add(piece) for key, stream in streams.items()}
        n_tokens += len(tokens[models.segmenter.digest])
        yield TokenizedPiece(piece.encode(), tokens, is_end=False)
    with timed(meter, "tokenizing"), tokenizing():
        tokens = {key: stream.finish() for key, stream in streams.items()}
    if not n_tokens + len(tokens[models.segmenter.digest]):
        raise without_tokens(has_models=bool(models.passes))
    yield TokenizedPiece(b"", tokens, is_end=True)


class PassReader:
    """The windows of one pass over a document.

    Args:
        models: as loaded.
        number: of the pass.
        meter: counts seconds.
    """

    def __init__(self, models: Models, number: int, meter: Meter) -> None:
        self.pass_: Pass = models.passes[number]
        self._number = number
        self._n_passes = len(models.passes)
        self._reader = self.pass_.reader()
        self._meter = meter
        self._n_bytes = 0.0

    @property
    def first_char(self) -> int:
        """The first character that it may still ask for, of the tokens so far."""
        return self._reader.first_char

    def n_covered(self, text: Text) -> int:
        """Characters that the windows span, once there are all."""
        return self._reader.n_covered(text)

    def groups(
        self, text: Text, piece: TokenizedPiece
    ) -> Iterator[tuple[TokenizedText, WindowGroup | None]]:
        """Read a piece: its tokens, some at a time, and the windows that are certain with them."""
        self._n_bytes += len(piece.data) / self._n_passes
        tokens = piece.tokens[self.pass_.tokenizer.digest]
        # A tokenizer that cannot cut a text gives all tokens at once.
        for start in range(0, max(1, len(tokens)), TOKENS_AT_ONCE):
            stop = start + TOKENS_AT_ONCE
            own = tokens_between(tokens, start, stop)
            is_end = piece.is_end and stop >= len(tokens)
            yield own, self._group(text, own, is_end=is_end)

    def _group(self, text: Text, tokens: TokenizedText, *, is_end: bool) -> WindowGroup | None:
        with timed(self._meter, "tokenizing"), tokenizing():
            windows = self._reader.add(text, tokens)
            if is_end:
                windows += self._reader.finish(text)
        if not windows:
            return None
        n_bytes, self._n_bytes = self._n_bytes, 0.0
        return WindowGroup(self._number, windows, n_bytes)


def window_groups(models: Models, pieces: Iterable[str], meter: Meter) -> Iterator[WindowGroup]:
    """The windows of a document, in the order in which they are asked for; nothing is encoded.

    Raises:
        DocumentError: see :func:`tokenized_pieces`.
    """
    text = TextStream()
    readers = [PassReader(models, number, meter) for number in range(len(models.passes))]
    for piece in tokenized_pieces(models, text, pieces, meter):
        for reader in readers:
            for _, group in reader.groups(text, piece):
                if group is not None:
                    yield group
        text.release(min((reader.first_char for reader in readers), default=len(text)))
