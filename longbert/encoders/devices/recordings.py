"""Forward passes that are recorded once and then replayed.

A small encoder takes less time on a GPU than its hundred kernels take to be launched one by one. A
CUDA graph launches all of them at once. It has fixed shapes and places in memory, so it suits
batches of one shape, of which there are few; whatever else comes is computed as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from longbert.encoders.devices.base import Forward
from longbert.encoders.devices.driver import Driver, Recording

MOST = 4
"""Recordings on one stream, each of which holds as much memory as a batch takes."""

_Shapes = tuple[tuple[int, ...] | None, ...]


@dataclass
class _Known:
    """A shape that was computed before.

    Attributes:
        may_be_recorded: as far as is known.
        inputs: places from which the recording reads.
        recording: None as long as there is none.
    """

    may_be_recorded: bool = True
    inputs: tuple[Tensor | None, ...] = ()
    recording: Recording | None = None


class Recordings:
    """The recordings of one stream, which are replayed one at a time.

    Args:
        driver: records.
        alone: in which nothing else happens on the device, as recording demands.
    """

    def __init__(self, driver: Driver, alone: Callable[[], AbstractContextManager[None]]) -> None:
        self._driver = driver
        self._alone = alone
        self._most = MOST
        # Those of an encoder that is gone are of no use, and hold its memory.
        self._known: WeakKeyDictionary[Forward, dict[_Shapes, _Known]] = WeakKeyDictionary()

    def compute(self, forward: Forward, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """Run a forward pass as usual at first, and the second time record it.

        The first run lets libraries set up what cannot be set up while recording.

        Returns:
            Outputs that the next call overwrites.
        """
        of_forward = self._known.setdefault(forward, {})
        shapes = tuple(None if one is None else tuple(one.shape) for one in inputs)
        known = of_forward.get(shapes)
        if known is None:
            of_forward[shapes] = _Known()
            return forward(*inputs)
        if known.recording is None and known.may_be_recorded and self._count() < self._most:
            self._record(known, forward, inputs)
        if known.recording is None:
            return forward(*inputs)
        for place, given in zip(known.inputs, inputs, strict=True):
            if place is not None and given is not None:
                place.copy_(given)
        known.recording.replay()
        return known.recording.outputs

    def clear(self) -> None:
        """Forget all, with the memory that it holds, and keep fewer from now on.

        Memory would run out again and again if as many were recorded anew.
        """
        if n_kept := self._count():
            self._most = n_kept - 1
        self._known.clear()

    def _count(self) -> int:
        return sum(
            known.recording is not None
            for of_forward in self._known.values()
            for known in of_forward.values()
        )

    def _record(self, known: _Known, forward: Forward, inputs: Sequence[Tensor | None]) -> None:
        places = tuple(None if one is None else torch.clone(one) for one in inputs)
        try:
            with self._alone():
                known.recording = self._driver.record(lambda: forward(*places))
        except RuntimeError:
            # An operation that waits for the device, or too little memory: it works without.
            known.may_be_recorded = False
        else:
            known.inputs = places
