"""The configurations in pipelines/ run as they are."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.dataflow_service import dataflow_service

from longbert.config import job_config
from longbert.config_text import read_toml, write_toml
from longbert.launch import check_job

PIPELINES = Path(__file__).parents[2] / "pipelines"
CONFIGS = sorted((PIPELINES / "configs").glob("*.toml"))
LOCAL = [path for path in CONFIGS if not path.name.startswith("dataflow")]
DATAFLOW = [path for path in CONFIGS if path not in LOCAL]


def _name(path: Path) -> str:
    return path.stem


def _start(config: Path, cwd: Path, *beam_options: str, status: int = 0) -> str:
    """Run the pipeline's module as a launcher would; what it says."""
    done = subprocess.run(
        [sys.executable, PIPELINES / "run_documents.py", config, *beam_options],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stderr


@pytest.mark.parametrize("config", LOCAL, ids=_name)
def test_local_configurations_run(config: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(PIPELINES / "README.md", tmp_path / "docs")
    _start(config, tmp_path)
    output = tmp_path / str(read_toml(config.read_text(), name=config.name)["output"])
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["counts"]["documents"] == 1


@pytest.mark.parametrize("config", CONFIGS, ids=_name)
def test_a_printed_configuration_is_the_same_run(config: Path) -> None:
    job = job_config(read_toml(config.read_text(), name=config.name))
    check_job(*job)
    printed = write_toml(*job)
    assert job_config(read_toml(printed, name="printed")) == job


_BATCH = 1
"""JOB_TYPE_BATCH"""

WORKERS: dict[str, dict[str, Any]] = {
    "dataflow-cpu": {"machineType": "n2-standard-8", "numThreadsPerWorker": 1, "diskSizeGb": 40},
    "dataflow-l4": {"machineType": "g2-standard-8", "numThreadsPerWorker": 2, "diskSizeGb": 60},
    "dataflow-a100": {"machineType": "a2-highgpu-1g", "numThreadsPerWorker": 2, "diskSizeGb": 60},
    "dataflow-h100": {"machineType": "a3-highgpu-1g", "numThreadsPerWorker": 2, "diskSizeGb": 60},
}
ACCELERATORS = {
    "dataflow-l4": "nvidia-l4",
    "dataflow-a100": "nvidia-tesla-a100",
    "dataflow-h100": "nvidia-h100-80gb",
}


@pytest.mark.parametrize("config", DATAFLOW, ids=_name)
def test_the_job_that_dataflow_is_asked_for(config: Path, tmp_path: Path) -> None:
    """The request as the service's own interface receives it."""
    here = tmp_path / "bucket"
    for name in ("tmp", "staging"):
        (here / name).mkdir(parents=True)
    local = tmp_path / config.name
    local.write_text(config.read_text().replace("gs://my-bucket", str(here)))
    # No one does the work, so the job has to end without success.
    with dataflow_service("JOB_STATE_FAILED") as (endpoint, jobs):
        options = ("--no_auth", f"--dataflow_endpoint={endpoint}")
        assert "run again to continue" in _start(local, tmp_path, *options, status=1)
    (job,) = jobs

    assert job["type"] == _BATCH
    environment = job["environment"]
    (pool,) = environment["workerPools"]
    assert {key: pool[key] for key in WORKERS[config.stem]} == WORKERS[config.stem]
    variant = "gpu" if config.stem in ACCELERATORS else "cpu"
    image = f"europe-west4-docker.pkg.dev/my-project/images/longbert-{variant}:0.1.0"
    assert pool["workerHarnessContainerImage"] == image
    assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [image]
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 20
    services = environment.get("serviceOptions", [])
    experiments = environment["experiments"]
    if config.stem in ACCELERATORS:
        assert services == [
            f"worker_accelerator=type:{ACCELERATORS[config.stem]};count:1;install-nvidia-driver:5xx"
        ]
        assert "no_use_multiple_sdk_containers" in experiments
        assert "use_multiple_sdk_containers" not in experiments
    else:
        assert services == []
        assert "use_multiple_sdk_containers" in experiments
        assert "min_cpu_platform=Intel Ice Lake" in experiments
    request = json.dumps(job)
    assert len(request) < 1_000_000
    graph = (here / "staging" / "pipeline.pb").read_bytes()
    assert len(graph) < 1_000_000
    # Hints would make pools of their own for some steps, beside the option for all workers.
    assert b"beam:resources:accelerator" not in graph


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: run_documents.py FILE"),
        (["--max_num_workers=50"], "usage: run_documents.py FILE"),
        (["nosuch.toml"], "--config nosuch.toml cannot be read"),
        (["wrong.toml", "--no_auth"], "wrong.toml is not valid TOML"),
        ([".", "--no_auth"], "cannot be read"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "wrong.toml").write_text("input =\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run_documents.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PIPELINES / "run_documents.py"), run_name="__main__")
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_options_of_the_command_line_come_after_those_of_the_file(tmp_path: Path) -> None:
    for name in ("tmp", "staging"):
        (tmp_path / name).mkdir()
    local = tmp_path / "dataflow.toml"
    text = (PIPELINES / "configs" / "dataflow-l4.toml").read_text()
    local.write_text(text.replace("gs://my-bucket", str(tmp_path)))
    said = _start(
        local,
        tmp_path,
        *("--no_auth", "--dataflow_endpoint=http://localhost:1", "--machine_type=g2-standard-4"),
        f"--template_location={tmp_path}/job.json",
    )
    assert "written, not run" in said
    (pool,) = json.loads((tmp_path / "job.json").read_text())["environment"]["workerPools"]
    assert pool["machineType"] == "g2-standard-4"
    assert pool["numThreadsPerWorker"] == 2
