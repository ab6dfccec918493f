"""The registry of tasks is whole, and settings and models follow it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from longbert.config import NONE, ModelConfig, run_config
from longbert.tasks import TASKS, resolve


def test_every_task_has_a_setting_of_its_name() -> None:
    settings = {field.name for field in fields(ModelConfig)}
    assert TASKS.keys() <= settings
    assert all(TASKS[name].name == name for name in TASKS)


def test_without_a_model_for_any_task_all_packaged_ones_run() -> None:
    models = run_config({"input": ["x"]}).models
    assert {name: models.models_of(task) for name, task in TASKS.items()} == {
        name: (task.default,) for name, task in TASKS.items()
    }


@pytest.mark.parametrize("named", TASKS)
def test_beside_a_named_model_only_tasks_that_always_run_have_their_default(named: str) -> None:
    models = run_config({"input": ["x"], named: "mine"}).models
    for name, task in TASKS.items():
        expected = ("mine",) if name == named else (task.default,) if task.always_runs else ()
        assert models.models_of(task) == expected


@pytest.mark.parametrize("off", TASKS)
def test_none_switches_a_task_off(off: str) -> None:
    others = {name: "mine" for name in TASKS if name != off}
    models = run_config({"input": ["x"], off: NONE, **others}).models
    assert models.models_of(TASKS[off]) == ()


def test_all_tasks_may_be_switched_off() -> None:
    models = run_config({"input": ["x"], **dict.fromkeys(TASKS, NONE)}).models
    assert not models.has_models
    assert run_config({"input": ["x"]}).models.has_models


def test_a_reference_leads_to_what_it_names() -> None:
    assert resolve("longbert.config:ModelConfig") is ModelConfig
