"""The loop that fits a module: seeds, resumption, early stopping, numbers that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.training import Stopped
from torch import Tensor, nn

from longbert.errors import LongbertError
from longbert.training.fit import Epoch, FitSettings, Validation, fit

SETTINGS = FitSettings(epochs=5, patience=9, learning_rate=0.05, weight_decay=0.01, seed=3)


class Regression:
    """A linear map with dropout and batches in drawn order.

    Args:
        criteria: what early stopping looks at after each epoch; None: the loss.
        factor: of the loss.
    """

    n_batches = 4

    def __init__(self, criteria: tuple[float, ...] | None = None, factor: float = 1.0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.module: nn.Module = nn.Sequential(
                nn.Linear(6, 4), nn.Dropout(0.3), nn.Linear(4, 1)
            )
            self._inputs = torch.randn(32, 6)
        self._targets = self._inputs.sum(dim=1, keepdim=True)
        self._criteria = criteria
        self._factor = factor
        self.validated: list[dict[str, Tensor]] = []

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        yield from torch.from_numpy(generator.permutation(32)).split(8)

    def loss(self, batch: Any) -> Tensor:
        return (
            self._factor * (self.module(self._inputs[batch]) - self._targets[batch]).square().mean()
        )

    def validate(self, module: nn.Module) -> Validation:
        assert not module.training
        self.validated.append({k: v.clone() for k, v in module.state_dict().items()})
        with torch.inference_mode():
            loss = float((module(self._inputs) - self._targets).square().mean())
        criterion = -loss if self._criteria is None else self._criteria[len(self.validated) - 1]
        return Validation(loss=loss, score=criterion, criterion=(criterion,))


class Uneven(Regression):
    """Epochs of other numbers of batches than it says, as a tagger's are."""

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        size = int(generator.integers(3, 9))
        yield from torch.from_numpy(generator.permutation(32)).split(size)


def run(
    trainee: Regression, state: Path, settings: FitSettings = SETTINGS, stop_after: int = 0
) -> tuple[list[Epoch], dict[str, Tensor]]:
    def on_epoch(epoch: Epoch) -> None:
        if epoch.number == stop_after:
            raise Stopped

    log = fit(trainee, settings, state_file=state, on_epoch=on_epoch)
    assert not trainee.module.training
    return log, trainee.module.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_seed_decides_on_every_bit(tmp_path: Path) -> None:
    log, weights = run(Regression(), tmp_path / "a.pt")
    torch.manual_seed(99)  # What the process drew before has no part in it.
    again, same_weights = run(Regression(), tmp_path / "b.pt")
    assert (again, same(weights, same_weights)) == (log, True)
    other, other_weights = run(Regression(), tmp_path / "c.pt", replace(SETTINGS, seed=4))
    assert other != log
    assert not same(weights, other_weights)


def test_drawing_is_not_felt_outside(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    run(Regression(), tmp_path / "a.pt")
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("make", [Regression, Uneven])
@pytest.mark.parametrize("stop_after", range(1, 6))
def test_resumed_is_as_if_never_stopped(
    tmp_path: Path, make: Callable[[], Regression], stop_after: int
) -> None:
    log, weights = run(make(), tmp_path / "whole.pt")
    with pytest.raises(Stopped):
        run(make(), tmp_path / "parts.pt", stop_after=stop_after)
    trainee = make()
    again, resumed = run(trainee, tmp_path / "parts.pt")
    assert (again, same(weights, resumed)) == (log, True)
    assert len(trainee.validated) == 5 - stop_after


def test_stopped_within_an_epoch_repeats_it(tmp_path: Path) -> None:
    log, weights = run(Regression(), tmp_path / "whole.pt")
    n_batches = 0

    def on_batch() -> None:
        nonlocal n_batches
        n_batches += 1
        if n_batches == 7:
            raise Stopped

    with pytest.raises(Stopped):
        fit(Regression(), SETTINGS, state_file=tmp_path / "parts.pt", on_batch=on_batch)
    again, resumed = run(Regression(), tmp_path / "parts.pt")
    assert (again, same(weights, resumed)) == (log, True)


def test_the_whole_log_is_told_again(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run(Regression(), tmp_path / "a.pt", stop_after=3)
    told: list[Epoch] = []
    log = fit(Regression(), SETTINGS, state_file=tmp_path / "a.pt", on_epoch=told.append)
    assert told == log
    assert [epoch.number for epoch in told] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("change", [{"seed": 4}, {"epochs": 6}, {"learning_rate": 0.01}])
def test_a_state_of_other_settings_is_not_used(tmp_path: Path, change: dict[str, Any]) -> None:
    other = replace(SETTINGS, **change)
    log, weights = run(Regression(), tmp_path / "new.pt", other)
    run(Regression(), tmp_path / "old.pt")
    again, fresh = run(Regression(), tmp_path / "old.pt", other)
    assert (again, same(weights, fresh)) == (log, True)


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=9, patience=3)
    trainee = Regression(criteria=(0.1, 0.5, 0.4, 0.5, 0.3, 0.9))
    log, weights = run(trainee, tmp_path / "a.pt", settings)
    assert [epoch.is_best for epoch in log] == [True, True, False, False, False]
    assert same(weights, trainee.validated[1])


def test_an_ended_training_is_only_read_back(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=9, patience=2)
    criteria = (0.1, 0.5, 0.4, 0.3, 0.9)
    log, weights = run(Regression(criteria), tmp_path / "a.pt", settings)
    trainee = Regression(criteria)
    again, read = run(trainee, tmp_path / "a.pt", settings)
    assert (again, same(weights, read), trainee.validated) == (log, True, [])


def test_it_learns(tmp_path: Path) -> None:
    log, _ = run(Regression(), tmp_path / "a.pt", replace(SETTINGS, epochs=30))
    assert log[-1].validation_loss < 0.5 * log[0].validation_loss


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number(tmp_path: Path, factor: float) -> None:
    with pytest.raises(LongbertError, match=r"in epoch 1.*--learning-rate than 0\.05"):
        run(Regression(factor=factor), tmp_path / "a.pt")
    assert not any(tmp_path.iterdir())
