"""The Flex Template: its parameters, and its launch module."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from longbert.cli.run import run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "pipelines" / "dataflow"
CONFIGS = sorted(ROOT.glob("pipelines/configs/dataflow-*.toml"))

PARAMETERS: dict[str, dict[str, Any]] = {
    one["name"]: one for one in json.loads((FOLDER / "metadata.json").read_text())["parameters"]
}
REQUIRED = {
    "input": "gs://box/in/",
    "output": "gs://box/out",
    "sdk_container_image": "europe-west4-docker.pkg.dev/my-project/images/longbert-cpu:0.1.0",
}
OPTIONS = {
    name.removeprefix("--").replace("-", "_"): option
    for option in run.params
    if isinstance(option, click.Option)
    for name in option.opts
}
"""Of the command, as a template would write them."""

arguments_of: Callable[[list[str]], list[str]] = runpy.run_path(str(FOLDER / "launch.py"))[
    "arguments_of"
]
"""The launch module's: the arguments of the command for some parameters."""


def fits(name: str, value: str) -> bool:
    """Whether the service would take a value; it asks for all of it to match."""
    return all(re.fullmatch(one, value) for one in PARAMETERS[name]["regexes"])
