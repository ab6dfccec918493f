"""Settings of a training: what is refused, and what the message says."""

from __future__ import annotations

from typing import Any

import pytest

from longbert.config import ModelConfig
from longbert.errors import ConfigError
from longbert.training.config import TRAINED, TrainConfig, train_config

GIVEN: dict[str, Any] = {"task": "ner", "data": "people.jsonl", "output": "people"}


def test_settings_have_the_names_of_the_command_line() -> None:
    config = train_config(
        {**GIVEN, "folds": 3, "validation": 0.2, "unfreeze": 1, "extra_data": ["a", "b"]}
    )
    assert (config.n_folds, config.validation_share, config.n_unfrozen) == (3, 0.2, 1)
    assert (config.data, config.extra_data) == (("people.jsonl",), ("a", "b"))


@pytest.mark.parametrize("task", TRAINED)
def test_what_is_left_out_suits_the_task(task: str) -> None:
    config = train_config({**GIVEN, "task": task})
    assert config.most_epochs == TRAINED[task].epochs
    assert config.peak_learning_rate == TRAINED[task].learning_rate
    own = train_config({**GIVEN, "task": task, "epochs": 3, "learning_rate": 0.5})
    assert (own.most_epochs, own.peak_learning_rate) == (3, 0.5)


def test_layers_of_the_backbone_are_trained_in_float32() -> None:
    config = train_config({**GIVEN, "precision": "bfloat16", "backbone": "tiny", "window": 32})
    assert config.models == ModelConfig(embed="tiny", precision="bfloat16", window=32)
    unfrozen = train_config({**GIVEN, "precision": "bfloat16", "unfreeze": 1})
    assert unfrozen.models.precision == "float32"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "nr"}, "task must be one of classify, ner, got 'nr'; did you mean 'ner'?"),
        ({"data": ()}, "data must name at least one file"),
        ({"output": ""}, "output must name a folder, got an empty name: try my-head"),
        ({"folds": 1}, "folds must be 0 for none, or at least 2, got 1: try 5"),
        ({"folds": -1}, "folds must be a whole number of at least 0, got -1: try 5"),
        ({"folds": 2.5}, "folds must be a whole number of at least 0, got 2.5: try 5"),
        ({"validation": 1}, r"validation must be a number in (0, 1), got 1: try 0.1"),
        ({"validation": float("nan")}, "validation must be a number in (0, 1), got nan: try 0.1"),
        ({"learning_rate": 0}, "learning_rate must be a number in (0, 1), got 0: try 0.001"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": "3"}, "epochs must be a whole number of at least 1, got '3'"),
        ({"patience": True}, "patience must be a whole number of at least 1, got True"),
        ({"seed": 2**63}, "seed must be a whole number in [0, 9223372036854775807], got 92233720"),
        ({"window": 2}, "window must be a whole number of at least 3, got 2"),
        ({"layers": (0, 2, 0)}, "layers must name each layer once, got 0,2,0"),
        ({"layers": "02"}, "layers must be a list of whole numbers, got '02'"),
        ({"class_weights": "balance"}, "got 'balance'; did you mean 'balanced'?"),
        ({"precision": "half"}, "precision must be one of "),
        ({"features": "people/x"}, "features must be another folder than "),
        ({"fold": 5}, "unknown setting 'fold'; did you mean 'folds'? The settings are: backbone,"),
        ({"n_folds": 5}, "unknown setting 'n_folds'; did you mean 'folds'?"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        train_config({**GIVEN, **settings})
    assert message in str(raised.value)


@pytest.mark.parametrize("name", GIVEN)
def test_what_must_be_given(name: str) -> None:
    rest = {key: value for key, value in GIVEN.items() if key != name}
    with pytest.raises(ConfigError, match=f"{name} must be given, got none: name it with --{name}"):
        train_config(rest)


def test_a_configuration_made_directly_is_checked_as_well() -> None:
    with pytest.raises(ConfigError, match="epochs must be a whole number of at least 1, got 0"):
        TrainConfig(**GIVEN, epochs=0)
