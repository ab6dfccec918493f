"""Options behind ``--``: each one reaches Beam, or is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from longbert.beam.options import check_needed, pipeline_options
from longbert.errors import ConfigError

IMAGE = "--sdk_container_image=my-registry/longbert"


def _values(*given: str, runner: str = "DataflowRunner", image: str = IMAGE) -> dict[str, object]:
    options = pipeline_options(runner, runner == "DirectRunner", None, (image, *given))
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
        (["--dry_run", "true"], "dry_run", "true"),
        (["--dry_run"], "dry_run", "True"),
        (["--dry_run", "--project=x"], "project", "x"),
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
        (["--machine_type n2-standard-8"], "--machine_type n2-standard-8"),
    ],
)
@pytest.mark.parametrize("runner", ["DirectRunner", "DataflowRunner"])
def test_what_beam_would_drop_is_refused(given: list[str], named: str, runner: str) -> None:
    with pytest.raises(ConfigError, match=f"does not know the option {named}:"):
        _values(*given, runner=runner)


@pytest.mark.parametrize("option", ["--embed=x", "--ner=x", "--window=9", "--unit-bytes=9"])
def test_an_option_of_longbert_is_sent_before_the_dashes(option: str) -> None:
    name = option.partition("=")[0]
    with pytest.raises(ConfigError, match=f"options of longbert go before --: {name}$"):
        _values(option, "--nosuch")


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
        # They would have Beam's workers in place of ours.
        (["--direct_num_workers=2"], "--direct_num_workers is not allowed here: .* --workers"),
        (["--direct_running_mode=multi_processing"], "is not allowed here: .* --workers"),
        # Beam itself would take the first for yes.
        *(([f"--dry_run={value}"], "--dry_run takes no value but True") for value in ("False", "")),
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
    with pytest.raises(ConfigError, match="an accelerator twice: keep --dataflow_service_options"):
        _values(by_hint, by_service)
    assert _values(by_service, by_service)
    with pytest.raises(ConfigError, match=r"an accelerator twice: keep one .* none in --experim"):
        _values(by_service, by_service.replace("l4", "tesla-a100"))
    by_experiment = "--experiments=worker_accelerator=type:nvidia-tesla-a100"
    with pytest.raises(ConfigError, match="an accelerator twice"):
        _values(by_service, by_experiment)
    with pytest.raises(ConfigError, match="an accelerator twice"):
        _values("--resource_hints=beam:resources:accelerator:v1=type:nvidia-l4", by_experiment)


ON_DATAFLOW = ("--project=mine", "--temp_location=gs://box/tmp", IMAGE)


def _check(runner: str, *given: str) -> None:
    check_needed(runner, pipeline_options(runner, False, None, given))


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (0, "needs the Beam option --project"),
        (1, "needs the Beam option --temp_location"),
        (2, r"would not have longbert: .* --sdk_container_image"),
    ],
)
def test_dataflow_is_told_what_it_needs(left_out: int, message: str) -> None:
    _check("DataflowRunner", *ON_DATAFLOW)
    given = [*ON_DATAFLOW]
    del given[left_out]
    with pytest.raises(ConfigError, match=message):
        _check("DataflowRunner", *given)


@pytest.mark.parametrize(
    "option", ["setup_file", "requirements_file", "extra_package", "extra_packages"]
)
def test_workers_of_dataflow_may_install_the_package(option: str) -> None:
    _check("DataflowRunner", *ON_DATAFLOW[:2], f"--{option}=file")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--parallelism=2"], "needs the Beam option --job_endpoint"),
        (["--job_endpoint=embed", "--environment_type=LOOPBAK"], "did you mean 'LOOPBACK'"),
    ],
)
def test_a_portable_runner_is_told_what_it_needs(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _check("PortableRunner", *given)
    _check("PortableRunner", "--job_endpoint=localhost:9", "--environment_type=beam:env:process:v1")
    _check("FlinkRunner", "--parallelism=2")


def test_runners_take_the_options_that_the_guide_names() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    section = guide.partition("\n## Options of Beam\n")[2].partition("\n## ")[0]
    named = {
        (runner, option)
        for runners, options in re.findall(r"^\| ([^|]+) \| (`--[^|]+) \| [^|]+ \|$", section, re.M)
        for runner in re.findall(r"`(\w+)`", runners) or ("DirectRunner", "DataflowRunner")
        for option in re.findall(r"`(--[^`]+)`", options)
    }
    assert len(named) > 35
    for runner, option in named:
        name = option.removeprefix("--").removeprefix("no_").partition("=")[0]
        assert name in _values(option, runner=runner), option
