"""One document through the models piece by piece, so that what is in memory does not grow with it.

Its rows are those that :func:`longbert.engine.encode.encode_documents` makes of the whole.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from longbert.arrays import FloatVector
from longbert.core.coverage import UnknownChars
from longbert.core.passages import PassageStream, SpanStream
from longbert.core.text_stream import Text, TextStream
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.loaded_models import Models
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.engine.batches import run_windows
from longbert.engine.document_errors import finishing, not_covered
from longbert.engine.meter import Meter, timed
from longbert.engine.spool import Spool
from longbert.engine.window_groups import (
    EncodeGroup,
    PassReader,
    TokenizedPiece,
    WindowGroup,
    tokenized_pieces,
)
from longbert.records import Document, DocumentResult, Passage


def stream_document(
    models: Models,
    document: Document,
    pieces: Iterable[str],
    *,
    passage_tokens: int,
    meter: Meter,
    encode: EncodeGroup | None = None,
) -> Iterator[DocumentResult]:
    """Run all passes over one document whose text comes in pieces.

    Args:
        models: as loaded.
        document: without its text.
        pieces: of its text, each of which is in memory with all that is made of it.
        passage_tokens: content tokens of a passage.
        meter: counts windows and tokens as they are done.
        encode: gives what heads make of windows; None: run the passes here.

    Yields:
        The document's rows in the order of its tables, some in each result; the last one has no
        rows but all else.

    Raises:
        DocumentError: the text cannot be read, or a model failed on it.
    """
    encode = encode or partial(encode_group, models, meter=meter)
    text = TextStream()
    with ExitStack() as stack:
        stream = _DocumentStream(
            models, document, text, encode, passage_tokens=passage_tokens, meter=meter
        )
        stack.callback(stream.close)
        for piece in tokenized_pieces(models, text, pieces, meter):
            yield stream.add(piece)
        yield from stream.rows_in_turn()
        yield stream.result()


def encode_group(models: Models, group: WindowGroup, *, meter: Meter) -> list[list[Any]]:
    """What each head makes of each window of a group, computed here.

    Raises:
        DocumentError: the model failed on one of them.
    """
    pass_ = models.passes[group.pass_number]
    return run_windows(pass_, group.windows, meter=meter, n_bytes=group.n_bytes)


class _DocumentStream:
    """A document on its way through all passes."""

    def __init__(
        self,
        models: Models,
        document: Document,
        text: TextStream,
        encode: EncodeGroup,
        *,
        passage_tokens: int,
        meter: Meter,
    ) -> None:
        self._no_rows = DocumentResult(document, "", 0, 0, 0, 0, 0, None, (), (), ())
        self._meter = meter
        self._text = text
        self._digest = hashlib.sha256()
        self._segmenter = models.segmenter
        readers = [PassReader(models, number, meter) for number in range(len(models.passes))]
        self._passes = [_PassStream(reader, encode, meter) for reader in readers]
        self._passages = _PassageRows(passage_tokens, has_vectors=models.width is not None)
        self._unknown = UnknownChars()
        self._n_tokens = 0

    def add(self, piece: TokenizedPiece) -> DocumentResult:
        """Take the next characters and tokens; the passages that are certain."""
        self._digest.update(piece.data)
        own = piece.tokens[self._segmenter.digest]
        self._n_tokens += len(own)
        self._unknown.add(own.offsets, own.is_unknown)
        self._passages.add(self._text, own)
        for one in self._passes:
            self._passages.add_vectors(one.add(self._text, piece))
        if not self._passes:
            self._meter.add({"bytes": len(piece.data)})
        if piece.is_end:
            self._passages.finish(self._text)
        firsts = [self._passages.first_char, *(one.first_char for one in self._passes)]
        self._text.release(min(firsts))
        return replace(self._no_rows, passages=self._passages.take())

    def rows_in_turn(self) -> Iterator[DocumentResult]:
        """The rows of the heads, those of one head after those of another."""
        for one in self._passes:
            for spool in one.spools:
                for found in spool:
                    yield replace(
                        self._no_rows, entities=found.entities, window_scores=found.window_scores
                    )

    def result(self) -> DocumentResult:
        """All but the rows of passages, entities and windows."""
        last = [result for one in self._passes for result in one.last_results]
        return replace(
            self._no_rows,
            content_sha256=self._digest.hexdigest(),
            n_chars=len(self._text),
            n_tokens=self._n_tokens,
            n_windows=self._passes[0].n_windows if self._passes else 0,
            n_chars_covered=self._n_covered(),
            n_chars_unknown=self._unknown.count,
            embedding=next((one.embedding for one in last if one.embedding is not None), None),
            classifications=tuple(row for one in last for row in one.classifications),
        )

    def close(self) -> None:
        """Remove what waits on disk."""
        for one in self._passes:
            one.close()

    def _n_covered(self) -> int:
        """Characters that the windows of the first pass span; without a model, passages span all.

        Raises:
            DocumentError: the windows should span the text, and do not.
        """
        if not self._passes:
            return len(self._text)
        first = self._passes[0]
        n_covered = first.reader.n_covered(self._text)
        if n_covered != len(self._text) and first.reader.pass_.reads_all:
            raise not_covered(n_covered, len(self._text))
        return n_covered


class _PassStream:
    """A document in one pass.

    Attributes:
        reader: of its windows.
        spools: for each head what it finds, which waits for that of the heads before it.
        last_results: of the heads, once the document has ended.
    """

    def __init__(self, reader: PassReader, encode: EncodeGroup, meter: Meter) -> None:
        self.reader = reader
        self.n_windows = 0
        self.spools: list[Spool[HeadResult]] = [Spool() for _ in reader.pass_.heads]
        self.last_results: list[HeadResult] = []
        self._heads = [head.stream() for head in reader.pass_.heads]
        self._precision = reader.pass_.backbone.precision
        self._encode = encode
        self._meter = meter

    @property
    def first_char(self) -> int:
        """The first character that is still to be asked for."""
        firsts = (head.first_char for head in self._heads)
        return min([self.reader.first_char, *(one for one in firsts if one is not None)])

    def add(self, text: Text, piece: TokenizedPiece) -> Iterator[HeadResult]:
        """Read the next tokens; what the heads find."""
        for tokens, group in self.reader.groups(text, piece):
            partials: Sequence[Sequence[Any]] = ()
            if group is not None:
                self.n_windows += len(group.windows)
                partials = self._encode(group)
            yield from self._find(text, tokens, partials)
        if piece.is_end:
            with timed(self._meter, "assembling"), finishing(self._precision):
                self.last_results = [head.finish(text) for head in self._heads]
            self._keep(self.last_results)
            yield from self.last_results

    def close(self) -> None:
        """Remove what waits on disk."""
        for spool in self.spools:
            spool.close()

    def _find(
        self, text: Text, tokens: TokenizedText, partials: Sequence[Sequence[Any]]
    ) -> list[HeadResult]:
        with timed(self._meter, "assembling"), finishing(self._precision):
            results = [
                head.add(text, tokens, [by_head[number] for by_head in partials])
                for number, head in enumerate(self._heads)
            ]
        self._keep(results)
        return results

    def _keep(self, results: Sequence[HeadResult]) -> None:
        for spool, result in zip(self.spools, results, strict=True):
            if result.entities or result.window_scores:
                spool.add(HeadResult(entities=result.entities, window_scores=result.window_scores))


class _PassageRows:
    """The passages of a document with their vectors, which come later than their texts.

    Args:
        size: content tokens of a passage.
        has_vectors: whether there are vectors.
    """

    def __init__(self, size: int, *, has_vectors: bool) -> None:
        self._starts = PassageStream(size=size)
        self._spans = SpanStream()
        self._has_vectors = has_vectors
        # Where the tokens from the last start on begin.
        self._begins = np.empty(0, dtype=np.int64)
        self._first_token = 0
        self._n_passages = 0
        self._texts: deque[tuple[int, int, str]] = deque()
        self._vectors: deque[FloatVector] = deque()

    @property
    def first_char(self) -> int:
        """The first character that is still to be asked for."""
        return self._spans.first_char

    def add(self, text: Text, tokens: TokenizedText) -> None:
        """Take the next tokens."""
        self._begins = np.concatenate([self._begins, tokens.offsets[:, 0]])
        self._start(text, self._starts.add(tokens.offsets))

    def add_vectors(self, results: Iterable[HeadResult]) -> None:
        """Take the vectors that a head of these has found, if one does."""
        for result in results:
            if result.passage_embeddings is not None:
                self._vectors.extend(result.passage_embeddings)

    def finish(self, text: Text) -> None:
        """Take the end of the text."""
        self._start(text, self._starts.finish())
        self._cut(text, self._spans.finish(len(text)).tolist())

    def take(self) -> tuple[Passage, ...]:
        """The passages that are complete."""
        passages = []
        while self._texts and (self._vectors or not self._has_vectors):
            start, stop, text = self._texts.popleft()
            vector = self._vectors.popleft() if self._has_vectors else None
            passages.append(Passage(self._n_passages, start, stop, text, vector))
            self._n_passages += 1
        return tuple(passages)

    def _start(self, text: Text, starts: list[int]) -> None:
        if not starts:
            return
        places = np.array(starts, dtype=np.int64) - self._first_token
        self._cut(text, self._spans.add(self._begins[places]).tolist())
        self._begins = self._begins[places[-1] :]
        self._first_token = starts[-1]

    def _cut(self, text: Text, spans: list[list[int]]) -> None:
        self._texts.extend((start, stop, text[start:stop]) for start, stop in spans)
