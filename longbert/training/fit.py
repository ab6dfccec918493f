"""The loop that fits a module: schedule, moving average, early stopping, resumption."""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from longbert.errors import LongbertError

_WARM_UP_SHARE = 0.1
_CLIP_NORM = 1.0
_AVERAGE_DECAY = 0.995

BACKBONE_PREFIX = "base."
"""Begins the names of weights that belong to the backbone."""

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Validation:
    """How good a module is on documents that it did not learn from.

    Attributes:
        loss: mean.
        score: for people, F1 or accuracy.
        criterion: for early stopping; higher is better, and later entries break ties.
    """

    loss: float
    score: float
    criterion: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Epoch:
    """An entry of the log.

    Attributes:
        number: from 1.
        loss: mean over the epoch's batches.
        validation_loss, score: of the averaged weights.
        is_best: whether its criterion is higher than that of every epoch before.
    """

    number: int
    loss: float
    validation_loss: float
    score: float
    is_best: bool


class Learner(Protocol[ModuleT]):
    """A module with its data.

    Attributes:
        module: its weights that require gradients are trained.
        n_batches: of an epoch, about.
    """

    module: ModuleT
    n_batches: int

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        """The batches of one epoch, in an order that the generator draws."""

    def loss(self, batch: Any) -> Tensor:
        """Mean loss of a batch, with gradient."""

    def validate(self, module: ModuleT) -> Validation:
        """Measure a module of the same kind."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a module is fitted.

    Attributes:
        epochs: at most.
        patience: epochs without improvement after which training stops.
        learning_rate: the peak, reached by a linear warm-up and followed by a cosine to zero.
        backbone_learning_rate: the same for layers of the backbone that are trained.
        weight_decay: of AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101).
        seed: of the order of the data and of dropout.
    """

    epochs: int
    patience: int
    learning_rate: float
    backbone_learning_rate: float = 3e-5
    weight_decay: float
    seed: int


def fit(
    learner: Learner[ModuleT],
    settings: FitSettings,
    *,
    state_file: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_batch: Callable[[], None] = lambda: None,
) -> list[Epoch]:
    """Train a module, and leave it with the averaged weights of its best epoch.

    We validate and save an exponential moving average of the weights (Polyak & Juditsky 1992).
    Every epoch has a random generator of its own, so a training that was interrupted continues
    bit for bit from the last epoch that was finished.

    Args:
        learner: its module is trained in place.
        settings: how.
        state_file: holds the state after each epoch, and stays when training is done.
        on_epoch, on_batch: called as they end.

    Returns:
        The log.

    Raises:
        LongbertError: the loss became NaN or infinite.
    """
    module = learner.module
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            is_backbone = name.startswith(BACKBONE_PREFIX)
            rate = settings.backbone_learning_rate if is_backbone else settings.learning_rate
            groups.setdefault(rate, []).append(weight)
    optimizer = torch.optim.AdamW(
        [{"params": weights, "lr": rate} for rate, weights in groups.items()],
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )
    n_steps = settings.epochs * learner.n_batches
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _learning_rate(step, n_steps)
    )
    average = copy.deepcopy(module)
    best: dict[str, Tensor] = copy.deepcopy(module.state_dict())
    best_criterion: tuple[float, ...] = (-math.inf,)
    log: list[Epoch] = []
    state = _read_state(state_file, settings)
    if state is not None:
        module.load_state_dict(state["module"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best, best_criterion = state["best"], tuple(state["best_criterion"])
        log = [Epoch(**entry) for entry in state["log"]]
        for epoch in log:
            on_epoch(epoch)
    while len(log) < settings.epochs and not _is_over(log, settings.patience):
        number = len(log) + 1
        generator = np.random.default_rng([settings.seed, number])
        losses = []
        module.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator.integers(2**62)))
            for batch in learner.batches(generator):
                loss = learner.loss(batch)
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    # The same settings would fail here again.
                    state_file.unlink(missing_ok=True)
                    raise LongbertError(
                        f"the loss became {losses[-1]} in epoch {number}, so nothing was written: "
                        f"try a lower --learning-rate than {settings.learning_rate:g}"
                    )
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(trained, _CLIP_NORM)
                optimizer.step()
                schedule.step()
                # The scheduler counts the steps: epochs may differ in their number of batches.
                _average(average, module, int(schedule.last_epoch), horizon=learner.n_batches)
                on_batch()
        average.eval()
        validation = learner.validate(average)
        is_best = validation.criterion > best_criterion
        if is_best:
            best, best_criterion = copy.deepcopy(average.state_dict()), validation.criterion
        log.append(
            Epoch(number, float(np.mean(losses)), validation.loss, validation.score, is_best)
        )
        _write_state(
            state_file,
            {
                "settings": asdict(settings),
                "module": module.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "best": best,
                "best_criterion": best_criterion,
                "log": [asdict(epoch) for epoch in log],
            },
        )
        on_epoch(log[-1])
    module.load_state_dict(best)
    module.eval()
    return log


def _learning_rate(step: int, n_steps: int) -> float:
    """Share of the peak learning rate: a linear rise, then a cosine to zero."""
    n_warm_up = max(1, round(_WARM_UP_SHARE * n_steps))
    if step < n_warm_up:
        return (step + 1) / n_warm_up
    done = min(1.0, (step - n_warm_up) / max(1, n_steps - n_warm_up))
    return 0.5 * (1 + math.cos(math.pi * done))


def _average(average: nn.Module, module: nn.Module, n_steps: int, *, horizon: int) -> None:
    """One step of the exponential moving average, which forgets faster at the beginning.

    Args:
        average, module: of one kind; the first is changed.
        n_steps: taken so far.
        horizon: in steps, how far back it reaches.
    """
    decay = min(_AVERAGE_DECAY, 1 - 1 / max(2, horizon), n_steps / (n_steps + 10))
    with torch.no_grad():
        for mean, weight in zip(average.parameters(), module.parameters(), strict=True):
            if weight.requires_grad:
                mean.lerp_(weight, 1 - decay)


def _is_over(log: list[Epoch], patience: int) -> bool:
    last_best = max((epoch.number for epoch in log if epoch.is_best), default=0)
    return len(log) - last_best >= patience


def _read_state(file: Path, settings: FitSettings) -> Mapping[str, Any] | None:
    if not file.is_file():
        return None
    try:
        state: Mapping[str, Any] = torch.load(file, weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, pickle.UnpicklingError):
        # Damaged: train this part again.
        return None
    return state if state["settings"] == asdict(settings) else None


def _write_state(file: Path, state: Mapping[str, Any]) -> None:
    unfinished = file.with_suffix(".unfinished")
    torch.save(state, unfinished)
    os.replace(unfinished, file)
