"""A training, from labelled documents to a head's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longbert.core.fingerprint import differences, fingerprint
from longbert.encoders.checkpoint.head_folder import BACKBONE_WEIGHTS, WEIGHTS
from longbert.encoders.heads.learned.weights import to_safetensors
from longbert.encoders.models import load_backbone
from longbert.engine.meter import Meter, NullMeter
from longbert.errors import ConfigError, FingerprintError, OutputError
from longbert.store.filesystem import LocalFileSystem
from longbert.tasks import resolve
from longbert.training.base import (
    FeatureSource,
    ModuleT,
    PredictionT,
    ReaderT,
    ScorerT,
    Trainer,
    TrainingInputs,
    TrainingTask,
)
from longbert.training.config import TrainConfig
from longbert.training.data import FEW, digest_of, folds_of, n_folds_of, read_training_data
from longbert.training.features import FeatureStore, StoredFeatures, feature_head
from longbert.training.head_folder import write_head
from longbert.training.heads import cross_validate, fit_head, score_as_run
from longbert.training.observer import Observer
from longbert.training.scores import TrainingResult
from longbert.training.unfrozen import LiveFeatures, check_layers


def train(
    config: TrainConfig, observer: Observer, *, command: str, meter: Meter | None = None
) -> TrainingResult:
    """Train a head and write its folder, complete or not at all.

    A training that was interrupted continues from its last epoch when it is started again.

    Args:
        config: what to train on what.
        observer: told how it goes.
        command: for the card.
        meter: told of windows and tokens.

    Raises:
        ConfigError, InputError: a setting or the data cannot be used.
        FingerprintError: an unfinished training or features of something else are in the way.
        OutputError: a folder cannot be written.
        LongbertError: the loss became NaN; nothing is written.
    """
    output = Path(config.output)
    if output.exists():
        raise ConfigError(
            f"output {config.output!r} exists: name a folder that does not, or remove it"
        )
    trainer: Trainer[Any, Any, Any, Any] = resolve(config.training.trainer)
    data = read_training_data(config)
    observer.data(len(data.main.documents), len(data.extra), data.n_dropped_spans)
    loaded = load_backbone(config.models)
    inputs = TrainingInputs(
        config,
        loaded,
        documents=(*data.main.documents, *data.extra),
        n_own=len(data.main.documents),
        kind=data.main.kind,
    )
    _check_backbone(inputs)
    state = _state_folder(inputs)
    task = with_features(trainer, inputs, observer, meter or NullMeter())
    result, weights = _fit(task, inputs, state, observer)
    _warn_of_few(result, observer)
    write_head(
        output,
        config,
        result,
        weights,
        n_documents=inputs.n_own,
        n_extra=len(data.extra),
        score=trainer.score,
        command=command,
        observer=observer,
    )
    shutil.rmtree(state)
    return result


def _check_backbone(inputs: TrainingInputs) -> None:
    config = inputs.config
    check_layers(inputs.loaded.checkpoint.encoder, config.n_unfrozen, name=config.backbone)
    wrong = [layer for layer in config.layers or () if not 0 <= layer <= inputs.n_layers]
    if wrong:
        raise ConfigError(
            f"layers must be in [0, {inputs.n_layers}] for {config.backbone}, got {wrong[0]}: "
            "0 is the embeddings"
        )


def _state_folder(inputs: TrainingInputs) -> Path:
    """Where an unfinished training is kept, beside the output."""
    config = inputs.config
    folder = Path(f"{Path(config.output)}.training")
    settings = {
        **{
            key: value
            for key, value in asdict(config).items()
            if key not in ("output", "features", "license")
        },
        "documents": digest_of(inputs.documents),
        "backbone_digest": inputs.loaded.backbone.digest,
    }
    settings = json.loads(json.dumps(settings))
    file = folder / "settings.json"
    # Before the first epoch there is nothing to lose, and what was wrong may have been corrected.
    if file.is_file() and any(folder.glob("*.pt")):
        before = json.loads(file.read_text(encoding="utf-8"))
        if before != settings:
            changes = "".join(f"\n  {line}" for line in differences(before, settings))
            raise FingerprintError(
                f"{folder} holds an unfinished training with other settings:{changes}\n"
                "Go back to those settings, or remove the folder to start over"
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


def with_features(
    trainer: Trainer[ReaderT, ModuleT, ScorerT, PredictionT],
    inputs: TrainingInputs,
    observer: Observer,
    meter: Meter,
) -> TrainingTask[ModuleT, ScorerT, PredictionT]:
    """The first step: compute the features of all documents, or open those that are there.

    Raises:
        FingerprintError: the folder holds features of something else.
        InputError: a document cannot be encoded.
        OutputError: the folder cannot be written.
    """
    config, loaded = inputs.config, inputs.loaded
    texts = {str(n): [one.document_id, one.text] for n, one in enumerate(inputs.documents)}
    store = FeatureStore(
        Path(config.features or f"{Path(config.output)}.features"),
        {
            "documents": fingerprint(texts),
            "backbone": loaded.backbone.digest,
            "window": loaded.window,
            "overlap": loaded.overlap,
            "precision": loaded.precision,
            "processor": loaded.processor,
            **trainer.feature_identity(inputs),
        },
    )
    reader = trainer.make_reader(inputs, store.folder)
    source: FeatureSource
    if config.n_unfrozen:
        source = LiveFeatures(loaded, inputs.documents, reader, n_layers=config.n_unfrozen)
    else:
        n_documents = len(inputs.documents)
        windows = store.fill(
            inputs.documents,
            loaded.pass_for(feature_head(reader)),
            meter=meter,
            on_chunk=lambda n_done: observer.features(n_done, n_documents),
        )
        source = StoredFeatures(loaded, windows, name=reader.name)
    return trainer.make_task(inputs, reader, source)


def _fit(
    task: TrainingTask[ModuleT, ScorerT, PredictionT],
    inputs: TrainingInputs,
    state: Path,
    observer: Observer,
) -> tuple[TrainingResult, Mapping[str, bytes]]:
    """The second step: the heads of the folds, the head itself, and their scores.

    Returns:
        The result, and the files of weights by name.
    """
    n_folds = n_folds_of(inputs.own, inputs.config)
    crossed = None
    if n_folds:
        folds = folds_of(inputs.own, n_folds, inputs.config.seed)
        crossed = cross_validate(task, inputs, folds, state=state, observer=observer)
    fitted = fit_head(
        task,
        inputs,
        range(len(inputs.documents)),
        name="the head",
        seed=inputs.config.seed,
        state_file=state / "head.pt",
        observer=observer,
    )
    module = task.run_module(fitted.module.head)
    result = TrainingResult(
        head=fitted.config,
        validation=score_as_run(task, inputs, fitted, module),
        cross_validation=crossed,
        n_folds=n_folds,
        log=fitted.log,
    )
    weights = {WEIGHTS: to_safetensors(module.state_dict())}
    trained = fitted.module.trained_backbone()
    if trained:
        weights[BACKBONE_WEIGHTS] = to_safetensors(trained)
    return result, weights


def _warn_of_few(result: TrainingResult, observer: Observer) -> None:
    n_validation = result.validation.n_documents
    if n_validation >= FEW:
        return
    crossed = result.cross_validation
    if crossed is None:
        advice = "label more, or cross-validate with --folds 5"
    elif crossed.n_documents < FEW:
        advice = f"the cross-validation has {crossed.n_documents:,} only: label more"
    else:
        advice = f"go by the cross-validation, which scores all {crossed.n_documents:,}"
    observer.warn(
        f"{n_validation:,} documents were held back, and scores on fewer than {FEW} say little: "
        f"{advice}"
    )
