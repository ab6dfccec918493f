"""Every command and snippet of README and docs runs; what they name exists."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from longbert.cli.main import _COMMANDS, main
from longbert.io.tables import schemas

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S)
_QUICK = ("README.md",)


def blocks(page):
    """Info string and body of each fenced block."""
    return [(found["info"].strip(), found["body"]) for found in _BLOCK.finditer(page.read_text())]


def commands(body):
    """Lines after ``$ ``, continued by a backslash."""
    joined = body.replace("\\\n", " ")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def steps(page):
    """What a reader would run, in the order of the page."""
    for info, body in blocks(page):
        if info == "console":
            yield from (["bash", "-c", command] for command in commands(body))
        elif info == "python":
            yield [sys.executable, "-c", body]


RUNNABLE = [page for page in PAGES if any(True for _ in steps(page))]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page.name in _QUICK else pytest.mark.slow)
        for page in RUNNABLE
    ],
    ids=lambda page: page.name,
)
@pytest.mark.timeout(1200)
def test_page_runs_from_top_to_bottom(page, tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    scripts = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"}
    for step in steps(page):
        done = subprocess.run(
            step, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{step[-1]}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def test_blocks_that_do_not_run_are_of_known_kinds():
    known = {"console", "python", "console no-run", "python no-run"}
    shown = {"text", "mermaid", "sql", "toml", "json", ""}
    for page in PAGES:
        for info, body in blocks(page):
            assert info in known | shown, f"{page.name}: {info!r}"
            if info in shown:
                assert not commands(body), f"{page.name}: a command in a block that is not run"


def test_ci_runs_the_test_command_of_the_readme():
    command = "pip install '.[test]' && pytest"
    listed = [line for _, body in blocks(ROOT / "README.md") for line in commands(body)]
    assert command in listed
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def _options():
    for name, module in _COMMANDS.items():
        command = getattr(import_module(module), name)
        for parameter in command.params:
            yield from (option for option in parameter.opts if option.startswith("--"))


def test_guide_names_every_option():
    guide = (ROOT / "docs" / "guide.md").read_text()
    missing = sorted({option for option in _options() if option not in guide})
    assert not missing


def test_pages_name_no_option_or_command_that_is_not_there():
    known = {*_options(), *(opt for parameter in main.params for opt in parameter.opts), "--help"}
    for page in PAGES:
        for info, body in blocks(page):
            if not info.startswith("console"):
                continue
            for command in commands(body):
                own = command.partition(" -- ")[0]
                for part in re.split(r"&&|\||;", own):
                    words = part.split()
                    if words[:1] != ["longbert"]:
                        continue
                    names = [word for word in words[1:] if not word.startswith("-")]
                    assert "--version" in words or "--help" in words or names[0] in _COMMANDS
                    options = {word.partition("=")[0] for word in words if word.startswith("--")}
                    assert options <= known, f"{page.name}: {options - known}"


def test_tables_page_has_every_column():
    page = (ROOT / "docs" / "tables.md").read_text()
    for table, schema in schemas(384).items():
        assert f"{table}" in page
        missing = [name for name in schema.names if f"`{name}`" not in page]
        assert not missing, table


def test_links_between_pages_resolve():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_of_the_docs_is_linked_from_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name}" in index
