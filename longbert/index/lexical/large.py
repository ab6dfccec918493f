"""The lexical file of a part that is one large document, made in bounded memory.

Postings are sorted in blocks, which are merged on disk. The bytes are those that
:func:`longbert.index.lexical.part.build_part` gives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO

import numpy as np
import regex

from longbert.arrays import Array, IntArray, TermArray, UnsignedArray
from longbert.core.lexical import TotalsStream
from longbert.index.array_stream import ArrayOnDisk, Writable, write_arrays
from longbert.index.lexical.analysis import analyse, pairs
from longbert.index.lexical.languages import AUTO, detect_language
from longbert.index.lexical.part import count_postings, facts_of
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches

BLOCK_OCCURRENCES = 1 << 20
"""Words and pairs that are sorted in memory, and postings that are merged there."""

_BUCKET_BITS = 12
# No word reaches across such a character.
_LAST_BREAK = regex.compile(r"(?r)[^\p{L}\p{N}\p{M}'’]")


def write_large_part(file: Writable, *, output: OutputFolder, part: str, language: str) -> None:
    """Make the lexical file of a part from its committed passages.

    Args:
        file: open for writing.
        output: where the part is.
        part: its name; it holds one document.
        language: as for :func:`longbert.index.lexical.part.build_part`.

    Raises:
        OutputError: the passages are missing or damaged.
    """
    if language == AUTO:
        language = detect_language(_CommittedText(output, part))
    with ExitStack() as stack:
        blocks = _Blocks()
        stack.callback(blocks.close)
        names = ("terms", "starts", "passages", "counts", "words", "documents")
        arrays = {name: stack.enter_context(ArrayOnDisk()) for name in names}
        totals = TotalsStream()
        for n_words in _fill(blocks, output, part, language):
            totals.add(n_words)
            arrays["words"].append(n_words)
        arrays["documents"].append(np.array([0, arrays["words"].n_items], np.int64))
        n_postings = 0
        for terms, starts, passages, counts in blocks.merged():
            arrays["terms"].append(terms)
            arrays["starts"].append(n_postings + starts)
            arrays["passages"].append(passages)
            arrays["counts"].append(counts)
            n_postings += len(passages)
        arrays["starts"].append(np.array([n_postings]))
        facts = facts_of(totals.finish(), {language: 1})
        write_arrays(file, arrays, {"terms": np.uint64, "documents": np.int64}, facts)


class _CommittedText:
    """The text of a part's one document, read where it is asked for."""

    def __init__(self, output: OutputFolder, part: str) -> None:
        self._output = output
        self._part = part
        (self._n_chars,) = (
            int(n_chars)
            for _, batch in read_batches(output, "documents", [part], ("n_chars",))
            for n_chars in batch.column("n_chars").to_pylist()
        )

    def __len__(self) -> int:
        return self._n_chars

    def __getitem__(self, key: slice) -> str:
        start, stop = key.start or 0, key.stop
        found = []
        for starts, texts in _passages(self._output, self._part):
            if starts[0] >= stop:
                break
            first = int(starts[0])
            found.append("".join(texts)[max(0, start - first) : stop - first])
        return "".join(found)


def _passages(output: OutputFolder, part: str) -> Iterator[tuple[IntArray, list[str]]]:
    for _, batch in read_batches(output, "passages", [part], ("char_start", "text")):
        yield batch.column("char_start").to_numpy(), batch.column("text").to_pylist()


def _fill(
    blocks: _Blocks, output: OutputFolder, part: str, language: str
) -> Iterator[UnsignedArray]:
    """Put all words and pairs into blocks; the words of passages, as they are known."""
    # Of the passages that the text at hand may belong to, and how many there are before.
    begins, n_words, n_passed = np.empty(0, np.int64), np.empty(0, np.uint64), 0
    held, first = "", 0
    before_terms, before_owners = np.empty(0, np.uint64), np.empty(0, np.int64)
    batches = _passages(output, part)
    is_end = False
    while not is_end:
        batch = next(batches, None)
        is_end = batch is None
        if batch is not None:
            begins = np.append(begins, batch[0])
            n_words = np.append(n_words, np.zeros(len(batch[0]), np.uint64))
            held += "".join(batch[1])
        # A passage that is still to come may begin where the last one does.
        known = len(held) if is_end else int(begins[-1]) - first
        last_break = None if is_end else _LAST_BREAK.search(held, 0, known)
        stop = known if is_end else (0 if last_break is None else last_break.end())
        words = analyse(held[:stop], language=language)
        owners = np.searchsorted(begins, words.starts + first, side="right") - 1
        np.add.at(n_words, owners, 1)
        inside = np.searchsorted(begins, words.character_starts + first, side="right") - 1
        held, first = held[stop:], first + stop
        # A pair stands where its first word does.
        terms = np.concatenate([before_terms, words.terms])
        owners += n_passed
        inside += n_passed
        places = np.concatenate([before_owners, owners])
        joined = pairs(terms[:-1], terms[1:])
        blocks.add((words.terms, joined, words.character_terms), (owners, places[:-1], inside))
        before_terms, before_owners = terms[-1:], places[-1:]
        n_done = len(begins) if is_end else int(np.searchsorted(begins, first, side="right")) - 1
        yield n_words[:n_done]
        begins, n_words, n_passed = begins[n_done:], n_words[n_done:], n_passed + n_done


class _Blocks:
    """Occurrences of terms, sorted into postings block by block, and merged."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._terms: list[TermArray] = []
        self._owners: list[IntArray] = []
        self._n_held = 0
        self._blocks: list[_Block] = []

    def add(self, terms: Sequence[TermArray], owners: Sequence[IntArray]) -> None:
        """Take all terms of the next words, with the passages that they stand in."""
        self._terms += terms
        self._owners += owners
        self._n_held += sum(map(len, terms))
        if self._n_held >= BLOCK_OCCURRENCES:
            self._sort(is_end=False)

    def merged(self) -> Iterator[tuple[TermArray, IntArray, IntArray, IntArray]]:
        """Postings of all blocks, by term: terms, their first postings, passages and counts."""
        self._sort(is_end=True)
        for first, stop in self._ranges():
            parts = [block.read(self._file, first, stop) for block in self._blocks]
            terms = np.concatenate([terms for terms, _, _ in parts])
            # Later blocks have later passages.
            order = np.argsort(terms, kind="stable")
            terms = terms[order]
            passages = np.concatenate([passages for _, passages, _ in parts])[order]
            counts = np.concatenate([counts for _, _, counts in parts])[order]
            starts = np.flatnonzero(np.append(True, terms[1:] != terms[:-1])[: len(terms)])
            yield terms[starts], starts, passages, counts

    def close(self) -> None:
        """Remove them."""
        self._file.close()

    def _sort(self, *, is_end: bool) -> None:
        """Write a block of all passages that are complete."""
        terms = np.concatenate([np.empty(0, np.uint64), *self._terms])
        owners = np.concatenate([np.empty(0, np.int64), *self._owners])
        is_ready = np.full(len(owners), True) if is_end else owners < owners.max(initial=-1)
        self._terms, self._owners = [terms[~is_ready]], [owners[~is_ready]]
        self._n_held = len(self._terms[0])
        distinct, starts, passages, counts = count_postings(terms[is_ready], owners[is_ready])
        repeated = np.repeat(distinct, np.diff(starts))
        self._blocks.append(_Block.write(self._file, repeated, passages, counts))

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Runs of buckets with about as many postings as are merged at once."""
        sizes = sum((np.diff(one.borders) for one in self._blocks), np.zeros(1, np.int64))
        first = n_postings = 0
        for bucket, size in enumerate(sizes.tolist()):
            if n_postings and n_postings + size > BLOCK_OCCURRENCES:
                yield first, bucket
                first, n_postings = bucket, 0
            n_postings += size
        yield first, len(sizes)


class _Block:
    """Postings on disk, by term, then by passage.

    Attributes:
        borders: first posting of each bucket of terms, by their highest bits, and the end. Terms
            are digests, so buckets are about equally full.
    """

    def __init__(self, start: int, borders: IntArray) -> None:
        self._start = start
        self.borders = borders

    @classmethod
    def write(
        cls, file: IO[bytes], terms: TermArray, passages: IntArray, counts: IntArray
    ) -> _Block:
        """Append a block to a file."""
        start = file.seek(0, 2)
        for column in (terms, passages, counts):
            file.write(column.astype("<u8").tobytes())
        edges = np.arange(1, 1 << _BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - _BUCKET_BITS)
        inner = np.searchsorted(terms, edges)
        # There are as many of these as a document has blocks.
        return cls(start, np.concatenate([[0], inner, [len(terms)]]).astype(np.int32))

    def read(self, file: IO[bytes], first: int, stop: int) -> tuple[TermArray, IntArray, IntArray]:
        """Terms, passages and counts of the postings in some buckets."""
        start, end = int(self.borders[first]), int(self.borders[stop])
        columns: list[Array] = []
        for column in range(3):
            file.seek(self._start + 8 * (column * int(self.borders[-1]) + start))
            columns.append(np.frombuffer(file.read(8 * (end - start)), "<u8"))
        terms, passages, counts = columns
        return terms, passages.astype(np.int64), counts.astype(np.int64)
