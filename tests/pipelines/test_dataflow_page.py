"""The commands of docs/dataflow.md start the jobs of the configurations."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from support.template import CONFIGS, FOLDER, PARAMETERS, REQUIRED, ROOT, fits

from longbert.config_text import read_toml

PAGE = (ROOT / "docs" / "dataflow.md").read_text()

SETTINGS_OF_GCLOUD = {
    "region": "region",
    "staging-location": "staging_location",
    "temp-location": "temp_location",
    "worker-machine-type": "machine_type",
    "max-workers": "max_num_workers",
}
"""Options of ``gcloud dataflow flex-template run``, by what Beam calls them."""

DIVIDER = re.compile(r"\^(.)\^(.*)", re.DOTALL)
"""How ``gcloud`` is told what divides the parts of a value; else it is a comma."""


def _commands(action: str) -> list[list[str]]:
    """Arguments of the page's commands of ``gcloud dataflow flex-template``."""
    lines = PAGE.replace("\\\n", " ").splitlines()
    start = f"gcloud dataflow flex-template {action} "
    return [shlex.split(line.removeprefix(start)) for line in lines if line.startswith(start)]


def _parameters(value: str) -> dict[str, str]:
    divided = DIVIDER.fullmatch(value)
    divider, value = divided.groups() if divided else (",", value)
    return dict(one.split("=", 1) for one in value.split(divider))


def _job(arguments: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings of a job, and the options of gcloud that are none."""
    settings: dict[str, str] = {}
    others: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name == "parameters":
            settings |= _parameters(value)
        elif name in SETTINGS_OF_GCLOUD:
            settings[SETTINGS_OF_GCLOUD[name]] = value
        else:
            others[name] = value
    return settings, others


def _settings(config: Path) -> dict[str, str]:
    """Settings of a configuration as a template has them."""
    settings: dict[str, Any] = read_toml(config.read_text(), name=config.name)
    beam = dict(one.removeprefix("--").split("=", 1) for one in settings.pop("beam_options"))
    # The launcher's, and that of the project that gcloud is in.
    assert settings.pop("runner") == "DataflowRunner"
    assert beam.pop("project") == "my-project"
    own = {
        name: ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in settings.items()
    }
    return own | beam


TEMPLATES = {
    arguments[0]: dict(one.removeprefix("--").split("=", 1) for one in arguments[1:])
    for arguments in _commands("build")
}
JOBS = {name: _job(arguments) for name, *arguments in _commands("run")}


def test_templates_are_built_of_both_images() -> None:
    assert len(TEMPLATES) == 2
    for path, options in TEMPLATES.items():
        assert options.keys() == {"image", "sdk-language", "metadata-file"}
        assert options["sdk-language"] == "PYTHON"
        assert ROOT / options["metadata-file"] == FOLDER / "metadata.json"
        variant = Path(path).stem
        assert fits("sdk_container_image", options["image"])
        assert f"/{variant}:" in options["image"]


def test_every_configuration_is_a_job_of_the_page() -> None:
    wanted = {path.stem.replace("dataflow-", "longbert-"): _settings(path) for path in CONFIGS}
    assert wanted == {name: settings for name, (settings, _) in JOBS.items()}


@pytest.mark.parametrize("name", JOBS)
def test_the_page_gives_parameters_what_they_take(name: str) -> None:
    settings, others = JOBS[name]
    assert settings.keys() >= REQUIRED.keys()
    for parameter, value in settings.items():
        if parameter not in SETTINGS_OF_GCLOUD.values():
            assert parameter in PARAMETERS
            assert fits(parameter, value), parameter
    assert others.keys() == {"template-file-gcs-location"}
    template = TEMPLATES[others["template-file-gcs-location"]]
    assert template["image"] == settings["sdk_container_image"], "workers run what launches them"


def test_a_value_with_commas_is_given_as_gcloud_wants_it() -> None:
    (given,) = re.findall(r"^gcloud \.\.\. (--parameters=.*)$", PAGE, re.M)
    (argument,) = shlex.split(given)
    parameters = _parameters(argument.partition("=")[2])
    assert "," in parameters["input"]
    for name, value in parameters.items():
        assert fits(name, value)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_table_of_machines_is_that_of_the_configurations(config: Path) -> None:
    (row,) = re.findall(rf"^\| `{config.name}` \| (.*) \|$", PAGE, re.M)
    machine, accelerator, image, disk, unit_bytes, processes, threads = row.split(" | ")
    settings = _settings(config)
    assert machine.startswith(f"`{settings['machine_type']}`")
    assert machine.partition(", ")[2] == settings.get("min_cpu_platform", "").removeprefix("Intel ")
    assert f"/{image.strip('`')}:" in settings["sdk_container_image"]
    assert disk == f"{settings['disk_size_gb']} GB"
    assert unit_bytes == f"{int(settings['unit_bytes']):,}"
    assert threads == settings["number_of_worker_harness_threads"]
    if accelerator == "none":
        assert settings.keys().isdisjoint({"dataflow_service_options", "experiments"})
        assert processes == "one for each core"
    else:
        kind = accelerator.removeprefix("one ").strip("`")
        assert f"type:{kind};count:1;" in settings["dataflow_service_options"]
        assert settings["experiments"] == "no_use_multiple_sdk_containers"
        assert processes == "one"
