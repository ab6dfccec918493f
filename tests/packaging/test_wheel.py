"""The built wheel: what is in it, and that it works outside the source tree."""

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from longbert.encoders.checkpoint.packaged import PACKAGED_HEADS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, built from a copy of what is tracked."""
    source = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, tracked)):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", str(folder), str(source)),
        ],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert top == {"longbert", next(name for name in top if name.endswith(".dist-info"))}
    assert "longbert/py.typed" in names
    assert "longbert/encoders/heads/embedding.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    heads = "longbert/encoders/packaged"
    weights = {name for name in names if name.endswith((".safetensors", ".parquet", ".faiss"))}
    assert weights == {f"{heads}/{name}/head.safetensors" for name in PACKAGED_HEADS}
    for name in PACKAGED_HEADS:
        of_head = [
            info for info in zipfile.ZipFile(wheel).infolist() if f"/{name}/" in info.filename
        ]
        assert sum(info.file_size for info in of_head) < 3_000_000
        assert f"{heads}/{name}/README.md" in names


def test_wheel_runs_outside_the_source_tree(wheel, tmp_path):
    """In an environment of its own, which borrows the installed libraries, not the project."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install"),
            *("--quiet", "--no-deps", "--no-index", str(wheel)),
        ],
        check=True,
        capture_output=True,
    )
    (site,) = home.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n")
    outside = tmp_path / "elsewhere"
    (outside / "texts").mkdir(parents=True)
    (outside / "texts" / "lease.txt").write_text("The tenant pays the rent on the first day. " * 20)
    (outside / "texts" / "loan.txt").write_text(
        "The parent company in London guarantees the loan. " * 20
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*arguments):
        return subprocess.run(
            arguments, cwd=outside, env=environment, capture_output=True, text=True, check=True
        ).stdout

    where = run(python, "-c", "import longbert; print(longbert.__file__)").strip()
    assert where.startswith(str(home))
    command = home / "bin" / "longbert"
    run(command, "run", "--input", "texts", "--output", "out")
    found = run(command, "query", "who guarantees the loan?", "--index", "out", "--format", "jsonl")
    assert '"document_id": "loan.txt"' in found.splitlines()[0]
    run(command, "verify", "out")
    counts = json.loads((outside / "out" / "manifest.json").read_text())["counts"]
    # Without a model named, every table has rows.
    assert counts["classifications"] == 4
    assert counts["entities"] == 20


def test_exactly_one_faiss_in_each_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def faiss(requirements):
        names = (re.split(r"[<>=!~;\[ ]", one)[0] for one in requirements)
        return [name for name in names if name.startswith("faiss")]

    assert faiss(project["dependencies"]) == []
    assert faiss(project["optional-dependencies"]["cpu"]) == ["faiss-cpu"]
    assert faiss(project["optional-dependencies"]["gpu"]) == ["faiss-gpu"]
