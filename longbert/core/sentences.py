"""Borders of sentences, by punctuation and line breaks, in any script that has either."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

_CLOSING = r"[\"'”’»)\]}」』】）]*"
_BORDER = re.compile(
    # Full stops of scripts that put no space behind them; one of them is a decimal point, too.
    rf"(?:(?:[。！？｡။។።]|．(?!\d))+{_CLOSING}\s*"
    rf"|(?P<stop>[.!?…؟।۔։]+){_CLOSING}\s+"
    r"|\s*(?P<line>[\n\r\u2028\u2029\x0b\x0c])\s*)"
)
_LINE_BREAK = re.compile(r"\r\n|[\n\r\u2028\u2029\x0b\x0c]")
_WRAPPED_CHARS = (40, 120)
"""Length of lines that may have been broken to fit a page."""
_ITEM = re.compile(r"[-*+•#>|=~]|```|\d+[.)]\s|[A-Z][\w .]{0,30}:\s")
"""What begins a line of its own: an item, a heading, a row of a table, a fence, a speaker."""
_MARKS = " \t-*+•>"
"""What may stand before the first word of a line."""
_ABOUT_AS_LONG = 0.85
"""Share of the length of the lines around it that a line has at least, before one that goes on."""
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,3})*")
_INITIAL = re.compile(r"(?:^|[\W\d_])[^\W\d_]$")
_ABBREVIATIONS = frozenset(
    # "no." is a sentence more often than a number.
    re.findall(
        r"\S+",
        "al approx bzw ca cf ch co corp dr e.g ed eds eg et etc fig figs hr i.e ie inc jr ltd mr "
        "mrs ms nos nr op pp prof rev sec sr st vgl vol vs z.b",
    )
)
_WORD_BEFORE = re.compile(r"[\w.]+$")
_LONGEST_WORD = 20

QUERY_SENTENCES = 16
"""Most parts that a query is cut into."""


def sentence_starts(text: str) -> list[int]:
    """Where sentences begin, ascending; none in white space.

    An initial or a known abbreviation ends none, nor does the number of an item, a full stop before
    a small letter, or the end of a line that was broken to fit a page.
    """
    first = len(text) - len(text.lstrip())
    if first == len(text):
        return []
    starts = [first]
    for border in _BORDER.finditer(text, first):
        is_inside = starts[-1] < border.end() < len(text)
        if is_inside and not _is_number(text, starts[-1], border) and _ends(text, border):
            starts.append(border.end())
    return starts


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a text as half-open spans, without the white space around them."""
    starts = sentence_starts(text)
    return [
        (start, start + len(text[start:end].rstrip()))
        for start, end in pairwise([*starts, len(text)])
    ]


def query_sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of a query as half-open spans, each with a letter or digit.

    Of a longer query, neighbours are put together, so that there are at most
    :data:`QUERY_SENTENCES`; one span where no sentence has any letter.
    """
    spans = [
        (start, end)
        for start, end in sentence_spans(text)
        if any(char.isalnum() for char in text[start:end])
    ]
    if not spans:
        return [(0, len(text))]
    together = -(-len(spans) // QUERY_SENTENCES)
    firsts = spans[::together]
    lasts = [*spans[together - 1 :: together], spans[-1]]
    return [(start, end) for (start, _), (_, end) in zip(firsts, lasts, strict=False)]


def widened(text: str, start: int, end: int, *, limit_chars: int) -> tuple[int, int]:
    """Widen a span to the borders of the sentences at its ends.

    Where a sentence goes on for more than ``limit_chars`` beyond the span, the span is widened
    to the end of a word. White space at both ends is left out.

    Args:
        text: around the span.
        start, end: half-open, in ``text``.
        limit_chars: that a span may grow on either side.
    """
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        return start, end
    spans = sentence_spans(text)
    begin = max((one for one, _ in spans if one <= start), default=start)
    stop = min((one for _, one in spans if one >= end), default=end)
    if start - begin > limit_chars:
        begin = _word_start(text, start)
    if stop - end > limit_chars:
        stop = _word_end(text, end)
    return begin, stop


def strongest(scores: Iterable[float]) -> int | None:
    """The place of the first highest score above 0."""
    best, place = 0.0, None
    for number, score in enumerate(scores):
        if score > best:
            best, place = score, number
    return place


def _is_number(text: str, start: int, border: re.Match[str]) -> bool:
    """Whether all that stands before a full stop is the number of an item, as in ``2. Rent``."""
    return border["stop"] == "." and bool(_NUMBER.fullmatch(text, start, border.start()))


def _ends(text: str, border: re.Match[str]) -> bool:
    stop = border["stop"]
    if stop is None:
        return border["line"] is None or not _is_wrap(text, border)
    if text[border.end()].islower():
        return False
    if stop != ".":
        return True
    before = text[max(0, border.start() - _LONGEST_WORD) : border.start()]
    if _INITIAL.search(before):
        return False
    word = _WORD_BEFORE.search(before)
    return word is None or word[0].lower() not in _ABBREVIATIONS


def _is_wrap(text: str, border: re.Match[str]) -> bool:
    """Whether a line was broken only because its next word did not fit.

    It is followed by another line of the same paragraph, whose first word would have made it
    longer than the lines around it. Lines that were edited later are not always broken anew: where
    that word begins in lower case, it is enough that the line is about as long as these, or begins
    in upper case.
    """
    if len(_LINE_BREAK.findall(border[0])) != 1 or _ITEM.match(text, border.end()):
        return False
    before = _LINE_BREAK.split(
        text[max(0, border.start() - 2 * _WRAPPED_CHARS[1]) : border.start()]
    )
    behind = _LINE_BREAK.split(text[border.end() : border.end() + 2 * _WRAPPED_CHARS[1]], 1)[0]
    line = len(before[-1])
    least, most = _WRAPPED_CHARS
    if not least <= line <= most:
        return False
    width = max(line, len(behind), *(len(one) for one in before[1:-1][-1:]))
    is_full = line + 1 + len(behind.split(" ", 1)[0]) > width
    if behind[0] != "`" and not behind[0].islower():
        return is_full and len(behind) <= most
    is_about_as_long = line >= _ABOUT_AS_LONG * min(width, most)
    return is_full or is_about_as_long or before[-1].lstrip(_MARKS)[:1].isupper()


def _word_start(text: str, start: int) -> int:
    begin = start
    while begin > 0 and start - begin < _LONGEST_WORD and not text[begin - 1].isspace():
        begin -= 1
    return begin if begin == 0 or text[begin - 1].isspace() else start


def _word_end(text: str, end: int) -> int:
    stop = end
    while stop < len(text) and stop - end < _LONGEST_WORD and not text[stop].isspace():
        stop += 1
    return stop if stop == len(text) or text[stop].isspace() else end
