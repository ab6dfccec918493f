"""Training of a tagger on labelled spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from longbert.core.crf import ends_at_line_breaks
from longbert.core.entity_decoding import TagScheme
from longbert.core.measures.spans import entity_measures
from longbert.core.tagging import tag_tokens
from longbert.core.word_shape import FLAGS
from longbert.encoders.heads.learned.crf import crf_loss
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.heads.learned.tagger import WordTagger, word_states
from longbert.encoders.heads.learned.token_head import LearnedTagger
from longbert.encoders.heads.token_classification import EntityHead, EntityPartial
from longbert.encoders.runtime.backbone import TokenWindow
from longbert.encoders.tokenizers.fast import TokenizedText, Tokenizer
from longbert.records import Entity, LabelledDocument, LabelledSpan
from longbert.training.features import StoredWindow
from longbert.training.fit import Validation
from longbert.training.unfrozen import ChangingBackbone, Unfrozen

_BATCH_WORDS = 2048
_OWN_REPEATS = 3
_LOWERED_SHARE = 0.1
_FORGOTTEN_SHARE = 0.2
_CASE_FLAGS = [FLAGS.index(name) for name in FLAGS if "upper" in name or "mixed" in name]
_LOWER_FLAG = FLAGS.index("all_lower")


@dataclass(frozen=True, slots=True)
class _Example:
    """A window to learn from.

    Attributes:
        stored: its features.
        tags: of its words.
        stops: whether no entity goes on into a word.
        tokens: of the window, for a backbone that changes.
    """

    stored: StoredWindow
    tags: npt.NDArray[np.int64]
    stops: npt.NDArray[np.bool_]
    tokens: TokenWindow | None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows of about one length, padded.

    Attributes:
        states: of words; None for a backbone that changes. Shape: (batch, words, layers, width).
        flags, strings: of words; see :class:`longbert.core.word_shape.WordShapes`.
        mask, tags, stops: Shape: (batch, words).
        windows: for a backbone that changes.
    """

    states: Tensor | None
    flags: Tensor
    strings: Tensor
    mask: Tensor
    tags: Tensor
    stops: Tensor
    windows: tuple[TokenWindow, ...]


class EntityTrainee:
    """A tagger, windows to learn from, and documents to validate on.

    Args:
        module: to be trained.
        make_head: makes of a module the head that it is at inference.
        documents: all of them, with their spans.
        windows: of all documents.
        learn, validate: numbers of documents.
        n_own: documents from this number on are extra: an epoch draws as many words of them as
            it has of the others, which it then learns three times.
        tokenizer: of the backbone.
        labels: of the tagging scheme.
        label_weights: of the loss. Shape: (n_labels,).
        changing: where layers of the backbone are trained, too; None: windows have features.
    """

    def __init__(
        self,
        module: WordTagger | Unfrozen,
        make_head: Callable[[nn.Module], EntityHead],
        documents: Sequence[LabelledDocument],
        windows: Sequence[Sequence[StoredWindow]],
        *,
        learn: Sequence[int],
        validate: Sequence[int],
        n_own: int,
        tokenizer: Tokenizer,
        labels: Sequence[str],
        label_weights: npt.NDArray[np.float32],
        changing: ChangingBackbone | None = None,
    ) -> None:
        self.module: nn.Module = module
        self._changing = changing
        self._make_head = make_head
        self._documents = documents
        self._windows = windows
        self._validate = validate
        self._tokenizer = tokenizer
        self._labels = labels
        self._weights = torch.from_numpy(label_weights)
        scheme = TagScheme.from_id2label(dict(enumerate(labels)), source="the data")
        self._allowed = torch.from_numpy(scheme.transitions().next)
        self._continues = [index for index, label in enumerate(labels) if label[0] == "I"]
        self._own = [one for number in learn if number < n_own for one in self._examples_of(number)]
        self._extra = [
            one for number in learn if number >= n_own for one in self._examples_of(number)
        ]
        self._tokens = {number: tokenizer.tokenize(documents[number].text) for number in validate}
        self._validated = [one for number in validate for one in self._examples_of(number)]
        generator = np.random.default_rng(0)
        self.n_batches = len(_batches(self._epoch(generator), generator))

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        """Windows of about one length together, shuffled and roughened."""
        for batch in _batches(self._epoch(generator), generator):
            yield self._tensors(batch, generator)

    def loss(self, batch: Any) -> Tensor:
        """Negative log-likelihood of the labels of windows, for each word."""
        return self._loss(self.module, batch)

    def validate(self, module: nn.Module) -> Validation:
        """Loss, and entity-level F1 as a run finds it."""
        head = self._make_head(module)
        predicted = []
        for number in self._validate:
            tokens, partial = self.partial(module, head, number)
            found = head.finish(self._documents[number].text, tokens, partial).entities
            predicted.append([_span(entity) for entity in found])
        gold = [list(self._documents[number].spans or ()) for number in self._validate]
        score = entity_measures(gold, predicted, n_resamples=0).f1.value
        total = 0.0
        with torch.inference_mode():
            for batch in _batches(self._validated, np.random.default_rng(0)):
                n_words = sum(len(example.tags) for example in batch)
                total += float(self._loss(module, self._tensors(batch, None))) * n_words
        loss = total / sum(len(example.tags) for example in self._validated)
        return Validation(loss=loss, score=score, criterion=(score, -loss))

    def partial(
        self, module: nn.Module, head: EntityHead, number: int
    ) -> tuple[TokenizedText, EntityPartial]:
        """A document's tokens, and what a head makes of its windows, as in a run."""
        if self._changing is not None:
            assert isinstance(module, Unfrozen)
            result = self._changing.partials(module.base, head, number)
            return result.tokens, head.merge(result.partials)
        assert isinstance(head.tagger, LearnedTagger)
        partials = [
            head.partial_of(
                head.tagger.token_logits(stored.features, stored.window.n_tokens), stored.window
            )
            for stored in self._windows[number]
        ]
        tokens = self._tokens.get(number)
        if tokens is None:
            tokens = self._tokenizer.tokenize(self._documents[number].text)
        return tokens, head.merge(partials)

    def _loss(self, module: nn.Module, batch: _Batch) -> Tensor:
        tagger = module.head if isinstance(module, Unfrozen) else module
        assert isinstance(tagger, WordTagger)
        states = batch.states
        if states is None:
            assert isinstance(module, Unfrozen)
            states = self._states_of(module, tagger.shape.layers, batch)
        emissions = tagger(states, batch.flags, batch.strings, batch.mask)
        # What is taken off here stays on at inference: labels that weigh more are found more.
        emissions = emissions - torch.log(self._weights)
        # Where a line ends an entity, decoding takes no label that would continue it.
        blocked = torch.zeros_like(emissions)
        blocked[..., self._continues] = -1e4 * batch.stops[..., None]
        emissions = emissions + blocked.scatter(2, batch.tags[..., None], 0.0)
        return crf_loss(emissions, batch.tags, batch.mask, tagger.transitions, self._allowed)

    def _states_of(self, module: Unfrozen, layers: Sequence[int], batch: _Batch) -> Tensor:
        """States of words under the backbone as it is now."""
        assert self._changing is not None
        states, encoded = self._changing.states(module.base, batch.windows)
        rows = []
        for row, window in enumerate(batch.windows):
            assert window.words is not None
            first = encoded.content_starts[row]
            own = [states[layer][row, first : first + len(window.ids)] for layer in layers]
            rows.append(word_states(own, window.words))
        padded: Tensor = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return padded

    def _epoch(self, generator: np.random.Generator) -> list[_Example]:
        """What is learnt in an epoch, with another part of the extra data each time."""
        examples = self._own * (_OWN_REPEATS if self._extra else 1)
        n_words = sum(len(example.tags) for example in examples)
        for index in generator.permutation(len(self._extra)).tolist():
            if n_words <= 0:
                break
            examples.append(self._extra[index])
            n_words -= len(self._extra[index].tags)
        return examples

    def _examples_of(self, number: int) -> list[_Example]:
        document = self._documents[number]
        tokens = self._tokenizer.tokenize(document.text)
        spans = document.spans or ()
        tags = tag_tokens(spans, tokens.offsets, tokens.starts_word, labels=self._labels)
        stops = ends_at_line_breaks(document.text, tokens.offsets)
        # Within a word all tokens have its first one's tag, which only its window's start shows.
        inside = np.array([0, *(index + index % 2 for index in range(1, len(self._labels)))])
        examples = []
        for stored, window in self._stored(number):
            first_tokens = stored.window.start + stored.features["first_tokens"]
            own = tags[first_tokens].copy()
            if not tokens.starts_word[first_tokens[0]]:
                own[0] = inside[own[0]]
            examples.append(_Example(stored, own, stops[first_tokens], window))
        return examples

    def _stored(self, number: int) -> Iterator[tuple[StoredWindow, TokenWindow | None]]:
        if self._changing is None:
            for stored in self._windows[number]:
                yield stored, None
            return
        for window in self._changing.windows(number):
            words = window.words
            assert words is not None
            features: WindowFeatures = {
                "flags": words.flags,
                "strings": words.strings,
                "first_tokens": words.first_tokens,
            }
            yield StoredWindow(number, window.window, features), window

    def _tensors(
        self, examples: Sequence[_Example], generator: np.random.Generator | None
    ) -> _Batch:
        """Windows padded together; roughened if there is a generator."""
        n_words = max(len(example.tags) for example in examples)
        shape = len(examples), n_words
        first = examples[0].stored.features
        arrays = {
            name: np.zeros((*shape, *first[name].shape[1:]), first[name].dtype)
            for name in ("states", "flags", "strings")
            if name in first
        }
        mask = np.zeros(shape, dtype=np.float32)
        tags = np.zeros(shape, dtype=np.int64)
        stops = np.zeros(shape, dtype=np.float32)
        for row, example in enumerate(examples):
            own = len(example.tags)
            for name, array in arrays.items():
                array[row, :own] = example.stored.features[name]
            mask[row, :own] = 1
            tags[row, :own] = example.tags
            stops[row, :own] = example.stops
            if generator is not None and generator.random() < _LOWERED_SHARE:
                arrays["flags"][row] = _lowered(arrays["flags"][row])
                arrays["strings"][row] = 0
        if generator is not None:
            arrays["strings"][generator.random(shape) < _FORGOTTEN_SHARE] = 0
        return _Batch(
            states=torch.from_numpy(arrays["states"]) if "states" in arrays else None,
            flags=torch.from_numpy(arrays["flags"]),
            strings=torch.from_numpy(arrays["strings"]),
            mask=torch.from_numpy(mask),
            tags=torch.from_numpy(tags),
            stops=torch.from_numpy(stops),
            windows=tuple(one.tokens for one in examples if one.tokens is not None),
        )


def _batches(examples: Sequence[_Example], generator: np.random.Generator) -> list[list[_Example]]:
    """Neighbours by length, so that little is padded, in a drawn order."""
    sizes = np.array([len(example.tags) for example in examples])
    # A tenth of noise, so that other windows meet in every epoch.
    order = np.argsort(sizes * generator.uniform(0.9, 1.1, len(sizes)), kind="stable")
    batches: list[list[_Example]] = [[]]
    longest = 0
    for index in order.tolist():
        longest = max(longest, int(sizes[index]))
        if batches[-1] and longest * (len(batches[-1]) + 1) > _BATCH_WORDS:
            batches.append([])
            longest = int(sizes[index])
        batches[-1].append(examples[index])
    return [batches[place] for place in generator.permutation(len(batches)).tolist()]


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
