"""One large document that several workers make together.

Three steps, each a function of what any worker can see:

1. :func:`divide` reads the document and leaves the windows of each segment in a file;
2. :func:`encode_segment` leaves in another file what heads make of them, window by window;
3. :func:`join` reads the document again, and what heads made instead of encoding.

The last step is that of a document which one worker makes alone, and gets the same numbers in the
same order, so the part is the same to the bit. The files lie in the output, where a run that was
stopped finds those of its segments that are done, and go when the manifest is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longbert.core.units import Unit
from longbert.encoders.batch import TokenWindow
from longbert.encoders.loaded_models import Models
from longbert.engine.context import RunContext
from longbert.engine.document_stream import encode_group
from longbert.engine.large_unit import encode_large, is_large
from longbert.engine.meter import meet, timed
from longbert.engine.plan import receipt_of
from longbert.engine.prepare import Prepared
from longbert.engine.unit import process_unit
from longbert.engine.window_groups import WindowGroup, window_groups
from longbert.errors import DocumentError, OutputError
from longbert.readers.documents import read_pieces
from longbert.readers.refs import changed
from longbert.readers.settings import ReadSettings
from longbert.records import ErrorRow
from longbert.store.layout import PARTIALS, WINDOWS, segment_file
from longbert.store.packed import pack, unpack


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the one document of a unit.

    Attributes:
        number: from 0, in the order of the document.
        pass_number, n_bytes: see :class:`longbert.engine.window_groups.WindowGroup`.
    """

    number: int
    pass_number: int
    n_bytes: float


@dataclass(frozen=True, slots=True)
class DoneSegment:
    """A segment, and why a model failed on it, if one did."""

    number: int
    failure: DocumentError | None = None


def least_shared_bytes(prepared: Prepared, *, n_bytes: int, n_workers: int) -> int | None:
    """Bytes of the smallest document that workers should share.

    One that is more than a worker's share of all there is to do: others keep as many workers busy
    without files between them, and so many files never have to lie in the output at once.

    Args:
        prepared: of the run.
        n_bytes: of all documents to do.
        n_workers: that do them.

    Returns:
        None where nothing is shared: a GPU encodes about as fast as a core tokenizes.
    """
    if prepared.is_on_gpu or n_workers < 2:
        return None
    return n_bytes // n_workers + 1


def may_be_shared(context: RunContext, unit: Unit, *, least_bytes: int | None) -> bool:
    """Whether a unit is one document that is large enough, for a model to read."""
    return (
        least_bytes is not None
        and unit.n_bytes >= least_bytes
        and is_large(unit, unit_bytes=context.config.unit_bytes)
        and context.config.models.has_models
    )


def divide(context: RunContext, unit: Unit, models: Models) -> list[Segment]:
    """Leave the windows of a large document, segment by segment.

    Returns:
        The segments; none where one worker should make the unit, which is complete already, or
        whose document cannot be read to its end.

    Raises:
        OutputError: a file cannot be written.
    """
    if receipt_of(context, unit) is not None:
        return []
    (ref,) = unit.refs
    with timed(context.meter, "reading"):
        found = read_pieces(context.filesystem, ref, ReadSettings.of_run(context.config))
    if isinstance(found, ErrorRow):
        return []
    segments = []
    try:
        for number, group in enumerate(window_groups(models, found.pieces, context.meter)):
            segments.append(Segment(number, group.pass_number, group.n_bytes))
            _leave_windows(context, unit, number, group)
    except DocumentError:
        # Whoever makes the unit meets it, too, and what else may be wrong before it.
        return []
    return segments


def encode_segment(
    context: RunContext, unit: Unit, segment: Segment, models: Callable[[], Models]
) -> DoneSegment:
    """Leave what heads make of the windows of a segment, unless that is there already.

    Args:
        context: the run.
        unit: as planned.
        segment: of its document.
        models: gives those whose row fingerprint is the planned one, if they are needed.

    Raises:
        OutputError: a file cannot be read or written.
    """
    windows_name, partials_name = _names(unit, segment.number)
    data = context.output.read(windows_name)
    if data is None:
        # Done by an earlier run, or by another worker that was given the same.
        if not (context.output.exists(partials_name) or receipt_of(context, unit) is not None):
            raise _missing(context, windows_name)
        context.meter.add({"bytes": segment.n_bytes, "resumed_bytes": segment.n_bytes})
        return DoneSegment(segment.number)
    windows = _unpacked(context, windows_name, data, list[TokenWindow])
    group = WindowGroup(segment.pass_number, windows, segment.n_bytes)
    try:
        partials = encode_group(models(), group, meter=context.meter)
    except DocumentError as failure:
        return DoneSegment(segment.number, failure)
    with timed(context.meter, "writing"):
        context.output.write(partials_name, pack(partials))
    meet(context.meter, partials_name, segments=1)
    context.output.remove(windows_name)
    return DoneSegment(segment.number)


def join(
    context: RunContext, unit: Unit, done: Sequence[DoneSegment], models: Callable[[], Models]
) -> None:
    """Make the part of a document whose segments are all done.

    Args:
        context: the run.
        unit: as planned.
        done: the segments, in any order.
        models: gives those whose row fingerprint is the planned one, if they are needed.

    Raises:
        OutputError: a file cannot be read or written.
        TooManyErrorsError: more documents have failed than the run allows.
    """
    failures = {one.number: one.failure for one in done}

    def encode(context: RunContext, unit: Unit, models: Models) -> None:
        encode_large(context, unit, models, encode=_Encoded(context, unit, models, failures))

    process_unit(context, unit, models, encode=encode)


class _Encoded:
    """What heads made of the windows of a document, group by group, from the files of segments."""

    def __init__(
        self,
        context: RunContext,
        unit: Unit,
        models: Models,
        failures: Mapping[int, DocumentError | None],
    ) -> None:
        self._context = context
        self._unit = unit
        self._failures = failures
        self._kinds = [partials_type(models, number) for number in range(len(models.passes))]
        self._number = 0

    def __call__(self, group: WindowGroup) -> Sequence[Sequence[Any]]:
        number, self._number = self._number, self._number + 1
        failure = self._failures.get(number)
        if failure is not None:
            raise failure
        _, name = _names(self._unit, number)
        partials: list[Sequence[Any]] = []
        if number in self._failures:
            data = self._context.output.read(name)
            if data is None:
                raise _missing(self._context, name)
            kind = self._kinds[group.pass_number]
            partials = _unpacked(self._context, name, data, kind)
        if len(partials) != len(group.windows):
            raise changed()
        return partials


def partials_type(models: Models, pass_number: int) -> Any:
    """The type of what the heads of a pass make of some windows, as it lies in a file."""
    kinds: Any = tuple(head.partial_type for head in models.passes[pass_number].heads)
    return list[tuple[kinds]]


def _leave_windows(context: RunContext, unit: Unit, number: int, group: WindowGroup) -> None:
    windows_name, partials_name = _names(unit, number)
    if not context.output.exists(partials_name):
        with timed(context.meter, "writing"):
            context.output.write(windows_name, pack(group.windows))


def _unpacked(context: RunContext, name: str, data: bytes, kind: Any) -> Any:
    try:
        return unpack(data, kind)
    except ValueError:
        raise OutputError(
            f"{context.output.join(name)} is damaged: remove it, then run again to make it anew"
        ) from None


def _missing(context: RunContext, name: str) -> OutputError:
    return OutputError(
        f"{context.output.join(name)} is missing, which a worker of this run has written: run "
        "again to make it anew"
    )


def _names(unit: Unit, number: int) -> tuple[str, str]:
    """Files of the windows of a segment, and of what heads make of them."""
    part = unit.part.name
    return segment_file(part, number, WINDOWS), segment_file(part, number, PARTIALS)
