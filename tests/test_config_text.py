"""Settings as text: what is written is what is read."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.config import (
    CLASSIFY_POOLINGS,
    DEVICES,
    ENTITY_DECODINGS,
    ENTITY_STITCHINGS,
    ENTITY_STRATEGIES,
    METRICS,
    PRECISIONS,
    Execution,
    ModelConfig,
    RunConfig,
    job_config,
)
from longbert.config_text import read_toml, write_toml
from longbert.errors import ConfigError
from longbert.tasks import TASKS


def test_a_file_with_a_wrong_setting_is_named() -> None:
    for content, message in (
        ("window = 2", "run.toml: window must be a whole number of at least 3, got 2"),
        ("workers = 'x'", "run.toml: workers must be a whole number of at least 1, got 'x'"),
        ("pasage = 3", "run.toml: unknown setting 'pasage'; did you mean 'passage'"),
        ("[models]", "run.toml: unknown setting 'models'"),
        ("device = 2020-01-01", "run.toml: device must be one of"),
        ("passage = ", "run.toml is not valid TOML: "),
    ):
        with pytest.raises(ConfigError, match=message):
            read_toml(content, name="run.toml")


def test_the_home_folder_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    content = (
        'input = ["~/docs", "a~/b", "./~"]\noutput = "~/x"\nembed = "~/m"\nner = "~/n"\n'
        'id_field = "~"\nquery_prompt = "~/"\n'
    )
    assert read_toml(content, name="run.toml") == {
        "input": ("/home/ada/docs", "a~/b", "./~"),
        "output": "/home/ada/x",
        "embed": "/home/ada/m",
        "ner": ("/home/ada/n",),
        "id_field": "~",
        "query_prompt": "~/",
    }


# Surrogates are what TOML cannot say.
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
MODELS = st.sampled_from(["none", "minilm", "~/m", "a b", 'q"\\']) | NAMES
COUNTS = st.integers(1, 10**12)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[RunConfig, Execution]:
    def choice(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    prompts = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
    id_field, text_field = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    models = ModelConfig(
        embed=draw(MODELS.filter(lambda name: name != "none")),
        classify=tuple(draw(st.lists(MODELS))),
        ner=tuple(draw(st.lists(MODELS))),
        window=draw(st.none() | st.integers(3, 10**6)),
        overlap=draw(st.none() | st.integers(0, 10**6)),
        passage=draw(COUNTS),
        device=choice(*DEVICES),
        precision=choice(*PRECISIONS),
        batch_tokens=draw(st.none() | COUNTS),
        entity_strategy=choice(*ENTITY_STRATEGIES),
        entity_stitching=choice(*ENTITY_STITCHINGS),
        entity_decoding=choice(None, *ENTITY_DECODINGS),
        classify_pooling=choice(None, *CLASSIFY_POOLINGS),
        window_scores=choice(True, False),
        metric=choice(None, *METRICS),
        query_prompt=draw(prompts),
        document_prompt=draw(prompts),
        trust_pickle=choice(True, False),
        trust_remote_code=choice(True, False),
    )
    prune = choice(True, False)
    config = RunConfig(
        inputs=tuple(draw(st.lists(NAMES, min_size=1))),
        output=draw(NAMES),
        id_field=id_field,
        text_field=text_field,
        encoding=tuple(draw(st.lists(NAMES))),
        max_record_bytes=draw(COUNTS),
        max_text_bytes=draw(COUNTS),
        max_metadata_bytes=draw(COUNTS),
        unit_bytes=draw(COUNTS),
        accept_drift=choice(True, False),
        prune=prune,
        keep_missing=not prune and choice(True, False),
        retry_errors=choice(True, False),
        max_errors=choice(0, 12, "3", "5%", "0.5%", "100%"),
        models=models,
    )
    execution = Execution(
        runner="DataflowRunner",
        workers=draw(st.none() | COUNTS),
        beam_options=tuple(draw(st.lists(NAMES))),
    )
    return config, execution


def without_home(config: RunConfig) -> RunConfig:
    """Paths that begin with ``~`` as a file has to write them."""

    def literal(path: str) -> str:
        return f"./{path}" if path.startswith("~") else path

    changed: dict[str, Any] = {}
    for task in TASKS:
        named = getattr(config.models, task)
        changed[task] = literal(named) if isinstance(named, str) else tuple(map(literal, named))
    return replace(
        config,
        inputs=tuple(map(literal, config.inputs)),
        output=literal(config.output),
        models=replace(config.models, **changed),
    )


@given(configurations())
def test_what_is_written_is_what_is_read(drawn: tuple[RunConfig, Execution]) -> None:
    config, execution = drawn
    read = job_config(read_toml(write_toml(config, execution), name="run.toml"))
    assert read == (without_home(config), execution)


def test_every_setting_is_written_or_named_as_left_open() -> None:
    config, execution = job_config({"input": "docs/", "window": 128})
    text = write_toml(config, execution)
    *lines, last = text.splitlines()
    written = tomllib.loads(text)
    assert len(lines) == len(written)
    assert last.startswith("# Left to the models and the machine: type, memory, recall, ")
    assert json.loads(json.dumps(written["ner"])) == ["entities-en"]
    unset = last.partition(": ")[2].split(", ")
    known = {field.name for part in (RunConfig, Execution, ModelConfig) for field in fields(part)}
    assert {*written, *unset} == known - {"models", "inputs"} | {"input"}


def test_what_toml_cannot_say_is_refused() -> None:
    config, execution = job_config({"input": "a\udcff.txt"})
    with pytest.raises(ConfigError, match=r"input is not valid Unicode, .*'a\\udcff.txt'"):
        write_toml(config, execution)
