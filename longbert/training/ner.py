"""How heads for entities are trained: a tagger of words, with the loss of a random field.

All that is special to entities is in this one module, which makes it a long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.crf import ends_at_line_breaks
from longbert.core.measures.calibration import Calibration, calibration
from longbert.core.measures.counts import LabelScores
from longbert.core.measures.spans import entity_measures
from longbert.core.scores import softmax
from longbert.core.tag_scheme import TagScheme
from longbert.core.tagging import bio_labels, tag_tokens
from longbert.core.word_shape import FLAGS
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.heads.learned.crf import crf_loss
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.heads.learned.tagger import TaggerShape, WordTagger
from longbert.encoders.heads.learned.token_head import (
    LearnedTagger,
    window_word_states,
    word_looks,
)
from longbert.encoders.heads.token_classification import EntityHead, EntityHeads, EntityPartial
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.engine.compare import Measures
from longbert.records import Entity, LabelledDocument, LabelledSpan
from longbert.training.base import (
    FeatureSource,
    FeatureWindow,
    Prediction,
    Trainable,
    Trainer,
    TrainingInputs,
    head_config,
    scorer_of,
)
from longbert.training.fit import Validation

_BATCH_WORDS = 2048
_OWN_REPEATS = 3
_LOWERED_SHARE = 0.1
_FORGOTTEN_SHARE = 0.2
_CASE_FLAGS = [FLAGS.index(name) for name in FLAGS if "upper" in name or "mixed" in name]
_LOWER_FLAG = FLAGS.index("all_lower")
_WHOLE = slice(None)


@dataclass(frozen=True)
class WordReader:
    """Reads the mean hidden states of words, and keeps what the words look like.

    Attributes:
        layers: that are read, 0 the embeddings.
    """

    layers: tuple[int, ...]
    name = "states"
    needs_word_shapes = True

    def read(self, states: Sequence[Tensor], batch: WindowBatch, row: int) -> Tensor:
        """The words of a window. Shape: (words, layers, width)."""
        device = states[0].device
        return window_word_states(
            self.layers, states, batch, row, upload=lambda one: torch.from_numpy(one).to(device)
        )

    def read_text(self, window: TokenWindow) -> WindowFeatures:
        """Looks of the words, and where each begins."""
        return word_looks(window)


@dataclass(frozen=True, slots=True)
class EntityPrediction(Prediction):
    """What a head says of a document; each row of logits belongs to an entity that it found.

    Attributes:
        entities: as a run writes them.
    """

    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class EntityScorer:
    """A tagger that reads stored words or, like any head, hidden states."""

    head: EntityHead
    tagger: LearnedTagger

    def partial(self, window: FeatureWindow) -> EntityPartial:
        """What the head makes of a window."""
        logits = self.tagger.token_logits(window.features, window.window.n_tokens)
        return self.head.partial_of(logits, window.window)


@dataclass(frozen=True, slots=True)
class _Example:
    """A window to learn from.

    Attributes:
        window: with its features.
        tags: of its words.
        stops: whether no entity continues into a word.
    """

    window: FeatureWindow
    tags: IntArray
    stops: BoolArray


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A document with what its labels say of its words.

    Attributes:
        tokens: of the document.
        examples: its windows.
    """

    tokens: TokenizedText
    examples: tuple[_Example, ...]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows of about one length, padded; the states of their words are yet to be read.

    Attributes:
        windows: one for each row.
        flags, strings: of words; see :class:`longbert.core.word_shape.WordShapes`.
        mask, tags, stops: Shape: (batch, words).
    """

    windows: tuple[FeatureWindow, ...]
    flags: Tensor
    strings: Tensor
    mask: Tensor
    tags: Tensor
    stops: Tensor


class EntityTask:
    """Entities of documents.

    Args:
        inputs: of the training.
        reader: of the features.
        source: of the features.
    """

    weight_decay = 0.01

    def __init__(self, inputs: TrainingInputs, reader: WordReader, source: FeatureSource) -> None:
        self.source = source
        self.types = sorted({span.label for one in inputs.documents for span in one.spans or ()})
        self.labels = bio_labels(self.types)
        self.documents = inputs.documents
        self.n_own = inputs.n_own
        self.is_balanced = inputs.config.class_weights == "balanced"
        self._heads = EntityHeads(inputs.config.models)
        self._tokenizer = inputs.loaded.backbone.tokenizer
        self._tagged: dict[int, _Tagged] = {}
        self._shape = TaggerShape(
            layers=reader.layers, width=inputs.width, n_labels=len(self.labels)
        )
        self.config = head_config(
            inputs,
            labels=self.labels,
            chooses_one=True,
            sizes={
                "layers": list(self._shape.layers),
                "width": self._shape.width,
                "channels": self._shape.channels,
                "string_channels": self._shape.string_channels,
                "dilations": list(self._shape.dilations),
            },
        )

    def new_module(self) -> WordTagger:
        """An untrained module that reads words."""
        return WordTagger(self._shape, dropout=0.2, input_dropout=0.2)

    def learner(
        self, module: Trainable[WordTagger], *, learn: Sequence[int], validate: Sequence[int]
    ) -> EntityLearner:
        """A tagger, and the documents that it learns from and is validated on."""
        return EntityLearner(self, module, learn=learn, validate=validate)

    def run_module(self, module: WordTagger) -> WordTagger:
        """The same module."""
        return module

    def scorer(self, module: WordTagger) -> EntityScorer:
        """The head that a module is, at temperature 1."""
        tagger = LearnedTagger(module, self.config, device=torch.device("cpu"))
        return EntityScorer(self._heads.head_of(tagger, name="head"), tagger)

    def predict(
        self, scorer: EntityScorer, number: int, partials: Sequence[EntityPartial]
    ) -> EntityPrediction:
        """What a head says of a document."""
        document = self.documents[number]
        scored = scorer.head.decode_crf(
            document.text, self.tagged(number).tokens, scorer.head.merge(partials)
        )
        gold = set(document.spans or ())
        rows = [
            1 + self.types.index(one.span.label) if one.span in gold else 0 for one, _ in scored
        ]
        return EntityPrediction(
            logits=np.array([logits for _, logits in scored]).reshape(-1, 1 + len(self.types)),
            gold=np.array(rows, dtype=np.int64),
            entities=scorer.head.entities(document.text, [span for span, _ in scored]),
        )

    def rescore(
        self, scorer: EntityScorer, prediction: EntityPrediction, temperature: float
    ) -> EntityPrediction:
        """What the head would have said at another temperature."""
        entities = []
        for entity, logits in zip(prediction.entities, prediction.logits, strict=True):
            scores = softmax(logits / np.float32(temperature))
            score = float(scores[1 + self.types.index(entity.label)])
            entities.append(replace(entity, score=score))
        return replace(prediction, entities=tuple(entities))

    def measure(
        self, numbers: Sequence[int], predictions: Sequence[EntityPrediction]
    ) -> tuple[Measures, Calibration | None]:
        """Entities by span and label, and how often those of a score are right."""
        gold = [self.documents[number].spans or () for number in numbers]
        found = [[_span(one) for one in prediction.entities] for prediction in predictions]
        scores = [one.score for prediction in predictions for one in prediction.entities]
        is_right = [
            span in right for spans, right in zip(found, gold, strict=True) for span in spans
        ]
        return (
            entity_measures(gold, found),
            calibration(np.array(scores), np.array(is_right)) if scores else None,
        )

    def tagged(self, number: int) -> _Tagged:
        """A document's tokens and examples, which every fold has in common."""
        if number not in self._tagged:
            tokens = self._tokenizer.tokenize(self.documents[number].text)
            self._tagged[number] = _Tagged(tokens, tuple(self._examples(number, tokens)))
        return self._tagged[number]

    def _examples(self, number: int, tokens: TokenizedText) -> Iterator[_Example]:
        document = self.documents[number]
        tags = tag_tokens(
            document.spans or (), tokens.offsets, tokens.starts_word, labels=self.labels
        )
        stops = ends_at_line_breaks(document.text, tokens.offsets)
        # All tokens of a word have the tag of its first one; where a window begins inside a word,
        # that is the tag of an entity's inside.
        inside = np.array([0, *(index + index % 2 for index in range(1, len(self.labels)))])
        for window in self.source.windows(number):
            first_tokens = window.window.start + window.features["first_tokens"]
            own = tags[first_tokens].copy()
            if not tokens.starts_word[first_tokens[0]]:
                own[0] = inside[own[0]]
            yield _Example(window, own, stops[first_tokens])


class EntityLearner:
    """A tagger that learns from windows of about one length at a time.

    Of extra documents an epoch draws as many words as it has of the others, which it then learns
    three times.

    Args:
        task: of the module.
        module: to be trained.
        learn, validate: numbers of documents.
    """

    def __init__(
        self,
        task: EntityTask,
        module: Trainable[WordTagger],
        *,
        learn: Sequence[int],
        validate: Sequence[int],
    ) -> None:
        self.module = module
        self._task = task
        self._validate = validate
        self._weights = torch.from_numpy(
            label_weights(
                [task.documents[number] for number in learn],
                task.labels,
                balanced=task.is_balanced,
            )
        )
        scheme = TagScheme.from_id2label(dict(enumerate(task.labels)), source="the data")
        self._allowed = torch.from_numpy(scheme.transitions().next)
        self._continues = [index for index, label in enumerate(task.labels) if label[0] == "I"]
        examples = {number: task.tagged(number).examples for number in (*learn, *validate)}
        self._own = [one for number in learn if number < task.n_own for one in examples[number]]
        self._extra = [one for number in learn if number >= task.n_own for one in examples[number]]
        self._validated = [one for number in validate for one in examples[number]]
        generator = np.random.default_rng(0)
        self.n_batches = len(_batches(self._epoch(generator), generator))

    def batches(self, generator: np.random.Generator) -> Iterator[_Batch]:
        """Windows of about one length together, shuffled, with words partly hidden."""
        for batch in _batches(self._epoch(generator), generator):
            yield _padded(batch, generator)

    def loss(self, batch: _Batch) -> Tensor:
        """Negative log-likelihood of the labels, per word."""
        return self._loss(self.module, batch)

    def validate(self, module: Trainable[WordTagger]) -> Validation:
        """Loss, and F1 of entities as a run finds them."""
        scorer = scorer_of(self._task, module)
        n_gold = n_found = n_right = 0
        for number in self._validate:
            partials = self._task.source.partials(module, scorer, number)
            entities = self._task.predict(scorer, number, partials).entities
            gold, found = set(self._task.documents[number].spans or ()), {*map(_span, entities)}
            n_gold, n_found = n_gold + len(gold), n_found + len(found)
            n_right += len(gold & found)
        score = LabelScores("all", n_gold, n_found, n_right).f1
        total = 0.0
        with torch.inference_mode():
            for batch in _batches(self._validated, np.random.default_rng(0)):
                n_words = sum(len(example.tags) for example in batch)
                total += float(self._loss(module, _padded(batch, None))) * n_words
        loss = total / sum(len(example.tags) for example in self._validated)
        return Validation(loss=loss, score=score, criterion=(score, -loss))

    def _loss(self, module: Trainable[WordTagger], batch: _Batch) -> Tensor:
        tagger = module.head
        read = self._task.source.read(module, [(window, _WHOLE) for window in batch.windows])
        states = pad_sequence(read, batch_first=True)
        emissions = tagger(states, batch.flags, batch.strings, batch.mask)
        # What is taken off here stays on at inference: labels that weigh more are found more.
        emissions = emissions - torch.log(self._weights)
        # Where a line ends an entity, decoding takes no label that would continue it.
        blocked = torch.zeros_like(emissions)
        blocked[..., self._continues] = -1e4 * batch.stops[..., None]
        emissions = emissions + blocked.scatter(2, batch.tags[..., None], 0.0)
        return crf_loss(emissions, batch.tags, batch.mask, tagger.transitions, self._allowed)

    def _epoch(self, generator: np.random.Generator) -> list[_Example]:
        """What is learned in an epoch, with another part of the extra data each time."""
        examples = self._own * (_OWN_REPEATS if self._extra else 1)
        n_words = sum(len(example.tags) for example in examples)
        for index in generator.permutation(len(self._extra)).tolist():
            if n_words <= 0:
                break
            examples.append(self._extra[index])
            n_words -= len(self._extra[index].tags)
        return examples


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


def _padded(examples: Sequence[_Example], generator: np.random.Generator | None) -> _Batch:
    """Windows padded together; a generator lowers some and hides strings of words."""
    n_words = max(len(example.tags) for example in examples)
    shape = len(examples), n_words
    first = examples[0].window.features
    flags, strings = (
        np.zeros((*shape, *first[name].shape[1:]), first[name].dtype)
        for name in ("flags", "strings")
    )
    mask = np.zeros(shape, dtype=np.float32)
    tags = np.zeros(shape, dtype=np.int64)
    stops = np.zeros(shape, dtype=np.float32)
    for row, example in enumerate(examples):
        own = len(example.tags)
        flags[row, :own] = example.window.features["flags"]
        strings[row, :own] = example.window.features["strings"]
        mask[row, :own] = 1
        tags[row, :own] = example.tags
        stops[row, :own] = example.stops
        if generator is not None and generator.random() < _LOWERED_SHARE:
            flags[row] = _lowered(flags[row])
            strings[row] = 0
    if generator is not None:
        strings[generator.random(shape) < _FORGOTTEN_SHARE] = 0
    return _Batch(
        windows=tuple(example.window for example in examples),
        flags=torch.from_numpy(flags),
        strings=torch.from_numpy(strings),
        mask=torch.from_numpy(mask),
        tags=torch.from_numpy(tags),
        stops=torch.from_numpy(stops),
    )


def label_weights(
    documents: Sequence[LabelledDocument], labels: Sequence[str], *, balanced: bool
) -> FloatArray:
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


def _lowered(flags: FloatArray) -> FloatArray:
    """The flags of the same text without capitals."""
    lowered = flags.copy()
    lowered[:, _LOWER_FLAG] = np.maximum(
        flags[:, _LOWER_FLAG], flags[:, _CASE_FLAGS[:-1]].max(axis=1) > 0
    )
    lowered[:, _CASE_FLAGS] = 0
    return lowered


def _span(entity: Entity) -> LabelledSpan:
    return LabelledSpan(entity.char_start, entity.char_end, entity.label)


def _layers(inputs: TrainingInputs) -> tuple[int, ...]:
    return inputs.config.layers or tuple(range(0, inputs.n_layers + 1, 2))


def _feature_identity(inputs: TrainingInputs) -> Mapping[str, Any]:
    return {"words": list(_layers(inputs))}


def _make_reader(inputs: TrainingInputs, folder: Path) -> WordReader:
    return WordReader(_layers(inputs))


TRAINER = Trainer(
    score="entity F1",
    feature_identity=_feature_identity,
    make_reader=_make_reader,
    make_task=EntityTask,
)
