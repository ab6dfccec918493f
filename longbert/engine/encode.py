"""Documents through the models: tokenize once, windows, batches, assembly."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from longbert.core.batching import Batch, pack_batches
from longbert.core.coverage import count_covered_chars, count_unknown_chars
from longbert.core.passages import passage_spans, passage_starts
from longbert.encoders.batch import TokenWindow
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.loaded_models import Models
from longbert.encoders.tokenizers.base import Segmenter, TokenizedText
from longbert.engine.document_errors import finishing, not_covered, tokenizing, without_tokens
from longbert.engine.meter import Meter, NullMeter, timed
from longbert.errors import DocumentError
from longbert.records import Document, DocumentResult, Passage

if TYPE_CHECKING:
    from longbert.encoders.passes import Pass

_UNKNOWN_SHARE = 0.1
"""Share of unknown characters above which the model does not know a document's script."""


def does_not_know_script(result: DocumentResult) -> bool:
    """Whether too much of a document is unknown to the model."""
    return result.n_chars_unknown > _UNKNOWN_SHARE * result.n_chars


@dataclass
class _State:
    """A document on its way through the passes."""

    document: Document
    error: DocumentError | None = None
    tokens: dict[str, TokenizedText] = field(default_factory=dict)
    n_windows: int = 0
    results: list[HeadResult] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Slot:
    """Which window some partials belong to."""

    state: _State
    window: TokenWindow


def encode_documents(
    models: Models,
    documents: Sequence[Document],
    *,
    passage_tokens: int,
    meter: Meter | None = None,
    n_bytes: int = 0,
) -> Iterator[DocumentResult | DocumentError]:
    """Run all passes over some documents, which share batches but not results.

    Args:
        models: as loaded.
        documents: any number; the windows of all are in memory at once.
        passage_tokens: content tokens of a passage.
        meter: counts windows and tokens as they are done.
        n_bytes: input bytes of these documents, for the meter.

    Yields:
        For each document, in order, its result or the error.
    """
    meter = meter or NullMeter()
    states = [_State(document) for document in documents]
    for pass_ in models.passes:
        _run_pass(pass_, states, meter, n_bytes / len(models.passes))
    if not models.passes:
        _only_cut(models.segmenter, states, meter, n_bytes)
    for state in states:
        if state.error is None:
            try:
                yield _result(models, state, passage_tokens)
                continue
            except DocumentError as error:
                state.error = error
        yield state.error


def n_vectors_of_zeros(result: DocumentResult) -> int:
    """Vectors of a document and its passages that are all zeros, and so have no direction."""
    vectors = [result.embedding, *(passage.embedding for passage in result.passages)]
    return sum(vector is not None and not vector.any() for vector in vectors)


@dataclass(frozen=True, slots=True)
class WindowPartials:
    """What one head of a pass makes of a document's windows.

    Attributes:
        tokens: of the document.
        windows: in order.
        partials: one for each window.
    """

    tokens: TokenizedText
    windows: tuple[TokenWindow, ...]
    partials: tuple[Any, ...]


def encode_windows(
    pass_: Pass, documents: Sequence[Document], *, meter: Meter | None = None
) -> Iterator[WindowPartials | DocumentError]:
    """Run a pass of one head over documents, and keep its partials window by window.

    The windows, batches and hidden states are those of :func:`encode_documents`.

    Yields:
        For each document, in order, its windows or the error.
    """
    (_,) = pass_.heads
    states = [_State(document) for document in documents]
    slots, partials = _encode(pass_, states, meter or NullMeter(), 0)
    start = 0
    for state in states:
        # The windows of a document are adjacent, in document order.
        stop = start
        while stop < len(slots) and slots[stop].state is state:
            stop += 1
        if state.error is not None:
            yield state.error
        else:
            yield WindowPartials(
                state.tokens[pass_.tokenizer.digest],
                tuple(slot.window for slot in slots[start:stop]),
                tuple(by_head[0] for by_head in partials[start:stop]),
            )
        start = stop


def _run_pass(pass_: Pass, states: Sequence[_State], meter: Meter, n_bytes: float) -> None:
    slots, partials = _encode(pass_, states, meter, n_bytes)
    with timed(meter, "assembling"):
        _finish(pass_, slots, partials)


def _only_cut(segmenter: Segmenter, states: Sequence[_State], meter: Meter, n_bytes: float) -> None:
    """Cut documents that no model reads."""
    with timed(meter, "tokenizing"):
        for state in states:
            try:
                _tokenize(segmenter, state, has_models=False)
            except DocumentError as error:
                state.error = error
    meter.add({"bytes": n_bytes})


def _encode(
    pass_: Pass, states: Sequence[_State], meter: Meter, n_bytes: float
) -> tuple[list[_Slot], list[list[Any]]]:
    """The windows of all documents, and what each head makes of each window."""
    slots: list[_Slot] = []
    with timed(meter, "tokenizing"):
        for state in states:
            slots += _split(pass_, state)
    return slots, _run(pass_, slots, meter, n_bytes)


def run_windows(
    pass_: Pass, windows: Sequence[TokenWindow], *, meter: Meter, n_bytes: float
) -> list[list[Any]]:
    """What each head makes of each of some neighbouring windows of one document.

    Args:
        pass_: that reads them.
        windows: any number, all in memory at once.
        meter: counts windows and tokens as they are done.
        n_bytes: input bytes that they stand for, for the meter.

    Raises:
        DocumentError: the model failed on one of them.
    """
    state = _State(Document("", ""))
    partials = _run(pass_, [_Slot(state, window) for window in windows], meter, n_bytes)
    if state.error is not None:
        raise state.error
    return partials


def _run(pass_: Pass, slots: Sequence[_Slot], meter: Meter, n_bytes: float) -> list[list[Any]]:
    lengths = [len(slot.window.ids) + pass_.backbone.n_special for slot in slots]
    partials: list[list[Any]] = [[] for _ in slots]
    bytes_a_position = n_bytes / max(1, sum(lengths))
    batches = _packed(pass_, slots, lengths)
    began = time.perf_counter()
    outcomes = pass_.map(partial(_run_batch, pass_, slots), batches)
    for batch, outcome in zip(batches, outcomes, strict=True):
        _keep(outcome, slots, partials)
        ended = time.perf_counter()
        positions = sum(lengths[index] for index in batch.indices)
        meter.add(
            {
                "seconds_encoding": ended - began,
                "windows": len(batch.indices),
                "tokens": sum(slots[index].window.window.n_owned for index in batch.indices),
                "positions": positions,
                "padded_positions": batch.padded_length
                * pass_.n_rows(len(batch.indices), batch.padded_length),
                "bytes": positions * bytes_a_position,
            }
        )
        began = ended
    return partials


def _packed(pass_: Pass, slots: Sequence[_Slot], lengths: Sequence[int]) -> list[Batch]:
    """Batches of windows; those of the same tokens are in one batch, where they count once."""
    equal: dict[bytes, list[int]] = {}
    for index, slot in enumerate(slots):
        equal.setdefault(slot.window.ids.tobytes(), []).append(index)
    groups = list(equal.values())
    batches = pack_batches(
        [lengths[group[0]] for group in groups],
        batch_tokens=pass_.batch_tokens,
        limit=pass_.limit,
    )
    return [
        Batch(
            tuple(index for number in batch.indices for index in groups[number]),
            batch.padded_length,
        )
        for batch in batches
    ]


def _split(pass_: Pass, state: _State) -> list[_Slot]:
    """Tokenize a document and cut its windows."""
    if state.error is not None:
        return []
    try:
        tokens = _tokenize(pass_.tokenizer, state, has_models=True)
        with tokenizing():
            windows = pass_.split(state.document.text, tokens)
    except DocumentError as error:
        state.error = error
        return []
    state.n_windows = state.n_windows or len(windows)
    return [_Slot(state, window) for window in windows]


def _tokenize(segmenter: Segmenter, state: _State, *, has_models: bool) -> TokenizedText:
    """The tokens of a document, made once for all passes with the same tokenizer."""
    key = segmenter.digest
    if key not in state.tokens:
        with tokenizing():
            state.tokens[key] = segmenter.tokenize(state.document.text)
    tokens = state.tokens[key]
    if not len(tokens):
        raise without_tokens(has_models=has_models)
    return tokens


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a window.

    Attributes:
        index: of its slot.
        partials: by head; empty if it failed.
        failure: name of the error; empty if there was none.
    """

    index: int
    partials: list[Any]
    failure: str = ""


def _run_batch(pass_: Pass, slots: Sequence[_Slot], batch: Batch) -> list[_Outcome]:
    """Encode a batch; if it fails, halve it until only the culprits fail.

    Halving also makes a batch fit that was too large for memory. It changes no bits. Other batches
    may run at the same time, so nothing that they read is changed.
    """
    indices = [index for index in batch.indices if slots[index].state.error is None]
    if not indices:
        return []
    failure = ""
    by_head: list[list[Any]] = []
    try:
        by_head = pass_.run([slots[index].window for index in indices], batch.padded_length)
    except Exception as error:
        # Not the error itself, whose frames would keep the batch in memory while it is halved.
        failure = type(error).__name__
    if not failure:
        return [
            _Outcome(index, [head[position] for head in by_head])
            for position, index in enumerate(indices)
        ]
    if len(indices) == 1:
        return [_Outcome(indices[0], [], failure)]
    middle = len(indices) // 2
    halves = indices[:middle], indices[middle:]
    return [
        outcome
        for half in halves
        for outcome in _run_batch(pass_, slots, Batch(tuple(half), batch.padded_length))
    ]


def _keep(outcomes: Sequence[_Outcome], slots: Sequence[_Slot], partials: list[list[Any]]) -> None:
    """Note what came of windows; of a document's failures, the first in order is kept."""
    for outcome in outcomes:
        state = slots[outcome.index].state
        if not outcome.failure:
            partials[outcome.index] = outcome.partials
        elif state.error is None:
            state.error = DocumentError(
                "encode", outcome.failure, "the model failed on a window of this document"
            )


def _finish(pass_: Pass, slots: Sequence[_Slot], partials: Sequence[list[Any]]) -> None:
    start = 0
    while start < len(slots):
        state = slots[start].state
        stop = start
        while stop < len(slots) and slots[stop].state is state:
            stop += 1
        if state.error is None:
            try:
                with finishing(pass_.backbone.precision):
                    _finish_document(pass_, state, partials[start:stop])
            except DocumentError as error:
                state.error = error
        start = stop


def _finish_document(pass_: Pass, state: _State, partials: Sequence[list[Any]]) -> None:
    tokens = state.tokens[pass_.tokenizer.digest]
    for number, head in enumerate(pass_.heads):
        merged = head.merge([by_head[number] for by_head in partials])
        state.results.append(head.finish(state.document.text, tokens, merged))


def _result(models: Models, state: _State, passage_tokens: int) -> DocumentResult:
    """Assemble the heads' results for a document.

    Raises:
        DocumentError: the windows do not span the text.
    """
    text = state.document.text
    tokens = state.tokens[models.segmenter.digest]
    embedding = next((r.embedding for r in state.results if r.embedding is not None), None)
    vectors = next(
        (r.passage_embeddings for r in state.results if r.passage_embeddings is not None), None
    )
    entities = tuple(entity for result in state.results for entity in result.entities)
    classes = tuple(row for result in state.results for row in result.classifications)
    window_scores = tuple(row for result in state.results for row in result.window_scores)
    covered = _n_covered(models, text, tokens)
    starts = passage_starts(tokens.offsets, size=passage_tokens)
    spans = passage_spans(tokens.offsets, starts, len(text)).tolist()
    return DocumentResult(
        document=state.document,
        content_sha256=hashlib.sha256(text.encode()).hexdigest(),
        n_chars=len(text),
        n_tokens=len(tokens),
        n_windows=state.n_windows,
        n_chars_covered=covered,
        n_chars_unknown=count_unknown_chars(tokens.offsets, tokens.is_unknown),
        embedding=embedding,
        passages=tuple(
            Passage(
                ordinal=ordinal,
                char_start=start,
                char_end=stop,
                text=text[start:stop],
                embedding=None if vectors is None else vectors[ordinal],
            )
            for ordinal, (start, stop) in enumerate(spans)
        ),
        entities=entities,
        classifications=classes,
        window_scores=window_scores,
    )


def _n_covered(models: Models, text: str, tokens: TokenizedText) -> int:
    """Characters that the windows of the first pass span; without a model, passages span all.

    Raises:
        DocumentError: the windows should span the text, and do not.
    """
    if not models.passes:
        return len(text)
    first = models.passes[0]
    covered = count_covered_chars(text, tokens.offsets, first.split_tokens(tokens))
    if covered != len(text) and first.reads_all:
        raise not_covered(covered, len(text))
    return covered
