"""What stands in pipelines/ runs as it is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from longbert.config import read_toml, run_config

PIPELINES = Path(__file__).parents[2] / "pipelines"
CONFIGS = sorted((PIPELINES / "configs").glob("*.toml"))


def start(config, cwd, *beam_options):
    """Run the pipeline's module as a launcher would."""
    done = subprocess.run(
        [sys.executable, PIPELINES / "run_documents.py", PIPELINES / "configs" / config]
        + [str(option) for option in beam_options],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_local_configuration_runs(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy(PIPELINES / "README.md", tmp_path / "docs")
    start("local.toml", tmp_path)
    manifest = json.loads((tmp_path / "longbert-output" / "manifest.json").read_text())
    assert manifest["counts"]["documents"] == 1


def test_the_dataflow_configuration_is_translated(tmp_path):
    (tmp_path / "staging").mkdir()
    template = tmp_path / "job.json"
    said = start(
        "dataflow.toml",
        tmp_path,
        *("--project=none", "--region=none", "--no_auth", "--dataflow_endpoint=http://localhost:1"),
        *(f"--temp_location={tmp_path}", f"--staging_location={tmp_path}/staging"),
        f"--template_location={template}",
    )
    assert "written, not run" in said
    assert json.loads(template.read_text())["type"] == "JOB_TYPE_BATCH"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_configurations_hold_valid_settings(config):
    settings = read_toml(config.read_text(), name=config.name)
    del settings["runner"]
    run_config(settings)
