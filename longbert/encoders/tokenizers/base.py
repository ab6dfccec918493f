"""What the rest of the package needs of a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from longbert.arrays import BoolArray, IdArray, IntArray
from longbert.errors import ModelError


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A document's content tokens, special tokens not among them.

    Attributes:
        ids: Shape: (n_tokens,).
        offsets: half-open spans in code points of the text, without white space at their ends; a
            token of white space alone has an empty one at its end. Several tokens may share a
            character. Shape: (n_tokens, 2).
        starts_word: no two words share a character. Shape: (n_tokens,).
        is_unknown: Shape: (n_tokens,).
    """

    ids: IdArray
    offsets: IntArray
    starts_word: BoolArray
    is_unknown: BoolArray

    def __len__(self) -> int:
        return len(self.ids)


class TokenStream(Protocol):
    """Takes a text piece by piece; all tokens together are those of the whole."""

    def add(self, piece: str) -> TokenizedText:
        """Take the next characters; the tokens that no later one can change."""

    def finish(self) -> TokenizedText:
        """The tokens that are left."""


class Segmenter(Protocol):
    """Cuts texts of any length into tokens with exact offsets.

    Attributes:
        digest: SHA-256 of everything that can change a text's tokens.
    """

    digest: str

    def tokenize(self, text: str) -> TokenizedText:
        """Tokenize a text of any length, truncating nothing."""

    def stream(self) -> TokenStream:
        """Tokenize a text that comes in pieces, however it is cut, as if it were whole."""


class Tokenizer(Segmenter, Protocol):
    """A segmenter whose tokens a model reads.

    Attributes:
        prefix, suffix: ids of the special tokens around a window's content.
        pad_id: id that fills a row up.
        pads_left: whether padding comes before the tokens.
        max_tokens: positions that the tokenizer declares; None if it declares none.
        n_ids: one more than the largest id.
        splits_at_spaces: whether text after white space has the tokens that it would have alone.
        can_be_cut: whether a text in pieces is tokenized as it comes, and not kept to its end.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad_id: int
    pads_left: bool
    max_tokens: int | None
    n_ids: int
    splits_at_spaces: bool
    can_be_cut: bool


def around_content(
    content: Sequence[int], whole: Sequence[int], name: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read the ids of the special tokens before and after a text off an example.

    Args:
        content: ids of the example alone.
        whole: its ids with special tokens.
        name: the model's name, for messages.

    Raises:
        ModelError: the special tokens are not around the content.
    """
    for start in range(len(whole) - len(content) + 1):
        if content and whole[start : start + len(content)] == content:
            return tuple(whole[:start]), tuple(whole[start + len(content) :])
    raise ModelError(
        f"{name}: its tokenizer does not put special tokens around a text, so windows cannot be "
        "built from its tokens: use the tokenizer the model was trained with"
    )


class Declared(TypedDict):
    """What a tokenizer's files declare beside its vocabulary; see :class:`Tokenizer`."""

    pad_id: int
    pads_left: bool
    max_tokens: int | None
    unknown_id: int | None


def declared_by_transformers(tokenizer: Any) -> Declared:
    """What a tokenizer of transformers declares; it has a huge limit where there is none."""
    limit = tokenizer.model_max_length
    return Declared(
        pad_id=0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id),
        pads_left=tokenizer.padding_side == "left",
        max_tokens=int(limit) if limit and limit < 1_000_000 else None,
        unknown_id=tokenizer.unk_token_id,
    )
