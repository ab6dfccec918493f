"""Who is told how a training goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from longbert.training.fit import Epoch


class Observer(Protocol):
    """Is told how a training goes."""

    def data(self, n_documents: int, n_extra: int, n_dropped_spans: int) -> None:
        """The labelled documents were read."""

    def features(self, n_done: int, n_documents: int) -> None:
        """The features of some more documents are there."""

    def begin(self, name: str, n_learn: int, n_validate: int, n_steps: int) -> None:
        """A fold's head, or the head itself, is trained now, for at most so many steps."""

    def step(self) -> None:
        """A batch was learned."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch ended."""

    def warn(self, message: str) -> None:
        """Something is other than people may expect."""
