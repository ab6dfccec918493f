"""The files of a learned head: what is written comes back, and damage is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.heads import LABELS, MODULES, build_head, change_config

import longbert
from longbert.encoders.checkpoint.head_folder import (
    BACKBONE_WEIGHTS,
    WEIGHTS,
    HeadConfig,
    is_head,
    read_head,
)
from longbert.encoders.heads.learned.attention import TokenAttention
from longbert.encoders.heads.learned.build import new_module
from longbert.encoders.heads.learned.tagger import WordTagger
from longbert.encoders.heads.learned.weights import load_weights, to_safetensors
from longbert.errors import ModelError

Build = Callable[..., Path]
NAMES = [*HeadConfig.__dataclass_fields__]


def config_of(task: str) -> HeadConfig:
    return HeadConfig(
        task=task,
        labels=LABELS[task],
        chooses_one=True,
        backbone="minilm",
        backbone_digest="0" * 64,
        n_unfrozen=0,
        window=256,
        overlap=63,
        temperature=1.25,
        module=MODULES[task],
    )


def content_of(task: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(config_of(task).to_json())
    return content


# Weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["ner", "classify"])
def test_weights_come_back_and_give_the_same_bytes(task: str, tmp_path: Path) -> None:
    module, other = new_module(config_of(task)), new_module(config_of(task))
    with torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            generator = torch.Generator().manual_seed(number)
            weight.copy_(torch.randn(weight.shape, generator=generator))
    data = to_safetensors(module.state_dict())
    (tmp_path / WEIGHTS).write_bytes(data)
    load_weights(other, tmp_path / WEIGHTS, name="head")
    assert to_safetensors(other.state_dict()) == data == to_safetensors(module.state_dict())
    assert not other.training
    assert not any(weight.requires_grad for weight in other.parameters())


def test_weights_that_are_not_contiguous_are_written_as_they_are() -> None:
    module = torch.nn.Linear(3, 2)
    straight = to_safetensors(module.state_dict())
    module.weight.data = module.weight.data.T.contiguous().T
    assert to_safetensors(module.state_dict()) == straight


def spoil(file: Path, how: str) -> None:
    """Damage a file of weights."""
    data, weights = file.read_bytes(), load_file(file)
    name = sorted(weights)[-1]
    if how == "empty":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif how == "text":
        file.write_text("not weights at all")
    elif how == "missing":
        file.unlink()
    elif how == "folder":
        file.unlink()
        file.mkdir()
    elif how in ("nan", "infinity"):
        weights[name].view(-1)[0] = float("nan" if how == "nan" else "-inf")
        save_file(weights, file)
    elif how == "shape":
        save_file({**weights, name: weights[name][..., :-1].contiguous()}, file)
    elif how == "lacks":
        save_file({key: one for key, one in weights.items() if key != name}, file)
    else:
        save_file({**weights, "another": torch.zeros(1)}, file)


@pytest.mark.parametrize("task", ["ner", "classify"])
@pytest.mark.parametrize(
    "how",
    ["empty", "cut", "text", "missing", "folder", "nan", "infinity", "shape", "lacks", "more"],
)
def test_damaged_weights(task: str, how: str, tmp_path: Path) -> None:
    module = new_module(config_of(task))
    (tmp_path / WEIGHTS).write_bytes(to_safetensors(module.state_dict()))
    spoil(tmp_path / WEIGHTS, how)
    with pytest.raises(ModelError, match=r"^head: .*train (the head|it) again$"):
        load_weights(module, tmp_path / WEIGHTS, name="head")


# Configuration ----------------------------------------------------------------------------------

configurations = st.builds(
    HeadConfig,
    task=st.sampled_from(["ner", "classify"]),
    labels=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4).map(tuple),
    chooses_one=st.booleans(),
    backbone=st.text(min_size=1, max_size=9),
    backbone_digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    n_unfrozen=st.integers(0, 12),
    window=st.integers(3, 8192),
    overlap=st.integers(0, 8000),
    temperature=st.floats(0.01, 100),
    module=st.dictionaries(st.text(max_size=5), st.integers() | st.lists(st.integers())),
)


@given(configurations)
def test_a_configuration_comes_back(config: HeadConfig) -> None:
    content = json.loads(config.to_json())
    assert is_head(content)
    assert HeadConfig.from_json(content, name="head") == config
    assert read_head(content, task=config.task, name="head") == config
    assert HeadConfig.from_json(content, name="head").to_json() == config.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_missing_values(name: str) -> None:
    content = content_of("ner")
    del content[name]
    with pytest.raises(ModelError, match=rf"^head: its config.json lacks {name}: train it again$"):
        read_head(content, task="ner", name="head")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", 3),
        ("labels", None),
        ("labels", "O"),
        ("labels", []),
        ("window", "wide"),
        ("window", None),
        ("overlap", []),
        ("n_unfrozen", "some"),
        ("temperature", "warm"),
        ("temperature", None),
        ("temperature", 0),
        ("temperature", float("nan")),
        ("module", 3),
        ("module", "none"),
        ("module", None),
    ],
)
def test_values_of_the_wrong_kind(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=r"^head: its config.json is damaged .*train it again$"):
        read_head(content_of("ner") | {name: value}, task="ner", name="head")


def test_another_format() -> None:
    content = content_of("ner") | {"format": "longbert-head-9"}
    assert is_head(content)
    with pytest.raises(ModelError, match="format longbert-head-9, and this version reads longbert"):
        read_head(content, task="ner", name="head")


@pytest.mark.parametrize("content", [{}, {"format": None}, {"format": "onnx"}, {"model_type": "b"}])
def test_configurations_of_checkpoints_are_none_of_heads(content: dict[str, Any]) -> None:
    assert not is_head(content)


@pytest.mark.parametrize(("task", "asked"), [("ner", "classify"), ("classify", "ner")])
def test_another_task(task: str, asked: str) -> None:
    match = f"was given as --{asked}, but it is a head trained for {task}: give it as --{task}"
    with pytest.raises(ModelError, match=match):
        read_head(content_of(task), task=asked, name="head")
    with pytest.raises(ModelError, match="was given as --embed"):
        read_head(content_of(task), task="embed", name="head")


def test_modules_by_task() -> None:
    assert isinstance(new_module(config_of("ner")), WordTagger)
    assert isinstance(new_module(config_of("classify")), TokenAttention)


# Folders ----------------------------------------------------------------------------------------


@pytest.fixture
def head(models: Build, tmp_path: Path) -> Path:
    return build_head(tmp_path / "head", models("bert", seed=1), "ner")


def load(head: Path) -> None:
    longbert.load(embed="none", ner=str(head), precision="float32")


@pytest.mark.parametrize("how", ["cut", "missing", "nan", "shape", "folder"])
def test_a_folder_with_damaged_weights_is_refused(head: Path, how: str) -> None:
    spoil(head / WEIGHTS, how)
    with pytest.raises(ModelError, match=r"^\S*head\b.*head.safetensors|^head: the weight"):
        load(head)


def test_a_folder_without_its_trained_layers_is_refused(head: Path) -> None:
    change_config(head, n_unfrozen=1)
    with pytest.raises(ModelError, match=f"lacks {BACKBONE_WEIGHTS}: copy the whole folder"):
        load(head)


def test_labels_that_the_weights_do_not_fit(head: Path) -> None:
    change_config(head, labels=["O", "B-PER", "I-PER"])
    with pytest.raises(ModelError, match=r"head.safetensors does not fit its config.json"):
        load(head)


@pytest.mark.parametrize("labels", [["A", "B"], ["O"]])
def test_labels_that_are_no_tagging_scheme(models: Build, tmp_path: Path, labels: Any) -> None:
    head = build_head(tmp_path / "h", models("bert", seed=1), "ner", labels=tuple(labels))
    with pytest.raises(ModelError, match="no tagging scheme"):
        load(head)


@pytest.mark.parametrize("task", ["ner", "classify"])
@pytest.mark.parametrize(
    "changes",
    [
        {"layers": None},
        {"layers": 3},
        {"width": None},
        {"width": "wide"},
        {"width": -1},
        {"channels": "many"},
        {"unknown": 3},
    ],
)
def test_sizes_that_make_no_module(
    models: Build, tmp_path: Path, task: str, changes: dict[str, Any]
) -> None:
    head = build_head(tmp_path / "head", models("bert", seed=1), task)
    module = {**MODULES[task], **changes}
    change_config(head, module={key: one for key, one in module.items() if one is not None})
    with pytest.raises(ModelError, match=r"^head: the sizes of the module in its config.json "):
        longbert.load(embed="none", **{task: str(head)}, precision="float32")
