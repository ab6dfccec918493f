"""Training of a tagger on labelled spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from longbert.core.measures.entities import entity_measures
from longbert.core.surface import FLAGS
from longbert.core.tagging import tag_tokens
from longbert.encoders.heads.entities import EntityHead
from longbert.encoders.heads.learned.entities import LearnedTagger
from longbert.encoders.heads.learned.tagger import WordTagger
from longbert.encoders.tokenizer import TokenizedText, Tokenizer
from longbert.records import Entity, LabelledDocument, LabelledSpan
from longbert.training.features import StoredWindow
from longbert.training.fit import Validation

FloatArray = npt.NDArray[np.float64]

_BATCH_WORDS = 2048
_LOWERED_SHARE = 0.1
_FORGOTTEN_SHARE = 0.2
_CASE_FLAGS = [FLAGS.index(name) for name in FLAGS if "upper" in name or "mixed" in name]
_LOWER_FLAG = FLAGS.index("all_lower")
_UNLABELLED = -100


@dataclass(frozen=True, slots=True)
class _Example:
    """A window to learn from.

    Attributes:
        stored: its features.
        tags: of its words; those that the window does not own are not learnt from.
    """

    stored: StoredWindow
    tags: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a head says of a document.

    Attributes:
        logits: of its words. Shape: (n_words, n_labels).
        tags: their right labels. Shape: (n_words,).
        entities: as a run writes them.
    """

    logits: npt.NDArray[np.float32]
    tags: npt.NDArray[np.int64]
    entities: tuple[Entity, ...]


class EntityTrainee:
    """A tagger, windows to learn from, and documents to validate on.

    Args:
        module: to be trained.
        make_head: makes of a module the head that it is at inference.
        documents: all of them, with their spans.
        windows: of all documents.
        learn, validate: numbers of documents.
        tokenizer: of the backbone.
        labels: of the tagging scheme.
        label_weights: of the loss. Shape: (n_labels,).
    """

    def __init__(
        self,
        module: WordTagger,
        make_head: Callable[[nn.Module], EntityHead],
        documents: Sequence[LabelledDocument],
        windows: Sequence[Sequence[StoredWindow]],
        *,
        learn: Sequence[int],
        validate: Sequence[int],
        tokenizer: Tokenizer,
        labels: Sequence[str],
        label_weights: npt.NDArray[np.float32],
    ) -> None:
        self.module: nn.Module = module
        self._make_head = make_head
        self._documents = documents
        self._windows = windows
        self._validate = validate
        self._tokenizer = tokenizer
        self._labels = labels
        self._weights = torch.from_numpy(label_weights)
        self._examples = [example for number in learn for example in self._examples_of(number)]
        self._tokens = {number: tokenizer.tokenize(documents[number].text) for number in validate}
        self.n_batches = len(self._batches(np.random.default_rng(0)))

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        """Windows of about one length together, shuffled and roughened."""
        for batch in self._batches(generator):
            yield self._tensors([self._examples[index] for index in batch], generator)

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy over the words that windows own."""
        inputs, tags = batch
        logits = self.module(*inputs)
        return functional.cross_entropy(
            logits.flatten(0, 1), tags.flatten(), weight=self._weights, ignore_index=_UNLABELLED
        )

    def validate(self, module: nn.Module) -> Validation:
        """Loss and entity-level F1, both as a run computes them."""
        head = self._make_head(module)
        found = [self.predict(head, number) for number in self._validate]
        predicted = [[_span(entity) for entity in one.entities] for one in found]
        gold = [list(self._documents[number].spans or ()) for number in self._validate]
        score = entity_measures(gold, predicted, n_resamples=0).f1.value
        loss = float(np.concatenate([_losses(one.logits, one.tags) for one in found]).mean())
        return Validation(loss=loss, score=score, criterion=score)

    def predict(self, head: EntityHead, number: int) -> Prediction:
        """What a head says of a document, as a run finds it."""
        logits = [_logits(head, stored) for stored in self._windows[number]]
        known = [
            _of_known_words(of_tokens, example)
            for of_tokens, example in zip(logits, self._examples_of(number), strict=True)
        ]
        return Prediction(
            logits=np.concatenate([of_words for of_words, _ in known]),
            tags=np.concatenate([tags for _, tags in known]),
            entities=self._decode(head, logits, number),
        )

    def _decode(
        self, head: EntityHead, logits: Sequence[npt.NDArray[np.float32]], number: int
    ) -> tuple[Entity, ...]:
        """The entities of a document from the logits of its windows."""
        partials = [
            head.partial_of(of_window, stored.window)
            for of_window, stored in zip(logits, self._windows[number], strict=True)
        ]
        text = self._documents[number].text
        return head.finish(text, self._tokens_of(number), head.merge(partials)).entities

    def _tokens_of(self, number: int) -> TokenizedText:
        if number not in self._tokens:
            return self._tokenizer.tokenize(self._documents[number].text)
        return self._tokens[number]

    def _examples_of(self, number: int) -> list[_Example]:
        document = self._documents[number]
        tokens = self._tokenizer.tokenize(document.text)
        spans = [(one.char_start, one.char_end, one.label) for one in document.spans or ()]
        tags = tag_tokens(spans, tokens.offsets, tokens.starts_word, labels=self._labels)
        starts = tokens.starts_word.copy()
        starts[0] = True
        tags[~starts] = _UNLABELLED
        examples = []
        for stored in self._windows[number]:
            window = stored.window
            own = tags[window.start : window.stop].copy()
            own[: window.owned_start - window.start] = _UNLABELLED
            own[window.owned_stop - window.start :] = _UNLABELLED
            examples.append(_Example(stored, own[stored.features["first_tokens"]]))
        return examples

    def _batches(self, generator: np.random.Generator) -> list[list[int]]:
        """Indices of examples; neighbours by length, so that little is padded."""
        sizes = np.array([len(example.tags) for example in self._examples])
        # A tenth of a window of noise, so that other windows meet in every epoch.
        order = np.argsort(sizes * generator.uniform(0.9, 1.1, len(sizes)), kind="stable")
        batches: list[list[int]] = [[]]
        longest = 0
        for index in order.tolist():
            longest = max(longest, int(sizes[index]))
            if batches[-1] and longest * (len(batches[-1]) + 1) > _BATCH_WORDS:
                batches.append([])
                longest = int(sizes[index])
            batches[-1].append(index)
        generator.shuffle(batches)
        return batches

    def _tensors(
        self, examples: Sequence[_Example], generator: np.random.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        n_words = max(len(example.tags) for example in examples)
        shape = len(examples), n_words
        first = examples[0].stored.features
        arrays = {
            name: np.zeros((*shape, *first[name].shape[1:]), first[name].dtype)
            for name in ("states", "flags", "strings")
        }
        mask = np.zeros(shape, dtype=np.float32)
        tags = np.full(shape, _UNLABELLED, dtype=np.int64)
        for row, example in enumerate(examples):
            own = len(example.tags)
            for name, array in arrays.items():
                array[row, :own] = example.stored.features[name]
            mask[row, :own] = 1
            tags[row, :own] = example.tags
            if generator.random() < _LOWERED_SHARE:
                arrays["flags"][row] = _lowered(arrays["flags"][row])
                arrays["strings"][row] = 0
        forgotten = generator.random(shape) < _FORGOTTEN_SHARE
        arrays["strings"][forgotten] = 0
        inputs = (*(torch.from_numpy(array) for array in arrays.values()), torch.from_numpy(mask))
        return inputs, torch.from_numpy(tags)


def label_weights(
    documents: Sequence[LabelledDocument], labels: Sequence[str], *, balanced: bool
) -> npt.NDArray[np.float32]:
    """Weights of the loss: 1, or for each entity type the inverse of its frequency.

    The mean over the spans is 1; ``O`` always weighs 1. Shape: (n_labels,).
    """
    weights = np.ones(len(labels), dtype=np.float32)
    if balanced:
        counts = {label[2:]: 0 for label in labels[1:]}
        for document in documents:
            for span in document.spans or ():
                counts[span.label] = counts.get(span.label, 0) + 1
        total, n_types = sum(counts.values()), len(counts)
        for index, label in enumerate(labels[1:], start=1):
            weights[index] = total / (n_types * max(1, counts[label[2:]]))
    return weights


def _logits(head: EntityHead, stored: StoredWindow) -> npt.NDArray[np.float32]:
    """Logits of the content tokens of a window, by itself as in a run."""
    assert isinstance(head.tagger, LearnedTagger)
    return head.tagger.token_logits(stored.features, stored.window.n_tokens)


def _of_known_words(
    logits: npt.NDArray[np.float32], example: _Example
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Logits and tags of the words that are learnt from. Shapes: (n, n_labels), (n,)."""
    known = example.tags != _UNLABELLED
    return logits[example.stored.features["first_tokens"][known]], example.tags[known]


def _losses(logits: npt.NDArray[np.float32], tags: npt.NDArray[np.int64]) -> FloatArray:
    """Negative log-likelihood of each word. Shape: (n,)."""
    exact = logits.astype(np.float64)
    peak = exact.max(axis=1, keepdims=True)
    totals = np.log(np.exp(exact - peak).sum(axis=1)) + peak[:, 0]
    losses: FloatArray = totals - exact[np.arange(len(tags)), tags]
    return losses


def _lowered(flags: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the flags would be had the text no capitals."""
    lowered = flags.copy()
    lowered[:, _LOWER_FLAG] = np.maximum(
        flags[:, _LOWER_FLAG], flags[:, _CASE_FLAGS[:-1]].max(axis=1) > 0
    )
    lowered[:, _CASE_FLAGS] = 0
    return lowered


def _span(entity: Entity) -> LabelledSpan:
    return LabelledSpan(entity.char_start, entity.char_end, entity.label)
