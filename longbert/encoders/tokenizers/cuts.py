"""Where a text can be cut without changing its tokens, and tokenizing it piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.stream import joined, no_tokens

# What no normaliser makes white space of, or nothing.
_VISIBLE = r"(?:[!-~。！？…”’»]|[^\W_])"
_LETTER = r"[^\W_]"

BEFORE_LINE = re.compile(rf"(?<={_VISIBLE})(?=\r?\n{_LETTER})")
"""Before the line break between a visible character and a letter or digit: pre-tokenizers split
there, no normaliser reaches across it, and it begins what comes behind it, where it counts."""

BEFORE_SPACE = re.compile(rf"(?<={_VISIBLE})(?= {_LETTER}|\r?\n{_LETTER})")
"""The same, and before a single space, for tokenizers to which it is as good as a line break: the
library treats that at the very start of a text in its own way for byte-level ones."""

BEHIND_LINE = re.compile(rf"(?<={_VISIBLE}\n)(?={_LETTER})|(?<={_VISIBLE})(?= {_LETTER})")
"""As :data:`BEFORE_SPACE`, for tokenizers to which a line break belongs to the word before it."""

PIECE_CHARS = 20_000
"""Characters of a long text that are tokenized as one piece, at least."""

_CUT_CHARS = 3
_LOCAL_NORMALIZERS = frozenset(
    {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
)
# Of SentencePiece: a map of single characters, and what becomes of runs of spaces.
_OF_SPACES = frozenset({"Precompiled", "Replace", "Strip"})
_RUNS_OF_SPACES = (" {2,}", r"\s{2,}|[\n\r\t]", r"\s+")


class CutStream:
    """Cuts a text at safe places, each as soon as it is known.

    Args:
        pattern: of the places.
        size: characters of a piece, at least.
        at_once: pieces that are tokenized together.
        tokenize: what lies between two cuts, given where its pieces begin.
    """

    def __init__(
        self,
        pattern: re.Pattern[str],
        *,
        size: int,
        at_once: int,
        tokenize: Callable[[str, Sequence[int]], TokenizedText],
    ) -> None:
        self._pattern = pattern
        self._size = size
        self._at_once = at_once
        self._tokenize = tokenize
        self._held = ""
        self._n_chars_before = 0
        self._n_searched = 0

    def add(self, piece: str) -> TokenizedText:
        """Take the next characters; the tokens up to the last cut."""
        self._held += piece
        cuts = [0]
        while found := self._pattern.search(self._held, self._next(cuts[-1])):
            cuts.append(found.end())
        # A cut is known by at most so many characters behind its start.
        self._n_searched = max(0, len(self._held) - cuts[-1] - _CUT_CHARS)
        return self._take(cuts)

    def finish(self) -> TokenizedText:
        """The tokens behind the last cut."""
        return self._take([0, len(self._held)]) if self._held else no_tokens()

    def _next(self, cut: int) -> int:
        """Where to look for the cut after another one."""
        return max(cut + self._size, 0 if cut else self._n_searched)

    def _take(self, cuts: list[int]) -> TokenizedText:
        """Tokens of the pieces between the cuts."""
        parts = [no_tokens()]
        for first in range(0, len(cuts) - 1, self._at_once):
            start, *inner = cuts[first : first + self._at_once + 1]
            stretch = self._held[start : inner[-1]]
            part = self._tokenize(stretch, [cut - start for cut in (start, *inner[:-1])])
            parts.append(replace(part, offsets=part.offsets + (self._n_chars_before + start)))
        self._held = self._held[cuts[-1] :]
        self._n_chars_before += cuts[-1]
        return joined(parts)


def safe_cuts(
    description: Mapping[str, Any], normalize: Callable[[str], str]
) -> re.Pattern[str] | None:
    """Where a text can be cut without changing its tokens; None if that is not known.

    Args:
        description: the ``tokenizer.json``.
        normalize: its normaliser.
    """
    if any(crosses_spaces(token) for token in description.get("added_tokens") or ()):
        return None
    steps = _steps(description.get("pre_tokenizer"), "pretokenizers")
    kinds = tuple(step["type"] for step in steps)
    normalizers = normalizers_of(description)
    pattern = None
    if kinds == ("BertPreTokenizer",):
        pattern = BEFORE_SPACE if _are_local(normalizers) else None
    elif kinds == ("ByteLevel",):
        (step,) = steps
        splits = not step["add_prefix_space"] and bool(step.get("use_regex", True))
        pattern = BEFORE_LINE if splits and _are_local(normalizers) else None
    elif kinds in (("Metaspace",), ("WhitespaceSplit", "Metaspace")):
        splits = steps[-1]["prepend_scheme"] == "always" and bool(steps[-1]["split"])
        # That of Metaspace alone knows no other white space.
        kept = " ▁" if kinds == ("Metaspace",) else " ▁\n"
        keeps_line = normalize("a\nb") in {f"a{space}b" for space in kept}
        if splits and keeps_line and all(map(_keeps_spaces_apart, normalizers)):
            pattern = BEFORE_SPACE
    return pattern


def splits_at_spaces(description: Mapping[str, Any]) -> bool:
    """Whether white space is dropped and neither side of it depends on the other."""
    return (
        (description.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and _are_local(normalizers_of(description))
        and not any(
            any(char.isspace() for char in token["content"])
            for token in description.get("added_tokens") or ()
        )
    )


def normalizers_of(description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The normalisers of a ``tokenizer.json``, those in sequences one by one."""
    return _steps(description.get("normalizer"), "normalizers")


def crosses_spaces(token: Mapping[str, Any]) -> bool:
    """Whether an added token may take in the white space at a cut, or what is beyond it.

    Args:
        token: with ``content``, ``lstrip`` and ``rstrip``.
    """
    content = token["content"]
    # Several white spaces in a row are no cut.
    has_space = any(char.isspace() for char in content) and not (
        content.isspace() and len(content) > 1 and "\n" not in content
    )
    return has_space or token["rstrip"] or (token["lstrip"] and content[:1].isalnum())


def _steps(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """A part of a ``tokenizer.json``, one step after the other."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [step for inner in part[name] for step in _steps(inner, name)]


def _are_local(normalizers: Sequence[Mapping[str, Any]]) -> bool:
    return all(one["type"] in _LOCAL_NORMALIZERS for one in normalizers)


def _keeps_spaces_apart(normalizer: Mapping[str, Any]) -> bool:
    """Whether what becomes of visible characters depends on none beyond white space."""
    kind = normalizer["type"]
    if kind != "Replace":
        return kind in _LOCAL_NORMALIZERS | _OF_SPACES
    pattern, content = normalizer["pattern"], normalizer["content"]
    if "Regex" in pattern:
        return pattern["Regex"] in _RUNS_OF_SPACES and content in (" ", "▁")
    return not any(char.isspace() for char in pattern["String"] + content)
