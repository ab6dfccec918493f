"""The loop that fits a module: schedule, averaging of weights, early stopping, resumption."""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from longbert.errors import LongbertError

_WARM_UP_SHARE = 0.1
_CLIP_NORM = 1.0
_AVERAGE_DECAY = 0.995

BACKBONE_PREFIX = "base."
"""Of the names of weights that are the backbone's."""


@dataclass(frozen=True, slots=True)
class Validation:
    """How good a module is on documents that it has not learnt from.

    Attributes:
        loss: mean.
        score: what is told to people: F1 or accuracy.
        criterion: what early stopping looks at; higher is better, and the next one decides a tie.
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
        is_best: whether no epoch before had a higher criterion.
    """

    number: int
    loss: float
    validation_loss: float
    score: float
    is_best: bool


class Trainee(Protocol):
    """A module with its data.

    Attributes:
        module: its weights with gradients are trained.
        n_batches: of an epoch, about.
    """

    module: nn.Module
    n_batches: int

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        """The batches of one epoch, in an order that the generator draws."""

    def loss(self, batch: Any) -> Tensor:
        """Mean loss of a batch, with gradient."""

    def validate(self, module: nn.Module) -> Validation:
        """Measure a module of the same kind."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a module is fitted.

    Attributes:
        epochs: at most.
        patience: epochs without improvement after which it ends.
        learning_rate: the highest, after a linear warm-up; it falls to zero as a cosine.
        backbone_learning_rate: the same for layers of the backbone, where these are trained.
        weight_decay: of AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101).
        seed: of order and dropout.
    """

    epochs: int
    patience: int
    learning_rate: float
    backbone_learning_rate: float = 3e-5
    weight_decay: float
    seed: int


def fit(
    trainee: Trainee,
    settings: FitSettings,
    *,
    state_file: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_batch: Callable[[], None] = lambda: None,
) -> list[Epoch]:
    """Train a module, and leave it with the averaged weights of its best epoch.

    What is validated and kept is an exponential average of the weights (Polyak & Juditsky 1992).
    Every epoch draws from a generator of its own, so that a training that was stopped goes on
    with the same bits from the last epoch that was finished.

    Args:
        trainee: its module is trained in place.
        settings: how.
        state_file: holds the state after each epoch; a finished training leaves it.
        on_epoch, on_batch: told as they end.

    Returns:
        The log.

    Raises:
        LongbertError: the loss became NaN or infinite.
    """
    module = trainee.module
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
    n_steps = settings.epochs * trainee.n_batches
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
            for batch in trainee.batches(generator):
                loss = trainee.loss(batch)
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    # The same settings would end here again.
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
                # Not counted by epochs, which may have other numbers of batches than was said.
                _average(average, module, int(schedule.last_epoch), horizon=trainee.n_batches)
                on_batch()
        average.eval()
        validation = trainee.validate(average)
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
    """Share of the highest learning rate: a linear rise, then a cosine to zero."""
    n_warm_up = max(1, round(_WARM_UP_SHARE * n_steps))
    if step < n_warm_up:
        return (step + 1) / n_warm_up
    done = min(1.0, (step - n_warm_up) / max(1, n_steps - n_warm_up))
    return 0.5 * (1 + math.cos(math.pi * done))


def _average(average: nn.Module, module: nn.Module, n_steps: int, *, horizon: int) -> None:
    """One step of the exponential average, which forgets its beginning faster at first.

    Args:
        average, module: of one kind; the first is changed.
        n_steps: taken so far.
        horizon: steps that it remembers.
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
        # Damaged: this part is trained again.
        return None
    return state if state["settings"] == asdict(settings) else None


def _write_state(file: Path, state: Mapping[str, Any]) -> None:
    unfinished = file.with_suffix(".unfinished")
    torch.save(state, unfinished)
    os.replace(unfinished, file)
