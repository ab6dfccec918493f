"""What training does differently for classes and for entities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from longbert.config import NONE, ModelConfig
from longbert.core.measures.calibration import (
    Calibration,
    calibration,
    fit_temperature,
    fit_temperature_multi_label,
)
from longbert.core.tagging import bio_labels
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.learned.attention import (
    AttentionShape,
    TokenAttention,
    fit_reduction,
    folded,
)
from longbert.encoders.heads.learned.build import make_learned_head
from longbert.encoders.heads.learned.document_head import owned_states, reduced_features
from longbert.encoders.heads.learned.features import FeatureHead
from longbert.encoders.heads.learned.folder import HeadConfig
from longbert.encoders.heads.learned.tagger import TaggerShape, WordTagger
from longbert.encoders.heads.learned.token_head import tagger_features
from longbert.encoders.heads.learned.weights import load_weights, to_safetensors
from longbert.encoders.heads.sequence_classification import (
    ClassificationHead,
    ClassificationPartial,
)
from longbert.encoders.heads.token_classification import EntityHead, EntityPartial
from longbert.encoders.models import LoadedBackbone
from longbert.encoders.tokenizers.fast import TokenizedText
from longbert.engine.compare import LabelMap, Measures, compare_entities, compare_labels
from longbert.engine.encode import WindowPartials
from longbert.records import Classification, Entity, LabelledDocument, LabelledSpan, ScoredSpan
from longbert.store.filesystem import LocalFileSystem
from longbert.training.classify import ClassTrainee, class_weights, targets_of
from longbert.training.config import TrainConfig
from longbert.training.features import StoredWindow, encode_document
from longbert.training.fit import FitSettings, Trainee
from longbert.training.ner import EntityTrainee, label_weights
from longbert.training.unfrozen import ChangingBackbone, Unfrozen

_N_REDUCED = 192
_FEWEST_ROWS = 30
"""Below this number of outcomes a temperature would say more of them than of the head."""

_SAMPLED_CHARS = 20_000
_SAMPLED_DOCUMENTS = 64
_SAMPLED_TOKENS = 400
_N_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a head says of a document that it has not learnt from.

    Attributes:
        logits: those that a temperature is fitted on. Shape: (rows, n_labels).
        gold: index of each row's label, or for several labels a document whether it has each.
        entities, classifications: as a run writes them.
    """

    logits: npt.NDArray[np.float32]
    gold: npt.NDArray[Any]
    entities: tuple[Entity, ...] = ()
    classifications: tuple[Classification, ...] = ()


class TrainingTask(Protocol):
    """A kind of head.

    Attributes:
        labels: of the logits.
        chooses_one: whether a document has exactly one of them.
        reads: what decides on the features, for their fingerprint.
    """

    labels: tuple[str, ...]
    chooses_one: bool
    reads: Mapping[str, Any]

    def feature_head(self, loaded: LoadedBackbone, folder: Path) -> FeatureHead:
        """What takes the features of windows; what it needs for it is kept in the folder."""

    def trainee(self, *, learn: Sequence[int], validate: Sequence[int], seed: int) -> Trainee:
        """A new module and its data."""

    def head_config(self) -> HeadConfig:
        """The configuration of the head's folder, at temperature 1."""

    def fit_settings(self, seed: int) -> FitSettings:
        """How the module is fitted."""

    def final_module(self, trainee: Trainee) -> nn.Module:
        """The module that the head's folder holds."""

    def outcome(self, trainee: Trainee, head: HeadConfig, number: int) -> Outcome:
        """What the trained head, at its temperature, says of a document, from stored features."""

    def outcome_of_run(self, head: Head, result: WindowPartials, number: int) -> Outcome:
        """The same from the windows of a run of the finished head."""

    def temperature(self, outcomes: Sequence[Outcome]) -> float:
        """The temperature that fits the logits, which are at temperature 1."""

    def measure(
        self, numbers: Sequence[int], outcomes: Sequence[Outcome]
    ) -> tuple[Measures, Calibration | None]:
        """Scores of what the head says of some documents."""


@dataclass(frozen=True)
class TrainingInputs:
    """What every kind of training starts from.

    Attributes:
        config: the training.
        loaded: the backbone.
        documents: all, those of the extra data last.
        n_own: documents that are not extra.
        windows: of each document; empty until the features are there.
    """

    config: TrainConfig
    loaded: LoadedBackbone
    documents: Sequence[LabelledDocument]
    n_own: int
    windows: Sequence[Sequence[StoredWindow]] = ()


def _module_with_seed(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _head_config(material: TrainingInputs, labels: tuple[str, ...], **values: Any) -> HeadConfig:
    return HeadConfig(
        task=material.config.task,
        labels=labels,
        backbone=material.config.backbone,
        backbone_digest=material.loaded.backbone.digest,
        n_unfrozen=material.config.n_unfrozen,
        window=material.loaded.window,
        overlap=material.loaded.overlap,
        temperature=1.0,
        **values,
    )


class EntityTask:
    """Entities: a tagger of words."""

    chooses_one = True

    def __init__(self, material: TrainingInputs) -> None:
        self.material = material
        types = {span.label for one in material.documents for span in one.spans or ()}
        self.labels = bio_labels(types)
        n_layers, width = _sizes(material.loaded)
        self._shape = TaggerShape(
            layers=material.config.layers or tuple(range(0, n_layers + 1, 2)),
            width=width,
            n_labels=len(self.labels),
        )
        self.reads: Mapping[str, Any] = {"words": list(self._shape.layers)}

    def feature_head(self, loaded: LoadedBackbone, folder: Path) -> FeatureHead:
        """Mean states and look of words."""
        layers = self._shape.layers
        return FeatureHead(
            lambda states, batch, row: tagger_features(layers, states, batch, row),
            reads_words=True,
        )

    def trainee(self, *, learn: Sequence[int], validate: Sequence[int], seed: int) -> EntityTrainee:
        """See :class:`TrainingTask`."""
        tagger = _module_with_seed(
            lambda: WordTagger(self._shape, dropout=0.2, input_dropout=0.2), seed
        )
        assert isinstance(tagger, WordTagger)
        balanced = self.material.config.class_weights == "balanced"
        learnt = [self.material.documents[number] for number in learn]
        head = self.feature_head(self.material.loaded, Path())
        return EntityTrainee(
            _unfrozen(self.material, tagger) or tagger,
            lambda trained: self._head(trained, self.head_config()),
            self.material.documents,
            self.material.windows,
            learn=learn,
            validate=validate,
            n_own=self.material.n_own,
            tokenizer=self.material.loaded.backbone.tokenizer,
            labels=self.labels,
            label_weights=label_weights(learnt, self.labels, balanced=balanced),
            changing=_changing(self.material, head),
        )

    def head_config(self) -> HeadConfig:
        """See :class:`TrainingTask`."""
        sizes = {
            "layers": list(self._shape.layers),
            "width": self._shape.width,
            "channels": self._shape.channels,
            "string_channels": self._shape.string_channels,
            "dilations": list(self._shape.dilations),
        }
        return _head_config(self.material, self.labels, chooses_one=True, module=sizes)

    def fit_settings(self, seed: int) -> FitSettings:
        """See :class:`TrainingTask`."""
        return _fit_settings(self.material.config, seed, weight_decay=0.01)

    def final_module(self, trainee: Trainee) -> nn.Module:
        """See :class:`TrainingTask`."""
        return head_of(trainee.module)

    def outcome(self, trainee: Trainee, head: HeadConfig, number: int) -> Outcome:
        """See :class:`TrainingTask`."""
        assert isinstance(trainee, EntityTrainee)
        own = self._head(trainee.module, head)
        tokens, partial = trainee.partial(trainee.module, own, number)
        return self._outcome(own, tokens, partial, number)

    def outcome_of_run(self, head: Head, result: WindowPartials, number: int) -> Outcome:
        """See :class:`TrainingTask`."""
        assert isinstance(head, EntityHead)
        return self._outcome(head, result.tokens, head.merge(result.partials), number)

    def _outcome(
        self, head: EntityHead, tokens: TokenizedText, partial: EntityPartial, number: int
    ) -> Outcome:
        document = self.material.documents[number]
        scored = head.decode_crf(document.text, tokens, partial)
        gold = set(document.spans or ())
        kinds = sorted({label[2:] for label in self.labels[1:]})
        rows = [1 + kinds.index(one.span.label) if one.span in gold else 0 for one, _ in scored]
        return Outcome(
            logits=np.array([logits for _, logits in scored]).reshape(-1, 1 + len(kinds)),
            gold=np.array(rows, dtype=np.int64),
            entities=head.entities(document.text, [span for span, _ in scored]),
        )

    def temperature(self, outcomes: Sequence[Outcome]) -> float:
        """Fitted on the entities that were found, right or wrong; 1 where they are few."""
        logits = np.concatenate([one.logits for one in outcomes])
        gold = np.concatenate([one.gold for one in outcomes])
        return fit_temperature(logits, gold) if len(gold) >= _FEWEST_ROWS else 1.0

    def measure(
        self, numbers: Sequence[int], outcomes: Sequence[Outcome]
    ) -> tuple[Measures, Calibration | None]:
        """Entities by span and label, and how often those of a score are right."""
        documents = [self.material.documents[number] for number in numbers]
        found = {
            document.document_id: [
                ScoredSpan(LabelledSpan(one.char_start, one.char_end, one.label), one.score)
                for one in outcome.entities
            ]
            for document, outcome in zip(documents, outcomes, strict=True)
        }
        scored = compare_entities(
            documents,
            found,
            LabelMap({}, may_leave_out=True),
            head_labels={label[2:] for label in self.labels[1:]},
            n_resamples=_N_RESAMPLES,
            seed=0,
        )
        rows = [
            (row.score, row.span in (document.spans or ()))
            for document in documents
            for row in found[document.document_id]
        ]
        calibrated = None
        if rows:
            scores, right = (np.array(column) for column in zip(*rows, strict=True))
            calibrated = calibration(scores, right)
        return scored.measures, calibrated

    def _head(self, module: nn.Module, config: HeadConfig) -> EntityHead:
        head = learned_head(self.material, module, config)
        assert isinstance(head, EntityHead)
        return head


class ClassTask:
    """Classes of documents: attention over their tokens."""

    def __init__(
        self, material: TrainingInputs, *, chooses_one: bool, reduction: nn.Linear | None = None
    ) -> None:
        self.material = material
        self.chooses_one = chooses_one
        self.reduction = reduction
        self.labels = tuple(
            sorted({label for one in material.documents for label in one.labels or ()})
        )
        n_layers, self._width = _sizes(material.loaded)
        self._layers = material.config.layers or tuple(range(n_layers + 1))
        self._n_reduced = min(_N_REDUCED, len(self._layers) * self._width)
        self.reads: Mapping[str, Any] = {"tokens": list(self._layers), "reduced": self._n_reduced}
        self._targets = targets_of(material.documents, self.labels)

    def feature_head(self, loaded: LoadedBackbone, folder: Path) -> FeatureHead:
        """Reduced hidden states of tokens; the reduction is fitted on a sample of the documents."""
        file = folder / "reduction.safetensors"
        if file.is_file():
            reduction = nn.Linear(len(self._layers) * self._width, self._n_reduced)
            load_weights(reduction, file, name="the features")
        else:
            reduction = fit_reduction(self._sample(loaded), n_reduced=self._n_reduced)
            LocalFileSystem().write(str(file), to_safetensors(reduction.state_dict()))
        self.reduction = reduction
        return FeatureHead(
            lambda states, batch, row: reduced_features(
                self._layers, reduction, states, batch, row
            ),
            reads_words=False,
        )

    def trainee(self, *, learn: Sequence[int], validate: Sequence[int], seed: int) -> ClassTrainee:
        """See :class:`TrainingTask`."""
        shape = AttentionShape(n_inputs=self._n_reduced, n_labels=len(self.labels))
        module = _module_with_seed(lambda: TokenAttention(shape, dropout=0.3), seed)
        assert isinstance(module, TokenAttention)
        reduction = self.reduction
        assert reduction is not None
        head = FeatureHead(lambda states, batch, row: {}, reads_words=False)
        return ClassTrainee(
            _unfrozen(self.material, module) or module,
            lambda trained: self._head(trained, self.head_config()),
            self.material.windows,
            self._targets,
            chooses_one=self.chooses_one,
            learn=learn,
            validate=validate,
            label_weights=class_weights(
                self._targets[list(learn)],
                chooses_one=self.chooses_one,
                balanced=self.material.config.class_weights == "balanced",
            ),
            read=lambda states, batch, row: reduction(
                owned_states(self._layers, states, batch, row)
            ),
            changing=_changing(self.material, head),
        )

    def head_config(self) -> HeadConfig:
        """See :class:`TrainingTask`."""
        shape = AttentionShape(n_inputs=self._n_reduced, n_labels=len(self.labels))
        sizes = {
            "layers": list(self._layers),
            "width": self._width,
            "n_members": shape.n_members,
            "channels": shape.channels,
            "n_queries": shape.n_queries,
        }
        return _head_config(self.material, self.labels, chooses_one=self.chooses_one, module=sizes)

    def fit_settings(self, seed: int) -> FitSettings:
        """See :class:`TrainingTask`."""
        return _fit_settings(self.material.config, seed, weight_decay=0.05)

    def final_module(self, trainee: Trainee) -> nn.Module:
        """The module on hidden states themselves: the reduction becomes part of its weights."""
        module = head_of(trainee.module)
        assert isinstance(module, TokenAttention)
        assert self.reduction is not None
        return folded(module, self.reduction)

    def outcome(self, trainee: Trainee, head: HeadConfig, number: int) -> Outcome:
        """See :class:`TrainingTask`."""
        assert isinstance(trainee, ClassTrainee)
        own = self._head(trainee.module, head)
        return self._outcome(own, trainee.partial(trainee.module, own, number), number)

    def outcome_of_run(self, head: Head, result: WindowPartials, number: int) -> Outcome:
        """See :class:`TrainingTask`."""
        assert isinstance(head, ClassificationHead)
        return self._outcome(head, head.merge(result.partials), number)

    def _outcome(
        self, head: ClassificationHead, partial: ClassificationPartial, number: int
    ) -> Outcome:
        logits = head.logits(partial)
        row = self._targets[number : number + 1]
        return Outcome(
            logits=logits[None],
            gold=row.argmax(axis=1) if self.chooses_one else row > 0,
            classifications=head.classify(logits),
        )

    def temperature(self, outcomes: Sequence[Outcome]) -> float:
        """Fitted on the documents; 1 where they are few."""
        logits = np.concatenate([one.logits for one in outcomes])
        gold = np.concatenate([one.gold for one in outcomes])
        if len(gold) < _FEWEST_ROWS:
            return 1.0
        if self.chooses_one:
            return fit_temperature(logits, gold)
        return fit_temperature_multi_label(logits, gold)

    def measure(
        self, numbers: Sequence[int], outcomes: Sequence[Outcome]
    ) -> tuple[Measures, Calibration | None]:
        """Accuracy and F1 of labels."""
        documents = [self.material.documents[number] for number in numbers]
        scored = compare_labels(
            documents,
            {
                document.document_id: outcome.classifications
                for document, outcome in zip(documents, outcomes, strict=True)
            },
            LabelMap({}, may_leave_out=False),
            head="head",
            is_single=self.chooses_one,
            n_resamples=_N_RESAMPLES,
            seed=0,
        )
        return scored.measures, scored.calibration

    def _head(self, module: nn.Module, config: HeadConfig) -> ClassificationHead:
        if isinstance(module, Unfrozen):
            # It reads what the backbone gives, not what was stored reduced.
            assert self.reduction is not None
            assert isinstance(module.head, TokenAttention)
            module = folded(module.head, self.reduction)
        head = learned_head(self.material, module, config)
        assert isinstance(head, ClassificationHead)
        return head

    def _sample(self, loaded: LoadedBackbone) -> torch.Tensor:
        """Hidden states of some tokens of some documents. Shape: (tokens, layers * width)."""
        generator = np.random.default_rng(0)
        n_documents = len(self.material.documents)
        chosen = generator.permutation(n_documents)[:_SAMPLED_DOCUMENTS]
        head = FeatureHead(
            lambda states, batch, row: {
                "states": owned_states(self._layers, states, batch, row).cpu().numpy()
            },
            reads_words=False,
        )
        found = []
        for number in np.sort(chosen).tolist():
            document = self.material.documents[number]
            # Of a long document its beginning, so that memory does not grow with it.
            beginning = replace(document, text=document.text[:_SAMPLED_CHARS])
            result = encode_document(loaded, head, beginning)
            states = np.concatenate([partial["states"] for partial in result.partials])
            rows = generator.permutation(len(states))[:_SAMPLED_TOKENS]
            found.append(states[np.sort(rows)])
        return torch.from_numpy(np.concatenate(found))


def learned_head(
    material: TrainingInputs, module: nn.Module, config: HeadConfig
) -> EntityHead | ClassificationHead:
    """The head that a module is at inference."""
    module = head_of(module)
    assert isinstance(module, WordTagger | TokenAttention)
    settings = replace(backbone_config(material.config), embed=NONE, ner=("head",))
    return make_learned_head(module, config, settings, name="head", device=torch.device("cpu"))


def head_of(module: nn.Module) -> nn.Module:
    """The part of a module that is the head."""
    return module.head if isinstance(module, Unfrozen) else module


def _unfrozen(material: TrainingInputs, head: nn.Module) -> Unfrozen | None:
    n_layers = material.config.n_unfrozen
    base = material.loaded.checkpoint.base
    return Unfrozen(head, base, n_layers=n_layers) if n_layers else None


def _changing(material: TrainingInputs, head: Head) -> ChangingBackbone | None:
    if not material.config.n_unfrozen:
        return None
    return ChangingBackbone(material.loaded, material.documents, head)


def _fit_settings(config: TrainConfig, seed: int, *, weight_decay: float) -> FitSettings:
    return FitSettings(
        epochs=config.most_epochs,
        patience=config.patience,
        learning_rate=config.highest_learning_rate,
        weight_decay=weight_decay,
        seed=seed,
    )


def digest_of(documents: Sequence[LabelledDocument]) -> str:
    """SHA-256 of documents and their labels."""
    digest = hashlib.sha256()
    for one in documents:
        spans = [[s.char_start, s.char_end, s.label] for s in one.spans or ()]
        row = [one.document_id, one.text, list(one.labels or ()), spans]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def backbone_config(config: TrainConfig) -> ModelConfig:
    """The run's settings that load the backbone as training reads it."""
    return ModelConfig(
        embed=config.backbone,
        window=config.window,
        overlap=config.overlap,
        device=config.device,
        precision="float32" if config.n_unfrozen else config.precision,
    )


def _sizes(loaded: LoadedBackbone) -> tuple[int, int]:
    """Layers and width of a backbone."""
    config = loaded.checkpoint.base.config
    return int(config.num_hidden_layers), int(config.hidden_size)
