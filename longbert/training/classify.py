"""Training of a classifier on labelled documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.heads.learned.attention import TokenAttention
from longbert.encoders.heads.learned.document_head import LearnedClassifier
from longbert.encoders.heads.sequence_classification import (
    ClassificationHead,
    ClassificationPartial,
)
from longbert.encoders.runtime.base import EncoderModule
from longbert.records import LabelledDocument
from longbert.training.features import StoredWindow
from longbert.training.fit import Validation
from longbert.training.unfrozen import ChangingBackbone, Unfrozen

_BATCH_DOCUMENTS = 32
_BATCH_WINDOWS = 8
_SAMPLED_TOKENS = 256
_SMOOTHING = 0.05


class ClassTrainee:
    """A classifier, documents to learn from, and documents to validate on.

    Of each document of a batch a few tokens are drawn: that is cheap, and roughens the data.

    Args:
        module: to be trained.
        make_head: makes of a module the head that it is at inference.
        windows: of all documents.
        targets: 1 where a document has a label. Shape: (n_documents, n_labels).
        chooses_one: whether every document has exactly one label.
        learn, validate: numbers of documents.
        label_weights: of the loss. Shape: (n_labels,).
        read: reduced tokens that a window owns, for a backbone that changes.
        changing: where layers of the backbone are trained, too; None: windows have features.
    """

    def __init__(
        self,
        module: TokenAttention | Unfrozen,
        make_head: Callable[[nn.Module], ClassificationHead],
        windows: Sequence[Sequence[StoredWindow]],
        targets: npt.NDArray[np.float32],
        *,
        chooses_one: bool,
        learn: Sequence[int],
        validate: Sequence[int],
        label_weights: npt.NDArray[np.float32],
        read: Callable[[Sequence[Tensor], WindowBatch, int], Tensor] | None = None,
        changing: ChangingBackbone | None = None,
    ) -> None:
        self.module: nn.Module = module
        self._read = read
        self._changing = changing
        self._make_head = make_head
        self._windows = windows
        self._targets = targets
        self._chooses_one = chooses_one
        self._learn = np.array(learn)
        self._validate = validate
        self._weights = torch.from_numpy(label_weights)
        self._n_documents = _BATCH_DOCUMENTS if changing is None else _BATCH_WINDOWS
        self.n_batches = -(-len(learn) // self._n_documents)

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        """Documents in another order each time, as some of their tokens."""
        order = generator.permutation(self._learn)
        for first in range(0, len(order), self._n_documents):
            numbers = order[first : first + self._n_documents]
            targets = torch.from_numpy(self._targets[numbers])
            if self._changing is not None:
                yield self._draw_windows(numbers.tolist(), generator), targets
                continue
            tokens = np.stack([self._sample(number, generator) for number in numbers.tolist()])
            yield torch.from_numpy(tokens), targets

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy, with labels smoothed a little."""
        drawn, targets = batch
        module = self.module
        if isinstance(module, Unfrozen):
            logits = module.head(self._reduced(module.base, *drawn))
        else:
            logits = module(drawn)
        # Every member learns by itself.
        n_members = logits.shape[1]
        targets = targets.repeat_interleave(n_members, dim=0)
        return self._loss(logits.flatten(0, 1), targets, smoothing=_SMOOTHING)

    def _draw_windows(
        self, numbers: Sequence[int], generator: np.random.Generator
    ) -> tuple[list[TokenWindow], list[npt.NDArray[np.int64]]]:
        """A window of each document, and some of the tokens that it owns."""
        assert self._changing is not None
        windows, tokens = [], []
        for number in numbers:
            own = self._changing.windows(number)
            windows.append(own[int(generator.integers(len(own)))])
            tokens.append(generator.integers(0, windows[-1].window.n_owned, _SAMPLED_TOKENS))
        return windows, tokens

    def _reduced(
        self,
        base: EncoderModule,
        windows: Sequence[TokenWindow],
        tokens: Sequence[npt.NDArray[np.int64]],
    ) -> Tensor:
        assert self._changing is not None
        assert self._read is not None
        states, batch = self._changing.states(base, windows)
        rows = [
            self._read(states, batch, row)[torch.from_numpy(drawn)]
            for row, drawn in enumerate(tokens)
        ]
        return torch.stack(rows)

    def validate(self, module: nn.Module) -> Validation:
        """Loss and accuracy on whole documents, both as a run computes them.

        For several labels a document, accuracy is that of single decisions.
        """
        head = self._make_head(module)
        logits = np.stack([head.logits(self.partial(module, head, one)) for one in self._validate])
        targets = self._targets[list(self._validate)]
        with torch.inference_mode():
            loss = self._loss(torch.from_numpy(logits), torch.from_numpy(targets), smoothing=0.0)
        if self._chooses_one:
            right = logits.argmax(axis=1) == targets.argmax(axis=1)
        else:
            right = (logits >= 0) == (targets > 0)
        return Validation(loss=float(loss), score=float(right.mean()), criterion=(-float(loss),))

    def partial(
        self, module: nn.Module, head: ClassificationHead, number: int
    ) -> ClassificationPartial:
        """What a head makes of a document's windows, as a run does."""
        if self._changing is not None:
            assert isinstance(module, Unfrozen)
            return head.merge(self._changing.partials(module.base, head, number).partials)
        assert isinstance(head.classifier, LearnedClassifier)
        partials = [
            head.partial_of(
                head.classifier.window_features_of(
                    torch.from_numpy(np.array(stored.features["reduced"]))
                ),
                stored.window,
            )
            for stored in self._windows[number]
        ]
        return head.merge(partials)

    def _loss(self, logits: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
        if self._chooses_one:
            return functional.cross_entropy(
                logits, targets.argmax(dim=1), weight=self._weights, label_smoothing=smoothing
            )
        smoothed = targets * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(
            logits, smoothed, pos_weight=self._weights
        )

    def _sample(self, number: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
        windows = self._windows[number]
        ends = np.cumsum([len(stored.features["reduced"]) for stored in windows])
        drawn = np.sort(generator.integers(0, ends[-1], _SAMPLED_TOKENS))
        parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
        starts = [0, *ends[:-1].tolist()]
        return np.concatenate(
            [
                stored.features["reduced"][part - start]
                for stored, part, start in zip(windows, parts, starts, strict=True)
            ]
        )


def targets_of(
    documents: Sequence[LabelledDocument], labels: Sequence[str]
) -> npt.NDArray[np.float32]:
    """1 where a document has a label. Shape: (n_documents, n_labels)."""
    places = {label: place for place, label in enumerate(labels)}
    targets = np.zeros((len(documents), len(labels)), dtype=np.float32)
    for row, document in enumerate(documents):
        targets[row, [places[label] for label in document.labels or ()]] = 1
    return targets


def class_weights(
    targets: npt.NDArray[np.float32], *, chooses_one: bool, balanced: bool
) -> npt.NDArray[np.float32]:
    """Weights of the loss: 1, or such that all classes weigh the same. Shape: (n_labels,).

    For one label of several the inverse of its frequency, 1 for a label as frequent as the mean;
    for several labels a document how many more documents lack the label than have it.
    """
    n_documents, n_labels = targets.shape
    if not balanced:
        return np.ones(n_labels, dtype=np.float32)
    counts = np.maximum(targets.sum(axis=0), 1)
    weights = n_documents / (n_labels * counts) if chooses_one else n_documents / counts - 1
    return np.asarray(np.maximum(weights, 1e-3), dtype=np.float32)
