"""A training from labelled documents to a head's folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from longbert.core.fingerprint import differences, fingerprint
from longbert.core.measures.calibration import Calibration
from longbert.encoders.checkpoint.head_folder import BACKBONE_WEIGHTS, WEIGHTS, HeadConfig
from longbert.encoders.heads.learned.weights import to_safetensors
from longbert.encoders.models import LoadedBackbone, load_backbone
from longbert.engine.compare import Measures
from longbert.engine.meter import Meter, NullMeter
from longbert.errors import ConfigError, FingerprintError, OutputError
from longbert.readers.labels import LabelledData
from longbert.records import LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.training.card import model_card
from longbert.training.config import TrainConfig
from longbert.training.data import TrainingData, folds_of, read_training_data, validation_of
from longbert.training.features import FeatureStore, StoredWindow, encode_document
from longbert.training.fit import Epoch, Trainee, fit
from longbert.training.plots import learning_curve
from longbert.training.tasks import (
    ClassTask,
    EntityTask,
    Outcome,
    TrainingInputs,
    TrainingTask,
    backbone_config,
    digest_of,
    learned_head,
)
from longbert.training.unfrozen import Unfrozen, check_layers


class Observer(Protocol):
    """Is told how a training goes on."""

    def data(self, n_documents: int, n_extra: int, n_dropped_spans: int) -> None:
        """What was read."""

    def features(self, n_done: int, n_documents: int) -> None:
        """Documents whose features are there."""

    def begin(self, name: str, n_learn: int, n_validate: int, n_steps: int) -> None:
        """A fold, or the head itself, is going to be trained for at most so many steps."""

    def step(self) -> None:
        """A batch was learnt."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch ended."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How good a head is on documents that it has not learnt from.

    Attributes:
        n_documents: so many.
        measures: accuracy or F1, with their intervals.
        calibration: of the scores at the temperature that was fitted; None where there are none.
        uncalibrated: the same at temperature 1.
    """

    n_documents: int
    measures: Measures
    calibration: Calibration | None
    uncalibrated: Calibration | None

    def to_json(self) -> dict[str, Any]:
        """For ``scores.json``."""
        return {
            "documents": self.n_documents,
            "measures": self.measures.to_json(),
            "calibration": self.calibration and self.calibration.to_json(),
            "uncalibrated": self.uncalibrated and self.uncalibrated.to_json(),
        }


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """What a training gave.

    Attributes:
        head: of the folder that was written.
        validation: on the share that was held back for early stopping, which flatters a little.
        cross_validation: on every document by a head that has not seen it; None without folds.
        log: of the head.
    """

    head: HeadConfig
    validation: Scores
    cross_validation: Scores | None
    log: tuple[Epoch, ...]


def train(
    config: TrainConfig, observer: Observer, *, command: str, meter: Meter | None = None
) -> TrainOutcome:
    """Train a head and write its folder, whole or not at all.

    A training that was stopped goes on from its last epoch when it is begun again.

    Args:
        config: what to train on what.
        observer: told how it goes on.
        command: for the card.
        meter: told of windows and tokens.

    Raises:
        ConfigError, InputError: a setting or the data cannot be used.
        FingerprintError: an unfinished training or features of something else are in the way.
        LongbertError: the loss became NaN; nothing is written.
    """
    output = Path(config.output)
    if output.exists():
        raise ConfigError(
            f"output {config.output!r} exists: name a folder that does not, or remove it"
        )
    data = read_training_data(config)
    observer.data(len(data.main.documents), len(data.extra), data.n_dropped_spans)
    loaded = load_backbone(backbone_config(config))
    _check_backbone(config, loaded)
    documents = (*data.main.documents, *data.extra)
    material = TrainingInputs(config, loaded, documents, len(data.main.documents))
    state = _state_folder(config, material)
    task = _task(material, data.main)
    windows = _features(config, material, task, observer, meter or NullMeter())
    task = _task(replace(material, windows=windows), data.main, reduction_of=task)
    n_own = len(data.main.documents)
    extra = range(n_own, len(documents))
    folds = folds_of(data.main.documents, config.n_folds, config.seed) if config.n_folds else []
    in_folds: dict[int, tuple[Outcome, Outcome]] = {}
    for number, held_back in enumerate(folds, start=1):
        rest = sorted(set(range(n_own)) - set(held_back))
        trainee, head, _ = _fit(
            task,
            config,
            [*rest, *extra],
            data.main.documents,
            state / f"fold-{number}.pt",
            f"fold {number} of {len(folds)}",
            observer,
            seed=config.seed + number,
        )
        for document in held_back:
            in_folds[document] = (
                task.outcome(trainee, task.head_config(), document),
                task.outcome(trainee, head, document),
            )
    trainee, head, log = _fit(
        task,
        config,
        [*range(n_own), *extra],
        data.main.documents,
        state / "head.pt",
        "the head",
        observer,
        seed=config.seed,
    )
    module = task.final_module(trainee)
    validate = validation_of(range(n_own), data.main.documents, config)
    outcome = TrainOutcome(
        head=head,
        validation=_run_scores(task, material, trainee, module, head, validate),
        cross_validation=_scores(
            task,
            sorted(in_folds),
            [in_folds[number][0] for number in sorted(in_folds)],
            [in_folds[number][1] for number in sorted(in_folds)],
        )
        if in_folds
        else None,
        log=tuple(log),
    )
    _write(output, config, outcome, _weights(trainee, module), data, command)
    shutil.rmtree(state)
    return outcome


def _check_backbone(config: TrainConfig, loaded: LoadedBackbone) -> None:
    check_layers(loaded.checkpoint.encoder, config.n_unfrozen, name=config.backbone)
    n_layers = loaded.checkpoint.n_layers
    wrong = [layer for layer in config.layers or () if not 0 <= layer <= n_layers]
    if wrong:
        raise ConfigError(
            f"layers must be in [0, {n_layers}] for {config.backbone}, got {wrong[0]}: "
            "0 is the embeddings"
        )


def _task(
    material: TrainingInputs, data: LabelledData, *, reduction_of: TrainingTask | None = None
) -> TrainingTask:
    if material.config.task == "ner":
        return EntityTask(material)
    assert reduction_of is None or isinstance(reduction_of, ClassTask)
    return ClassTask(
        material,
        chooses_one=data.kind == "label",
        reduction=None if reduction_of is None else reduction_of.reduction,
    )


def _state_folder(config: TrainConfig, material: TrainingInputs) -> Path:
    """Where an unfinished training is kept, beside the output."""
    folder = Path(f"{Path(config.output)}.training")
    settings = {
        **{
            key: value
            for key, value in asdict(config).items()
            if key not in ("output", "features", "license")
        },
        "documents": digest_of(material.documents),
        "backbone_digest": material.loaded.backbone.digest,
    }
    settings = json.loads(json.dumps(settings))
    file = folder / "settings.json"
    # Before the first epoch there is nothing to lose: what was wrong may have been mended.
    if file.is_file() and any(folder.glob("*.pt")):
        before = json.loads(file.read_text(encoding="utf-8"))
        if before != settings:
            changes = "".join(f"\n  {line}" for line in differences(before, settings))
            raise FingerprintError(
                f"{folder} holds an unfinished training with other settings:{changes}\n"
                "Go back to those settings, or remove the folder to begin anew"
            )
    try:
        content = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        LocalFileSystem().write(str(file), content.encode())
    except OSError as error:
        raise OutputError(
            f"output {config.output!r} cannot be written ({error.strerror or error}): "
            "name a folder that can"
        ) from error
    return folder


def _features(
    config: TrainConfig,
    material: TrainingInputs,
    task: TrainingTask,
    observer: Observer,
    meter: Meter,
) -> list[list[StoredWindow]]:
    loaded = material.loaded
    about = {
        "documents": fingerprint(
            {str(n): [one.document_id, one.text] for n, one in enumerate(material.documents)}
        ),
        "backbone": loaded.backbone.digest,
        "window": loaded.window,
        "overlap": loaded.overlap,
        "precision": loaded.precision,
        "processor": loaded.processor,
        **task.reads,
    }
    folder = Path(config.features or f"{Path(config.output)}.features")
    store = FeatureStore(folder, about)
    n_documents = len(material.documents)
    head = task.feature_head(loaded, folder)
    if config.n_unfrozen:
        return []
    store.fill(
        material.documents,
        loaded.pass_for(head),
        meter=meter,
        on_chunk=lambda n_done: observer.features(n_done, n_documents),
    )
    windows: list[list[StoredWindow]] = [[] for _ in material.documents]
    for stored in store.windows():
        windows[stored.document].append(stored)
    return windows


def _fit(
    task: TrainingTask,
    config: TrainConfig,
    numbers: Sequence[int],
    own: Sequence[LabelledDocument],
    state_file: Path,
    name: str,
    observer: Observer,
    *,
    seed: int,
) -> tuple[Trainee, HeadConfig, list[Epoch]]:
    """Fit a module and its temperature, with a share of the documents held back for both."""
    validate = validation_of([number for number in numbers if number < len(own)], own, config)
    learn = sorted(set(numbers) - set(validate))
    trainee = task.trainee(learn=learn, validate=validate, seed=seed)
    settings = task.fit_settings(seed)
    observer.begin(name, len(learn), len(validate), settings.epochs * trainee.n_batches)
    log = fit(
        trainee,
        settings,
        state_file=state_file,
        on_epoch=observer.epoch,
        on_batch=observer.step,
    )
    head = task.head_config()
    outcomes = [task.outcome(trainee, head, number) for number in validate]
    return trainee, replace(head, temperature=task.temperature(outcomes)), log


def _run_scores(
    task: TrainingTask,
    material: TrainingInputs,
    trainee: Trainee,
    module: nn.Module,
    head: HeadConfig,
    numbers: Sequence[int],
) -> Scores:
    """Scores of the finished head on documents that are encoded anew, as a run does it."""
    finished = learned_head(material, module, head)
    plain = learned_head(material, module, replace(head, temperature=1.0))
    loaded = material.loaded
    if isinstance(trainee.module, Unfrozen):
        loaded = replace(loaded, backbone=loaded.backbone.with_encoder(trainee.module.base))
    outcomes: list[tuple[Outcome, Outcome]] = []
    for number in numbers:
        result = encode_document(loaded, finished, material.documents[number])
        outcomes.append(
            (
                task.outcome_of_run(plain, result, number),
                task.outcome_of_run(finished, result, number),
            )
        )
    return _scores(
        task, numbers, [before for before, _ in outcomes], [after for _, after in outcomes]
    )


def _scores(
    task: TrainingTask,
    numbers: Sequence[int],
    uncalibrated: Sequence[Outcome],
    calibrated: Sequence[Outcome],
) -> Scores:
    measures, calibration = task.measure(numbers, calibrated)
    _, before = task.measure(numbers, uncalibrated)
    return Scores(len(numbers), measures, calibration, before)


def _weights(trainee: Trainee, module: nn.Module) -> dict[str, bytes]:
    """Files of weights: the head's, and those of the layers that were trained with it."""
    files = {WEIGHTS: to_safetensors(module.state_dict())}
    if isinstance(trainee.module, Unfrozen):
        files[BACKBONE_WEIGHTS] = to_safetensors(trainee.module.trained_weights())
    return files


def _write(
    output: Path,
    config: TrainConfig,
    outcome: TrainOutcome,
    weights: Mapping[str, bytes],
    data: TrainingData,
    command: str,
) -> None:
    """Write all files of the head beside the output, then give the folder its name."""
    scores = {"validation": outcome.validation.to_json()}
    crossed = outcome.cross_validation
    if crossed is not None:
        scores["cross_validation"] = crossed.to_json()
    card = model_card(
        config,
        outcome.head,
        command=command,
        n_documents=len(data.main.documents),
        n_extra=len(data.extra),
        validation=outcome.validation.measures,
        cross_validation=None if crossed is None else crossed.measures,
    )
    log = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in outcome.log)
    files = {
        "config.json": outcome.head.to_json().encode(),
        **weights,
        "scores.json": (json.dumps(scores, indent=1) + "\n").encode(),
        "training.jsonl": log.encode(),
        "training.svg": learning_curve(outcome.log, task=config.task),
        "README.md": card.encode(),
    }
    unfinished = Path(f"{output}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        os.replace(unfinished, output)
    except OSError as error:
        raise OutputError(
            f"output {str(output)!r} cannot be written ({error.strerror or error}): mend that, "
            "then run again to go on from the last epoch"
        ) from error
