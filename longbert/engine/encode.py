"""Documents through the models: tokenize once, windows, batches, assembly."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longbert.core.coverage import count_covered_chars, count_unknown_chars
from longbert.core.passages import passage_spans, passage_starts
from longbert.encoders.batch import TokenWindow
from longbert.encoders.loaded_models import Models
from longbert.encoders.tokenizers.base import Segmenter, TokenizedText
from longbert.engine.batches import DocumentState, Slot, n_positions_of, run_slots
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


def encode_documents(
    models: Models,
    documents: Sequence[Document],
    *,
    passage_tokens: int,
    meter: Meter | None = None,
    n_bytes: int = 0,
    meanwhile: Callable[[str], None] | None = None,
) -> Iterator[DocumentResult | DocumentError]:
    """Run all passes over some documents, which share batches but not results.

    Documents of the same text, such as messages of one template, are encoded once.

    Args:
        models: as loaded.
        documents: any number; the windows of all are in memory at once.
        passage_tokens: content tokens of a passage.
        meter: counts windows and tokens as they are done.
        n_bytes: input bytes of these documents, for the meter.
        meanwhile: called with texts that the first pass has encoded, each once, while it encodes
            others.

    Yields:
        For each document, in order, its result or the error.
    """
    meter = meter or NullMeter()
    by_text: dict[str, DocumentState] = {}
    for document in documents:
        by_text.setdefault(document.text, DocumentState(document))
    states = list(by_text.values())
    for number, pass_ in enumerate(models.passes):
        done = _run_pass(pass_, states, meter, n_bytes / len(models.passes))
        for state in done:
            if meanwhile is not None and not number:
                meanwhile(state.document.text)
    if not models.passes:
        _only_cut(models.segmenter, states, meter, n_bytes)
    for document in documents:
        state = by_text[document.text]
        if state.error is None:
            try:
                yield _result(models, state, document, passage_tokens)
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
    states = [DocumentState(document) for document in documents]
    for _ in _encode(pass_, states, meter or NullMeter(), 0):
        pass
    for state in states:
        slots = state.release()
        if state.error is not None:
            yield state.error
        else:
            yield WindowPartials(
                state.tokens[pass_.tokenizer.digest],
                tuple(slot.window for slot in slots),
                tuple(slot.partials[0] for slot in slots),
            )


def _run_pass(
    pass_: Pass, states: Sequence[DocumentState], meter: Meter, n_bytes: float
) -> Iterator[DocumentState]:
    """Run a pass, let its heads finish each document while others are encoded, and give it."""
    seconds = 0.0
    for state in _encode(pass_, states, meter, n_bytes):
        began = time.perf_counter()
        _finish(pass_, state)
        seconds += time.perf_counter() - began
        yield state
    for state in states:
        state.release()
    meter.add({"seconds_assembling": seconds})


def _only_cut(
    segmenter: Segmenter, states: Sequence[DocumentState], meter: Meter, n_bytes: float
) -> None:
    """Cut documents that no model reads."""
    with timed(meter, "tokenizing"):
        for state in states:
            try:
                _tokenize(segmenter, state, has_models=False)
            except DocumentError as error:
                state.error = error
    meter.add({"bytes": n_bytes})


def _encode(
    pass_: Pass, states: Sequence[DocumentState], meter: Meter, n_bytes: float
) -> Iterator[DocumentState]:
    """Encode documents, and give each of which all windows are done.

    Documents are tokenized while batches of those before them run.
    """
    n_chars = sum(len(state.document.text) for state in states)
    for slot in run_slots(pass_, _slots(pass_, states, meter, n_bytes / max(1, n_chars)), meter):
        slot.state.n_left -= 1
        if not slot.state.n_left and slot.state.error is None:
            yield slot.state


def _slots(
    pass_: Pass, states: Sequence[DocumentState], meter: Meter, bytes_a_char: float
) -> Iterator[Slot]:
    """The windows of all documents."""
    for state in states:
        n_bytes = len(state.document.text) * bytes_a_char
        state.slots = _split(pass_, state)
        state.n_left = len(state.slots)
        if not state.slots:
            meter.add({"bytes": n_bytes})
        n_positions = sum(n_positions_of(pass_, slot) for slot in state.slots)
        for slot in state.slots:
            slot.n_bytes = n_bytes * n_positions_of(pass_, slot) / n_positions
            yield slot


def _split(pass_: Pass, state: DocumentState) -> list[Slot]:
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
    return [Slot(state, window) for window in windows]


def _tokenize(segmenter: Segmenter, state: DocumentState, *, has_models: bool) -> TokenizedText:
    """The tokens of a document, made once for all passes with the same tokenizer."""
    key = segmenter.digest
    if key not in state.tokens:
        with tokenizing():
            state.tokens[key] = segmenter.tokenize(state.document.text)
    tokens = state.tokens[key]
    if not len(tokens):
        raise without_tokens(has_models=has_models)
    return tokens


def _finish(pass_: Pass, state: DocumentState) -> None:
    """Let the heads finish a document, whose partials are not needed after that."""
    slots = state.release()
    try:
        with finishing(pass_.backbone.precision):
            _finish_document(pass_, state, [slot.partials for slot in slots])
    except DocumentError as error:
        state.error = error
    for slot in slots:
        slot.partials = []


def _finish_document(pass_: Pass, state: DocumentState, partials: Sequence[list[Any]]) -> None:
    tokens = state.tokens[pass_.tokenizer.digest]
    for number, head in enumerate(pass_.heads):
        merged = head.merge([by_head[number] for by_head in partials])
        state.results.append(head.finish(state.document.text, tokens, merged))


def _result(
    models: Models, state: DocumentState, document: Document, passage_tokens: int
) -> DocumentResult:
    """Assemble the heads' results for a document, which has the text of the one that was encoded.

    Raises:
        DocumentError: the windows do not span the text.
    """
    text = document.text
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
        document=document,
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
