"""Settings of a run: ranges, defaults, and the file that may hold them."""

from __future__ import annotations

import json
import pickle
import tomllib
from dataclasses import fields, replace
from pathlib import Path
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
    read_toml,
    run_config,
    write_toml,
)
from longbert.errors import ConfigError
from longbert.tasks import TASKS


def test_configurations_are_frozen_hashable_and_picklable() -> None:
    config = run_config({"input": ["a", "b"], "ner": "x", "window": 128})
    assert config == run_config({"input": ("a", "b"), "ner": ["x"], "window": 128})
    assert hash(config) == hash(pickle.loads(pickle.dumps(config)))
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(AttributeError):
        config.output = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        ModelConfig("minilm")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 2}, "window must be a whole number of at least 3, got 2"),
        ({"overlap": -1}, "overlap must be a whole number of at least 0, got -1"),
        ({"passage": 0}, "passage must be a whole number of at least 1, got 0"),
        ({"batch_tokens": 0}, "batch_tokens must be a whole number of at least 1, got 0"),
        ({"unit_bytes": 0}, "unit_bytes must be a whole number of at least 1, got 0"),
        ({"device": "cpus"}, "device must be one of auto, cpu, .*'cpus'; did you mean 'cpu'"),
        ({"precision": "float8"}, "precision must be one of auto, float32, .*, got 'float8'"),
        ({"metric": "l2"}, "metric must be one of cosine, dot, got 'l2'"),
        ({"embed": ["a"]}, r"embed must be a string, got \('a',\)"),
        ({"ner": {"a": 1}}, "ner must be a string or a list of strings"),
        ({"input": []}, "input must name at least one file, folder or glob"),
        ({"input": ["a", ""]}, "input must name at least one file, folder or glob"),
        ({"output": ""}, "output must name a folder, got an empty name: try longbert-output"),
        ({"id_field": "x", "text_field": "x"}, "must differ, both are 'x'"),
        ({"embed": "none", "query_prompt": "q"}, "query_prompt is read by .* but embed is none"),
        ({"document_prompt": "a\udc80"}, "lone surrogate at character 2"),
        ({"pasage": 3}, "unknown setting 'pasage'; did you mean 'passage'"),
        ({"workers": 3}, "unknown setting 'workers'"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config({"input": "x", **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"workers": True}, "workers must be a whole number of at least 1, got True"),
        ({"runner": 2}, "runner must be a string, got 2"),
        ({"runner": "none", "workers": 2}, "the runner is none: use DirectRunner"),
        ({"runner": "none", "beam_options": ["--x"]}, "the runner is none: use DirectRunner"),
    ],
)
def test_a_wrong_execution_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        job_config({"input": "x", **settings})


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


def test_paths_may_be_path_objects() -> None:
    config = run_config({"input": Path("docs"), "output": Path("out"), "embed": Path("model")})
    assert (config.inputs, config.output, config.models.embed) == (("docs",), "out", "model")


@pytest.mark.parametrize(
    ("given", "n_documents", "limit"),
    [(0, 9, 0), (12, 9, 12), ("7", 9, 7), ("5%", 100, 5), ("5%", 99, 4), ("0.5%", 1000, 5)],
)
def test_how_many_documents_may_fail(given: int | str, n_documents: int, limit: int) -> None:
    config, _ = job_config({"input": "docs/", "max_errors": given})
    assert config.error_limit(n_documents) == limit


def test_all_documents_may_fail_unless_it_is_said() -> None:
    config, _ = job_config({"input": "docs/"})
    assert config.error_limit(7) == 7


@pytest.mark.parametrize("given", ["", "%", "many", "-1", -1, "101%", "1e3", "5 %", "0.5", "٣"])
def test_other_limits_of_errors_are_refused(given: int | str) -> None:
    with pytest.raises(ConfigError, match=r"max_errors must be a whole number .*try 100 or 5%"):
        job_config({"input": "docs/", "max_errors": given})


def test_missing_documents_are_dropped_or_kept_not_both() -> None:
    with pytest.raises(ConfigError, match="prune and keep_missing exclude each other"):
        job_config({"input": "docs/", "prune": True, "keep_missing": True})
