"""The Flex Template: the image it is made of, and the job that it starts."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from docker.utils.build import PatternMatcher
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.template import FOLDER, REQUIRED, ROOT

CONSTRAINTS = FOLDER / "constraints.txt"


def _instructions() -> list[tuple[str, str]]:
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def _defaults() -> dict[str, str]:
    return dict(
        rest.split("=", 1) for kind, rest in _instructions() if kind == "ARG" and "=" in rest
    )


def _copied() -> list[list[str]]:
    """Sources and target of each step that copies from the project."""
    return [
        rest.split() for kind, rest in _instructions() if kind == "COPY" and "--from" not in rest
    ]


def test_docker_is_sent_what_the_image_is_made_of_and_nothing_else() -> None:
    matcher = PatternMatcher((ROOT / ".dockerignore").read_text().splitlines())
    for *sources, _ in _copied():
        for source in sources:
            files = [ROOT / source, *(ROOT / source).rglob("*")]
            names = [str(one.relative_to(ROOT)) for one in files if "__pycache__" not in one.parts]
            assert [name for name in names if matcher.matches(name)] == []
    for name in (
        *(".git/HEAD", ".venv/bin/python", "venv/lib/x.py", ".mypy_cache/x.json", ".env"),
        *("longbert-output/manifest.json", "out/documents/0.parquet", "corpus.jsonl"),
        *("build/lib/longbert/api.py", "dist/longbert.whl", "longbert.egg-info/PKG-INFO"),
        *("longbert/__pycache__/api.pyc", "longbert/beam/__pycache__/job.cpython-311.pyc"),
        *(
            "tests/conftest.py",
            "docs/guide.md",
            "benchmarks/gpu.py",
            "pipelines/configs/local.toml",
        ),
    ):
        assert matcher.matches(name), name


def test_the_image_is_made_of_what_there_is() -> None:
    instructions = _instructions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    defaults = _defaults()
    assert defaults["BEAM"] == importlib.metadata.version("apache-beam")
    (installed,) = [rest for kind, rest in instructions if kind == "RUN" and "[gcp]" in rest]
    extras = re.findall(r'"\.\[([\w,]+)\]"', installed)[0].split(",")
    assert set(extras) <= project["optional-dependencies"].keys()
    python = defaults["PYTHON"]
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]
    assert f"python{python.replace('.', '')}-" in defaults["LAUNCHER"]
    copied = _copied()
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists(), source
    entry_points = [rest for kind, rest in instructions if kind == "ENTRYPOINT"]
    assert entry_points == ['["/opt/apache/beam/boot"]']
    (environment,) = [rest for kind, rest in instructions if kind == "ENV"]
    variables = dict(one.split("=", 1) for one in shlex.split(environment))
    assert variables["FLEX_TEMPLATE_PYTHON_PY_FILE"] == "/template/launch.py"
    assert ["pipelines/dataflow/launch.py", "launch.py"] in copied


def test_the_template_starts_a_small_job(tmp_path: Path) -> None:
    """As the launcher's service does: the module, the parameters, and where the job goes."""
    for name in ("temp", "staging"):
        (tmp_path / name).mkdir()
    parameters = {
        **REQUIRED,
        "number_of_worker_harness_threads": "2",
        "experiments": "no_use_multiple_sdk_containers",
        "embed": "/models/of-the-image",
        "classify": "none",
        "ner": "none",
        "runner": "DataflowRunner",
        "project": "my-project",
        "region": "europe-west4",
        "job_name": "longbert-1",
        "labels": '{"goog-dataflow-provided-template-type": "flex"}',
        "temp_location": f"{tmp_path}/temp",
        "staging_location": f"{tmp_path}/staging",
        "template_location": f"{tmp_path}/job.json",
        "dataflow_endpoint": "http://localhost:1",
    }
    done = subprocess.run(
        [sys.executable, FOLDER / "launch.py"]
        + [f"--{name}={value}" for name, value in parameters.items()]
        + ["--no_auth"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["name"] == "longbert-1"
    graph = (tmp_path / "staging" / "pipeline.pb").read_bytes()
    assert len(graph) < 350_000, "far below the 10 MB that Dataflow takes"
    assert (tmp_path / "job.json").stat().st_size < 350_000
    assert b"/models/of-the-image" not in graph, "it is packed"
    steps = beam_runner_api_pb2.Pipeline.FromString(graph).components.transforms.values()
    assert any(step.unique_name == "RunDocuments/Process units" for step in steps)


IMAGE_BYTES = 3_000_000_000
"""Of the CPU image: every new machine waits until it has it all."""
GPU_IMAGE_BYTES = 8_000_000_000
"""Of the other, most of which are the libraries of NVIDIA's that PyTorch wants."""
BASE_BYTES = 250_000_000
"""Debian slim with Python, Beam's boot and the launcher; they are not here to be measured."""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_steps_of_the_image_work_in_a_clean_environment(tmp_path: Path) -> None:
    """All but the base images and the index of PyTorch, for which this machine's stands."""
    template = tmp_path / "template"
    template.mkdir()
    home = tmp_path / "home"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    environment |= {**_defaults(), "PATH": f"{home}/bin:{os.environ['PATH']}"}
    at_work = False
    for kind, rest in _instructions():
        at_work |= kind == "WORKDIR"
        if not at_work:
            continue
        if kind == "COPY":
            *sources, target = rest.split()
            for source in sources:
                # An absolute path is one of the image.
                to = tmp_path / target.lstrip("/") if target.startswith("/") else template / target
                subprocess.run(["cp", "-r", ROOT / source, to], check=True)
                if source == str(CONSTRAINTS.relative_to(ROOT)):
                    # This machine's PyTorch stands for the pinned one.
                    lines = to.read_text().splitlines(keepends=True)
                    to.write_text("".join(one for one in lines if not one.startswith("torch=")))
        elif kind == "RUN":
            # No other index is asked: the build that is installed here has to be found again.
            torch = f"torch=={importlib.metadata.version('torch')}"
            command = rest.replace('--index-url "${TORCH_INDEX}" torch', f'"{torch}"')
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=template,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

    n_bytes = sum(
        path.lstat().st_size
        for folder in (home, template)
        for path in folder.rglob("*")
        if path.is_file()
    )
    print(f"installed: {n_bytes:,} bytes")
    assert n_bytes + BASE_BYTES < IMAGE_BYTES

    (template / "in").mkdir()
    (template / "in" / "lease.txt").write_text("The tenant pays the rent on the first day. " * 20)
    # The launch module in the image's own environment, on a runner that is here.
    done = subprocess.run(
        [
            *(home / "bin" / "python", "launch.py"),
            *("--input=in", "--output=out", "--runner=DirectRunner"),
        ],
        cwd=template,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((template / "out" / "manifest.json").read_text())
    assert manifest["counts"]["documents"] == 1


def _pinned() -> dict[str, tuple[str, int, int]]:
    """Version, bytes as installed and bytes to download of each package of the GPU image."""
    lines = CONSTRAINTS.read_text().splitlines()[1:]
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+)  # (\d+) (\d+)", line) for line in lines]
    return {one[1]: (one[2], int(one[3]), int(one[4])) for one in found if one is not None}


def test_the_gpu_image_stays_small() -> None:
    """By the wheels that it is pinned to; nothing here could run it."""
    pinned = _pinned()
    assert len(pinned) == len(CONSTRAINTS.read_text().splitlines()) - 1
    n_bytes = sum(installed for _, installed, _ in pinned.values())
    assert n_bytes + BASE_BYTES < GPU_IMAGE_BYTES
    # The sizes are those of the CUDA build.
    assert {"nvidia-cudnn-cu13", "nvidia-cublas", "triton"} <= pinned.keys()
    assert pinned["torch"][1] > 800_000_000


def test_what_is_pinned_is_what_the_project_asks_for() -> None:
    """Down to the last requirement; `pin.py` renews what a change of pyproject.toml outdates."""
    pinned = _pinned()
    assert pinned["apache-beam"][0] == _defaults()["BEAM"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    left = [Requirement(one) for one in project["dependencies"] + extras["gcp"] + extras["cpu"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        assert name in pinned, f"{name} is not pinned: run pipelines/dataflow/pin.py"
        assert requirement.specifier.contains(pinned[name][0], prereleases=True), name
        environments = [{"extra": one} for one in (*requirement.extras, "")]
        left += [
            one
            for one in map(Requirement, importlib.metadata.requires(name) or ())
            if one.marker is None or any(one.marker.evaluate(each) for each in environments)
        ]


def test_packages_are_added_up_as_they_will_be_unpacked(tmp_path: Path) -> None:
    sizes = runpy.run_path(str(FOLDER / "pin.py"))
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/b.bin", b"0" * 5_000_000)
        file.writestr("a/c.bin", os.urandom(100_000))
        file.writestr("a/d.py", b"#" * 1_000)
    unpacked, packed = sizes["archive_bytes"](wheel.as_uri())
    assert unpacked == 5_102_000, "a module once more, compiled"
    assert packed == wheel.stat().st_size < 200_000
