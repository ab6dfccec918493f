"""Every command and snippet of README and docs runs; what they name exists."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from longbert.cli.main import COMMANDS, main
from longbert.store.tables import TABLES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S)
_QUICK = ("index.md",)


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


_NOT_RUN = {
    "installs packages, as CI does": r"\bpip install\b|\bpre-commit install\b",
    "needs a model of the reader's own, or of the hub": r"--(embed|ner|classify) (\./|\w+/)",
    "needs documents that the reader has labelled": r"--gold \w|--data \w",
    "needs a GPU": r"--device cuda\b",
    "needs a cloud account": r"\bgs://",
    "needs a corpus of the reader's own": r"--input (novels|corpus|archive)/",
    "needs data sets that the reader has to get": r"^(PYTHONPATH=tests )?python benchmarks/",
    "times the machine for minutes": r"^longbert bench ",
    "checks the source, as CI does": r"^(LONGBERT_FAULTS=all )?(pytest|ruff|mypy|lint-imports)\b",
}
"""Why a command may stand in a block that is not run."""


def test_blocks_that_do_not_run_have_a_known_reason():
    known = {"console", "python", "console no-run", "python no-run"}
    shown = {"text", "mermaid", "sql", "toml", "json", ""}
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        for info, body in blocks(page):
            assert info in known | shown, f"{page.name}: {info!r}"
            if info in shown:
                assert not commands(body), f"{page.name}: a command in a block that is not run"
            if info == "console no-run":
                for command in commands(body):
                    reasons = [one for one, mark in _NOT_RUN.items() if re.search(mark, command)]
                    assert reasons, f"{page.name}: {command} could be run"


def test_ci_runs_the_test_command_of_the_readme():
    command = "pip install '.[test]' && pytest"
    listed = [line for _, body in blocks(ROOT / "README.md") for line in commands(body)]
    assert command in listed
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def _options(*names):
    for name in names or COMMANDS:
        command = getattr(import_module(COMMANDS[name]), name)
        for parameter in command.params:
            yield from (option for option in parameter.opts if option.startswith("-"))


def test_guide_names_every_option():
    guide = (ROOT / "docs" / "guide.md").read_text()
    missing = sorted({option for option in _options() if not re.search(f"`{option}[ `]", guide)})
    assert not missing


def test_pages_name_no_option_that_is_not_there():
    known = {*_options(), *(opt for parameter in main.params for opt in parameter.opts), "--help"}
    parsers = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    known.update(re.findall(r"--[a-z]\w*", parsers[0].format_help()))
    # Commands of other programs have options of their own.
    of_others = re.compile(r"^(\$ )?(gcloud|docker|python benchmarks/) ?(.*\\\n)*.*$", re.M)
    for page in PAGES:
        named = set(
            re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", of_others.sub("", page.read_text()))
        )
        assert named <= known, f"{page.name}: {sorted(named - known)}"


def test_commands_are_given_the_options_that_they_have():
    general = {"--help", *(opt for parameter in main.params for opt in parameter.opts)}
    for page in PAGES:
        for info, body in blocks(page):
            if not info.startswith("console"):
                continue
            for command in commands(body):
                own, _, of_beam = command.partition(" -- ")
                options_of_beam = PipelineOptions(of_beam.split())
                known = options_of_beam.get_all_options()
                given = options_of_beam.get_all_options(retain_unknown_options=True)
                assert given.keys() == known.keys(), f"{page.name}: {command}"
                for part in re.split(r"&&|[|;]", own):
                    if "longbert" not in part.split():
                        continue
                    words = shlex.split(part)
                    words = words[words.index("longbert") + 1 :]
                    options = {word.partition("=")[0] for word in words if word.startswith("-")}
                    if not words[0].startswith("-"):
                        assert words[0] in COMMANDS, f"{page.name}: {command}"
                        options -= set(_options(words[0]))
                    assert options <= general, f"{page.name}: {command}"


def test_pages_name_no_command_that_is_not_there():
    for page in PAGES:
        named = set(re.findall(r"(?:`|^\$ )longbert (?:--debug )?([a-z]+)", page.read_text(), re.M))
        assert named <= set(COMMANDS), page.name


def test_tables_page_has_exactly_the_columns():
    page = (ROOT / "docs" / "tables.md").read_text()
    sections = dict(re.findall(r"^## (\w+)$(.*?)(?=^## )", page, re.M | re.S))
    for table, schema in ((one.name, one.schema(384)) for one in TABLES.values()):
        described = re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", sections[table], re.M)
        assert described == [(field.name, _type(field.type)) for field in schema], table


def _type(kind):
    if pa.types.is_fixed_size_list(kind):
        return f"fixed_size_list<{_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{_type(kind.key_type)}, {_type(kind.item_type)}>"
    return {"float": "float32"}.get(str(kind), str(kind))


def _anchors(page):
    """The names that headings get where pages are shown."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links_between_pages_resolve():
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
            if "://" in target:
                continue
            other = page.parent / target if target else page
            assert other.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(other), f"{page.name}: {target}#{anchor}"


def test_every_page_of_the_docs_is_linked_from_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name}" in index
