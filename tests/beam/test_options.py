"""Options behind ``--``: each one reaches Beam, or is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from longbert.beam.options import pipeline_options
from longbert.errors import ConfigError


def _values(*given: str, runner: str = "DataflowRunner") -> dict[str, object]:
    options = pipeline_options(runner, runner == "DirectRunner", None, given)
    values: dict[str, object] = options.get_all_options(drop_default=True)
    return values


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        (["--project=x"], "project", "x"),
        (["--project", "x"], "project", "x"),
        (["--no_auth"], "no_auth", True),
        (["--experiments=a", "--experiments=b"], "experiments", ["a", "b"]),
        (["--labels=a=b"], "labels", ["a=b"]),
        (["--dry_run=True"], "dry_run", "True"),
        (["--s3_endpoint_url=http://localhost:9"], "s3_endpoint_url", "http://localhost:9"),
    ],
)
def test_what_beam_knows_reaches_it(given: list[str], name: str, value: object) -> None:
    assert _values(*given)[name] == value


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--nosuch"], "--nosuch"),
        (["--nosuch=1"], "--nosuch"),
        (["--nosuch", "1"], "--nosuch, 1"),
        # Beam takes these for options of its own, and drops their values.
        (["--num-workers=3"], "--num-workers"),
        (["---project=x"], "---project"),
        (["-project=x"], "-project"),
        (["--proj=x"], "--proj"),
        (["--dataflow=x"], "--dataflow"),
        (["--Project=x"], "--Project"),
        (["--", "--nosuch"], "--, --nosuch"),
        (["--=3"], "--"),
        (["stray"], "stray"),
        (["--project=x", "stray"], "stray"),
        # Options of longbert in the wrong place.
        *(([f"--{name}=x"], f"--{name}") for name in ("embed", "ner", "window", "output", "input")),
    ],
)
@pytest.mark.parametrize("runner", ["DirectRunner", "DataflowRunner"])
def test_what_beam_would_drop_is_refused(given: list[str], named: str, runner: str) -> None:
    with pytest.raises(ConfigError, match=f"does not know the option {named}:"):
        _values(*given, runner=runner)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--project"], "--project: expected one argument"),
        (["--no_auth=maybe"], "--no_auth.*'maybe'"),
        (["--max_num_workers=many"], "--max_num_workers.*'many'"),
        (["--runner=DirectRunner"], "--runner is not allowed here: name the runner before --"),
        (["--runner", "DirectRunner"], "--runner is not allowed here"),
        (["--streaming"], "--streaming is not allowed here"),
        (["--save_main_session"], "--save_main_session is not allowed here"),
    ],
)
def test_what_does_not_fit_is_refused(given: Sequence[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _values(*given)


@pytest.mark.parametrize("option", ["--dry_run=True", "--template_location=gs://box/job"])
@pytest.mark.parametrize("runner", ["DirectRunner", "PortableRunner", "FlinkRunner"])
def test_a_job_that_others_would_run_is_not_said_to_be_written(option: str, runner: str) -> None:
    with pytest.raises(ConfigError, match=f"are DataflowRunner's, but the runner is {runner}"):
        _values(option, runner=runner)
    assert _values(option)


def test_an_accelerator_is_asked_for_one_way() -> None:
    by_hint = "--resource_hints=accelerator=type:nvidia-l4;count:1;install-nvidia-driver"
    by_service = by_hint.replace("resource_hints=", "dataflow_service_options=worker_")
    assert _values(by_hint)
    assert _values(by_service, "--resource_hints=min_ram=16GB")
    with pytest.raises(ConfigError, match="an accelerator twice"):
        _values(by_hint, by_service)
