"""The second step of a training, the same for every task: fit heads on features, and score them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

import torch

from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.training.base import (
    ModuleT,
    PredictionT,
    ScorerT,
    Trainable,
    TrainingInputs,
    TrainingTask,
    scorer_of,
)
from longbert.training.data import validation_of
from longbert.training.features import encode_document
from longbert.training.fit import Epoch, FitSettings, fit
from longbert.training.observer import Observer
from longbert.training.scores import Scores, fitted_temperature, scores_of


@dataclass(frozen=True)
class FittedHead(Generic[ModuleT, ScorerT]):
    """A trained head.

    Attributes:
        module: with the weights of its best epoch.
        scorer: the head that it is.
        config: of its folder, with the fitted temperature.
        log: of its epochs.
    """

    module: Trainable[ModuleT]
    scorer: ScorerT
    config: HeadConfig
    log: tuple[Epoch, ...]


def fit_head(
    task: TrainingTask[ModuleT, ScorerT, PredictionT],
    inputs: TrainingInputs,
    numbers: Sequence[int],
    *,
    name: str,
    seed: int,
    state_file: Path,
    observer: Observer,
) -> FittedHead[ModuleT, ScorerT]:
    """Fit a head and its temperature, on documents some of which are held back for both.

    Args:
        task: that it is for.
        inputs: of the training.
        numbers: of the documents that it may see.
        name: for people.
        seed: of its first weights, of the order of the data, and of dropout.
        state_file: that an interrupted training continues from.
        observer: told how it goes.

    Raises:
        LongbertError: the loss became NaN or infinite.
    """
    validate = validation_of(
        [number for number in numbers if number < inputs.n_own], inputs.own, inputs.config
    )
    learn = sorted(set(numbers) - set(validate))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = task.new_module()
    module = task.source.trainable(untrained)
    learner = task.learner(module, learn=learn, validate=validate)
    settings = FitSettings(
        epochs=inputs.config.most_epochs,
        patience=inputs.config.patience,
        learning_rate=inputs.config.peak_learning_rate,
        weight_decay=task.weight_decay,
        seed=seed,
    )
    observer.begin(name, len(learn), len(validate), settings.epochs * learner.n_batches)
    log = fit(
        learner,
        settings,
        state_file=state_file,
        on_epoch=observer.epoch,
        on_batch=observer.step,
    )
    scorer = scorer_of(task, module)
    temperature = fitted_temperature(
        task,
        [
            task.predict(scorer, number, task.source.partials(module, scorer, number))
            for number in validate
        ],
    )
    config = replace(task.config, temperature=temperature)
    return FittedHead(module, scorer, config, tuple(log))


def cross_validate(
    task: TrainingTask[ModuleT, ScorerT, PredictionT],
    inputs: TrainingInputs,
    folds: Sequence[Sequence[int]],
    *,
    state: Path,
    observer: Observer,
) -> Scores:
    """Score every document by a head that has not seen it.

    Args:
        task: of the heads.
        inputs: of the training.
        folds: numbers of the documents that one head does not see; all own documents together.
        state: folder that an interrupted training continues from.
        observer: told how it goes.
    """
    extra = range(inputs.n_own, len(inputs.documents))
    plain: dict[int, PredictionT] = {}
    calibrated: dict[int, PredictionT] = {}
    for ordinal, held_back in enumerate(folds, start=1):
        rest = sorted(set(range(inputs.n_own)) - set(held_back))
        fitted = fit_head(
            task,
            inputs,
            [*rest, *extra],
            name=f"fold {ordinal} of {len(folds)}",
            seed=inputs.config.seed + ordinal,
            state_file=state / f"fold-{ordinal}.pt",
            observer=observer,
        )
        module, scorer = fitted.module, fitted.scorer
        for number in held_back:
            partials = task.source.partials(module, scorer, number)
            plain[number] = task.predict(scorer, number, partials)
            calibrated[number] = task.rescore(scorer, plain[number], fitted.config.temperature)
    numbers = sorted(plain)
    return scores_of(
        task, numbers, [plain[one] for one in numbers], [calibrated[one] for one in numbers]
    )


def score_as_run(
    task: TrainingTask[ModuleT, ScorerT, PredictionT],
    inputs: TrainingInputs,
    fitted: FittedHead[ModuleT, ScorerT],
    run_module: ModuleT,
) -> Scores:
    """Score a head on the documents that it was validated on, encoded anew as a run does it.

    Args:
        task: of the head.
        inputs: of the training.
        fitted: the head.
        run_module: its module, as a run has it.
    """
    numbers = validation_of(range(inputs.n_own), inputs.own, inputs.config)
    scorer = task.scorer(run_module)
    loaded = task.source.backbone(fitted.module)
    plain = []
    for number in numbers:
        result = encode_document(loaded, scorer.head, inputs.documents[number])
        plain.append(task.predict(scorer, number, result.partials))
    temperature = fitted.config.temperature
    calibrated = [task.rescore(scorer, prediction, temperature) for prediction in plain]
    return scores_of(task, numbers, plain, calibrated)
