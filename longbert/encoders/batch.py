"""Windows of documents, and batches of them with special tokens and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import IdArray, IntArray
from longbert.core.passages import Piece
from longbert.core.windows import Window
from longbert.core.word_shape import WordShapes
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """A window of a document, ready to encode.

    Attributes:
        ids: content tokens. Shape: (window.n_tokens,).
        window: where it lies in the document.
        is_first, is_last: whether it begins or ends the document.
        words: shapes of its words, where a head needs them.
        pieces: the parts of passages that it owns, where a head needs them.
    """

    ids: IdArray
    window: Window
    is_first: bool
    is_last: bool
    words: WordShapes | None = None
    pieces: tuple[Piece, ...] | None = None


def joined_window(text: TokenizedText, runs: Sequence[Window]) -> TokenWindow:
    """Join several runs of tokens into one window, as if they were the whole document."""
    ids = np.concatenate([text.ids[run.start : run.stop] for run in runs])
    window = Window(0, len(ids), 0, len(ids))
    return TokenWindow(ids=ids, window=window, is_first=True, is_last=True)


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Windows padded to one length.

    Attributes:
        windows: one for each row; rows behind them repeat the first, and nothing reads them.
        input_ids: Shape: (batch, positions).
        attention_mask: 1 for tokens, 0 for padding. Shape: (batch, positions).
        content_starts: position of each window's first content token.
        n_prefix, n_suffix: special tokens before and after the content; the tokens of a prompt
            count among those before.
        token_types: which of two texts a token belongs to; None where there is one. Shape:
            (batch, positions).
    """

    windows: Sequence[TokenWindow]
    input_ids: IntArray
    attention_mask: IntArray
    content_starts: Sequence[int]
    n_prefix: int
    n_suffix: int
    token_types: IntArray | None = None


def pad_windows(
    windows: Sequence[TokenWindow],
    tokenizer: Tokenizer,
    *,
    padded_length: int,
    pads_left: bool,
    n_rows: int | None = None,
) -> WindowBatch:
    """Put special tokens and padding around windows.

    Args:
        windows: each at most ``padded_length`` positions long, special tokens included.
        tokenizer: of their ids.
        padded_length: positions of every row.
        pads_left: whether padding comes before the tokens.
        n_rows: of the batch; None: as many as there are windows.
    """
    n_prefix, n_suffix = len(tokenizer.prefix), len(tokenizer.suffix)
    shape = n_rows or len(windows), padded_length
    ids = np.full(shape, tokenizer.pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    content_starts = []
    for row, window in enumerate(windows):
        length = n_prefix + len(window.ids) + n_suffix
        first = padded_length - length if pads_left else 0
        ids[row, first : first + length] = [*tokenizer.prefix, *window.ids, *tokenizer.suffix]
        mask[row, first : first + length] = 1
        content_starts.append(first + n_prefix)
    ids[len(windows) :], mask[len(windows) :] = ids[0], mask[0]
    return WindowBatch(
        windows=windows,
        input_ids=ids,
        attention_mask=mask,
        content_starts=content_starts,
        n_prefix=n_prefix,
        n_suffix=n_suffix,
    )


def pad_pairs(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    pad_id: int,
    padded_length: int,
    pads_left: bool,
    n_rows: int,
) -> WindowBatch:
    """Put padding beside pairs of texts.

    Args:
        pairs: ids of each, special tokens included, and their types.
        pad_id: id that fills a row up.
        padded_length: positions of every row.
        pads_left: whether padding comes before the tokens.
        n_rows: of the batch; those behind the pairs repeat the first.
    """
    shape = n_rows, padded_length
    ids = np.full(shape, pad_id, dtype=np.int64)
    types, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, (own, own_types) in enumerate(pairs):
        first = padded_length - len(own) if pads_left else 0
        here = slice(first, first + len(own))
        ids[row, here], types[row, here], mask[row, here] = own, own_types, 1
    for array in (ids, types, mask):
        array[len(pairs) :] = array[0]
    return WindowBatch(
        windows=(),
        input_ids=ids,
        attention_mask=mask,
        content_starts=(),
        n_prefix=0,
        n_suffix=0,
        token_types=types,
    )
