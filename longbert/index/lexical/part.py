"""The lexical file of a part: which terms stand in which of its passages.

It is read through a memory map, of which a query touches only the lists of its terms. Parts add
up: what a corpus knows beyond them are sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longbert.arrays import IntArray, TermArray, UnsignedArray
from longbert.core.lexical import Layout, Occurrences, Totals
from longbert.core.ranking import rows_between
from longbert.errors import OutputError
from longbert.index.array_file import pack, smallest, unpack
from longbert.index.lexical.analysis import AnalysedText, analyse, pairs
from longbert.index.lexical.languages import ANALYSIS, STEMMERS, UNSTEMMED

_ARRAYS = {"terms", "starts", "passages", "counts", "words", "documents"}
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)
"""What reading a damaged header may raise."""

_MOST = 1 << 62
"""Beyond any count; twice this is still a number of 64 bits."""


@dataclass(frozen=True, slots=True)
class DocumentPassages:
    """A document as its passages cut it.

    Attributes:
        text: the whole.
        starts: where its passages begin, ascending from 0. Shape: (passages,).
    """

    text: str
    starts: Sequence[int]


@dataclass(frozen=True, slots=True)
class LexicalPart:
    """A part's postings, as they lie in its file.

    The arrays are not read when it is opened, so what a query uses of them is checked then.

    Attributes:
        path: of the file, for messages.
        terms: ascending. Shape: (terms,).
        starts: first posting of every term, and the end. Shape: (terms + 1,).
        passages: of the postings, ascending within a term. Shape: (postings,).
        counts: of the postings. Shape: (postings,).
        layout: of documents and passages, in the order of the part's tables.
        totals: of the layout.
        languages: documents by the language that they were stemmed in.
    """

    path: str
    terms: TermArray
    starts: UnsignedArray
    passages: UnsignedArray
    counts: UnsignedArray
    layout: Layout
    totals: Totals
    languages: Mapping[str, int]

    def find(self, numbers: TermArray, terms: IntArray) -> Occurrences:
        """Where the terms of a query stand.

        Args:
            numbers: of all ways that the terms are written in. Shape: (n,).
            terms: place in the query of the term that each belongs to, ascending. Shape: (n,).

        Raises:
            OutputError: their postings are damaged.
        """
        places = np.searchsorted(self.terms, numbers)
        # One beyond the last is no place.
        known = np.flatnonzero(places < len(self.terms))
        known = known[self.terms[places[known]] == numbers[known]]
        firsts = self.starts[places[known]].astype(np.int64)
        sizes = self.starts[places[known] + 1].astype(np.int64) - firsts
        ends = firsts + sizes
        if (firsts < 0).any() or (sizes < 1).any() or (ends > len(self.passages)).any():
            raise _damaged(self.path, "the postings of a term are not where it says")
        rows = rows_between(firsts, sizes)
        passages = self.passages[rows].astype(np.int64)
        counts = self.counts[rows].astype(np.int64)
        # A number may be looked for twice, one after the other.
        is_same_list = np.diff(np.repeat(np.arange(len(known)), sizes)) == 0
        if (
            (passages < 0).any()
            or (passages >= self.totals.passages).any()
            or (np.diff(passages)[is_same_list] < 1).any()
            or (counts < 1).any()
            # A character of a script without spaces may stand twice for each pair.
            or (counts > 2 * self.totals.words).any()
        ):
            raise _damaged(self.path, "its postings do not fit its passages")
        return Occurrences.of(np.repeat(terms[known], sizes), passages, counts, self.layout)

    def check_layout(self) -> None:
        """Check what every query reads, whatever its terms.

        Raises:
            OutputError: documents and passages do not fit what the file says of itself.
        """
        starts, words = self.layout.starts, self.layout.words
        if (
            starts[0] != 0
            or (np.diff(starts) < 0).any()
            or int(words.max(initial=0)) > self.totals.words
            or self.layout.words_before[-1] != self.totals.words
        ):
            raise _damaged(self.path, "its passages are not those that it counts")


def build_part(
    documents: Iterable[DocumentPassages],
    *,
    language: str,
    analysed: Mapping[str, AnalysedText] | None = None,
) -> bytes:
    """Make a part's file: the same documents give the same bytes.

    Args:
        documents: in the order of the tables.
        language: ``"auto"``, ``"none"`` or a key of
            :data:`longbert.index.lexical.languages.STEMMERS`.
        analysed: what :func:`~longbert.index.lexical.analysis.analyse` has made of some of the
            texts already.
    """
    known = analysed or {}
    terms: list[TermArray] = [np.zeros(0, np.uint64)]
    passages: list[IntArray] = [np.zeros(0, np.int64)]
    n_words: list[IntArray] = [np.zeros(0, np.int64)]
    starts = [0]
    languages: Counter[str] = Counter()
    for document in documents:
        words = known.get(document.text) or analyse(document.text, language=language)
        languages[words.language] += 1
        begins = np.asarray(document.starts, np.int64)
        owners = np.searchsorted(begins, words.starts, side="right") - 1
        n_words.append(np.bincount(owners, minlength=len(begins)))
        inside = np.searchsorted(begins, words.character_starts, side="right") - 1
        # A pair stands where its first word does.
        joined = pairs(words.terms[:-1], words.terms[1:])
        terms += [words.terms, joined, words.character_terms]
        passages += [one + starts[-1] for one in (owners, owners[:-1], inside)]
        starts.append(starts[-1] + len(begins))
    distinct, first, where, counts = count_postings(np.concatenate(terms), np.concatenate(passages))
    layout = Layout(np.array(starts, np.int64), np.concatenate(n_words).astype(np.uint64))
    arrays = {
        "terms": distinct,
        "starts": smallest(first),
        "passages": smallest(where),
        "counts": smallest(counts),
        "words": smallest(layout.words),
        "documents": layout.starts,
    }
    return pack(arrays, facts_of(Totals.of(layout), languages))


def facts_of(totals: Totals, languages: Mapping[str, int]) -> dict[str, Any]:
    """What a part's file says of itself."""
    return {"analysis": ANALYSIS, "totals": asdict(totals), "languages": dict(languages)}


def open_part(data: Any, *, path: str) -> LexicalPart:
    """Read a part's file without copying it.

    Args:
        data: its bytes, best a memory map.
        path: for messages.

    Raises:
        OutputError: it is damaged, or of another version.
    """
    try:
        arrays, facts = unpack(data, _ARRAYS)
        if facts["analysis"] != ANALYSIS:
            raise OutputError(
                f"{path} has analysis {facts['analysis']}, and this version of longbert reads "
                f"{ANALYSIS}: run longbert again to make it anew"
            )
        part = LexicalPart(
            path=path,
            terms=arrays["terms"],
            starts=arrays["starts"],
            passages=arrays["passages"],
            counts=arrays["counts"],
            layout=Layout(arrays["documents"], arrays["words"]),
            totals=Totals(**facts["totals"]),
            languages=facts["languages"],
        )
        _check(part)
    except _UNREADABLE as error:
        raise _damaged(path, str(error)) from None
    return part


def count_postings(
    terms: TermArray, passages: IntArray
) -> tuple[TermArray, IntArray, IntArray, IntArray]:
    """Sort occurrences into postings: distinct terms, their starts, passages and counts."""
    order = np.lexsort((passages, terms))
    terms, passages = terms[order], passages[order]
    new_term = np.concatenate([[True], terms[1:] != terms[:-1]])[: len(terms)]
    new_posting = new_term | np.concatenate([[True], passages[1:] != passages[:-1]])[: len(terms)]
    firsts = np.flatnonzero(new_posting)
    counts = np.diff(np.append(firsts, len(terms)))
    begins = np.flatnonzero(new_term[firsts])
    return terms[new_term], np.append(begins, len(firsts)), passages[firsts], counts


def _damaged(path: str, why: str) -> OutputError:
    return OutputError(
        f"{path} is damaged ({why}): remove it, and run longbert again to make it anew"
    )


def _check(part: LexicalPart) -> None:
    """Check the lengths of the arrays and the facts, which costs no reading of the arrays."""
    starts, layout = part.starts, part.layout
    sums = asdict(part.totals).values()
    if not all(isinstance(one, int) and 0 <= one < _MOST for one in sums):
        raise ValueError("its sums are no counts")
    if not part.languages.keys() <= {UNSTEMMED, *STEMMERS}:
        raise ValueError("it names no known language")
    unsigned = (part.terms, starts, part.passages, part.counts, layout.words)
    if any(one.dtype.kind != "u" for one in unsigned) or layout.starts.dtype.kind != "i":
        raise ValueError("its arrays have other types")
    if (
        len(starts) != len(part.terms) + 1
        or len(part.passages) != len(part.counts)
        or int(starts[-1]) != len(part.passages)
        or int(layout.starts[-1]) != len(layout.words)
        or part.totals.documents != layout.n_documents
        or part.totals.passages != len(layout.words)
    ):
        raise ValueError("its arrays do not fit each other")
