"""Settings of a run: ranges, defaults, and the file that may hold them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from longbert.config import (
    ModelConfig,
    job_config,
    run_config,
)
from longbert.errors import ConfigError


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
