"""Windows of documents through a model in batches, while further windows are made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from longbert.core.batching import Batch, fill_batches
from longbert.encoders.batch import TokenWindow
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.engine.document_errors import MODEL_REMEDY
from longbert.engine.meter import Meter
from longbert.errors import DeviceMemoryError, DocumentError
from longbert.records import Document

if TYPE_CHECKING:
    from longbert.encoders.passes import Pass


@dataclass
class DocumentState:
    """A document on its way through the passes.

    Attributes:
        document: as read.
        error: why it cannot be done; None so far.
        tokens: by the digest of the tokenizer.
        n_windows: of the first pass.
        slots: its windows in the pass at hand.
        n_left: those that are not done yet.
        results: of all heads so far.
    """

    document: Document
    error: DocumentError | None = None
    tokens: dict[str, TokenizedText] = field(default_factory=dict)
    n_windows: int = 0
    slots: list[Slot] = field(default_factory=list)
    n_left: int = 0
    results: list[HeadResult] = field(default_factory=list)

    def release(self) -> list[Slot]:
        """Let go of the windows, which refer to it: memory must not wait for the collector."""
        slots, self.slots = self.slots, []
        return slots


@dataclass(slots=True)
class Slot:
    """A window, and what each head of a pass makes of it.

    Attributes:
        state: its document.
        window: what is read.
        n_bytes: input bytes that it stands for, for the meter.
        partials: one for each head, once it is done.
    """

    state: DocumentState
    window: TokenWindow
    n_bytes: float = 0.0
    partials: list[Any] = field(default_factory=list)


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
    state = DocumentState(Document("", ""))
    slots = [Slot(state, window, n_bytes / len(windows)) for window in windows]
    for _ in run_slots(pass_, slots, meter):
        pass
    if state.error is not None:
        raise state.error
    return [slot.partials for slot in slots]


def run_slots(pass_: Pass, slots: Iterable[Slot], meter: Meter) -> Iterator[Slot]:
    """Encode windows in batches, and give each once it is done, unless its document failed."""
    taken: list[Slot] = []
    batches: list[Batch] = []
    seconds_taking = 0.0

    def lengths() -> Iterator[int]:
        nonlocal seconds_taking
        began = time.perf_counter()
        for slot in slots:
            seconds_taking += time.perf_counter() - began
            taken.append(slot)
            yield n_positions_of(pass_, slot)
            began = time.perf_counter()

    def noted() -> Iterator[Batch]:
        limits = {"batch_tokens": pass_.batch_tokens, "limit": pass_.limit}
        for batch in fill_batches(lengths(), **limits):
            batches.append(batch)
            yield batch

    outcomes = pass_.map(partial(_run_batch, pass_, taken), noted())
    began = time.perf_counter()
    # Batches are there once their outcomes are.
    for number, outcome in enumerate(outcomes):
        seconds = time.perf_counter() - began
        batch = batches[number]
        rows = [taken[index] for index in batch.indices]
        meter.add(
            {
                "seconds_tokenizing": seconds_taking,
                "seconds_encoding": seconds - seconds_taking,
                "windows": len(rows),
                "tokens": sum(slot.window.window.n_owned for slot in rows),
                "positions": sum(n_positions_of(pass_, slot) for slot in rows),
                "padded_positions": batch.padded_length
                * pass_.n_rows(len(batch.indices), batch.padded_length),
                "bytes": sum(slot.n_bytes for slot in rows),
            }
        )
        seconds_taking = 0.0
        yield from _keep(outcome, taken)
        began = time.perf_counter()


def n_positions_of(pass_: Pass, slot: Slot) -> int:
    """Positions that a window takes, special tokens included."""
    return len(slot.window.ids) + pass_.backbone.n_special


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


def _run_batch(pass_: Pass, slots: Sequence[Slot], batch: Batch) -> list[_Outcome]:
    """Encode a batch; if it fails, halve it until only the culprits fail.

    Halving also makes a batch fit that was too large for memory, where shapes are not fixed. It
    changes no bits. Other batches may run at the same time, so nothing that they read is changed.

    Raises:
        DeviceMemoryError: no batch of the shape fits, so that it is no document's fault.
    """
    indices = [index for index in batch.indices if slots[index].state.error is None]
    if not indices:
        return []
    failure = ""
    by_head: list[list[Any]] = []
    try:
        by_head = pass_.run([slots[index].window for index in indices], batch.padded_length)
    except DeviceMemoryError:
        raise
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


def _keep(outcomes: Sequence[_Outcome], slots: Sequence[Slot]) -> Iterator[Slot]:
    """Note what came of windows; of a document's failures, the first in order is kept."""
    for outcome in outcomes:
        slot = slots[outcome.index]
        if not outcome.failure:
            slot.partials = outcome.partials
            yield slot
        elif slot.state.error is None:
            slot.state.error = DocumentError(
                "encode",
                outcome.failure,
                f"the model failed on a window of this document: {MODEL_REMEDY}",
            )
