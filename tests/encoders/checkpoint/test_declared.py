"""What the sentence-transformers files of a model declare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.declared import FILE, Prompts
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.encoders.models import load_models
from longbert.errors import ModelError

Build = Callable[..., Path]
E5 = {"query": "query: ", "passage": "passage: "}
BGE = "Represent this sentence for searching relevant passages: "


def declared(folder: Path, content: Any) -> Prompts:
    (folder / FILE).write_text(json.dumps(content), encoding="utf-8")
    return Prompts.from_folder(ModelFolder("mine", folder, {}))


@pytest.mark.parametrize(
    ("content", "query", "document"),
    [
        ({}, "", ""),
        ({"prompts": None}, "", ""),
        ({"prompts": {}, "default_prompt_name": None}, "", ""),
        ({"prompts": E5}, "query: ", "passage: "),
        ({"prompts": {"query": BGE, "passage": ""}}, BGE, ""),
        ({"prompts": {"query": BGE}, "default_prompt_name": "query"}, BGE, ""),
        ({"prompts": {"document": "d: ", "passage": "p: ", "corpus": "c: "}}, "", "d: "),
        ({"prompts": {"passage": "p: ", "corpus": "c: "}}, "", "p: "),
        ({"prompts": {"corpus": "c: "}}, "", "c: "),
        ({"prompts": {"document": None, "corpus": "c: "}}, "", "c: "),
        ({"prompts": {"sts": "s: "}}, "", ""),
        ({"prompts": {"sts": "s: "}, "default_prompt_name": "sts"}, "s: ", "s: "),
        ({"prompts": {"sts": "s: ", **E5}, "default_prompt_name": "sts"}, "query: ", "passage: "),
        ({"prompts": {"sts": "s: ", "query": ""}, "default_prompt_name": "sts"}, "", "s: "),
        ({"prompts": {}, "default_prompt_name": "document"}, "", ""),
    ],
)
def test_names_of_the_files(
    tmp_path: Path, content: Mapping[str, Any], query: str, document: str
) -> None:
    assert declared(tmp_path, content) == Prompts(query, document)


def test_a_bare_encoder_declares_nothing(tmp_path: Path) -> None:
    assert Prompts.from_folder(ModelFolder("mine", tmp_path, {})) == Prompts("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must hold a JSON object: restore"),
        ({"prompts": ["query: "]}, "prompts must be an object of names and texts, is a list"),
        ({"prompts": {"query": 3}}, "the prompt 'query' must be a text, is a int: restore"),
        ({"prompts": {"query": "\ud800"}}, "'query' has a lone surrogate"),
        ({"prompts": E5, "default_prompt_name": "doc"}, "is 'doc', and the prompts are passage, q"),
        ({"default_prompt_name": "doc"}, "is 'doc', and the prompts are none: name one"),
        ({"prompts": E5, "default_prompt_name": 3}, "default_prompt_name is 3"),
    ],
)
def test_files_that_declare_nonsense(
    models: Build, tmp_path: Path, content: Any, message: str
) -> None:
    folder = shutil.copytree(models("bert"), tmp_path / "model")
    with pytest.raises(ModelError, match=message):
        declared(folder, content)
    with pytest.raises(ModelError, match=message):
        load_models(ModelConfig(embed=str(folder)))
