"""Job servers of Flink and Spark: what is wrong with one is said before anything starts."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
from support.runs import some_texts, write_texts

import longbert
from longbert.beam.job_servers import check_job_server, fetch_error
from longbert.cli.main import main

VERSION = beam.__version__
FLINK = FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
NAMES = {
    "flink": f"beam-runners-flink-{FLINK[-1]}-job-server-{VERSION}.jar",
    "spark": f"beam-runners-spark-3-job-server-{VERSION}.jar",
}
PAGES = Path(__file__).parents[2] / "pipelines"


def write_jar(path: Path, engine: str) -> Path:
    """A jar with the class that tells it from others; there is nothing in it to be started."""
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr(
            f"org/apache/beam/runners/{engine}/{engine.title()}JobServerDriver.class", b"no code"
        )
    return path


def missing(path: Path, engine: str) -> Path:
    return path


def no_jar(path: Path, engine: str) -> Path:
    path.write_bytes(b"<html>Not Found</html>")
    return path


def of_the_other(path: Path, engine: str) -> Path:
    return write_jar(path, {"flink": "spark", "spark": "flink"}[engine])


def of_another_beam(path: Path, engine: str) -> Path:
    return write_jar(path.with_name(path.name.replace(VERSION, "2.50.0")), engine)


def folder(path: Path, engine: str) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "does not exist"),
        (no_jar, "is not a jar, or was not fetched as a whole"),
        (of_the_other, "is not the job server of this runner"),
        (of_another_beam, f"is of Beam 2.50.0, and Beam {re.escape(VERSION)} is installed"),
        (folder, "cannot be read"),
    ],
)
def test_a_wrong_jar_is_named_with_the_right_one(
    make: Callable[[Path, str], Path], message: str, engine: str, tmp_path: Path
) -> None:
    jar = make(tmp_path / NAMES[engine], engine)
    inputs = write_texts(tmp_path / "in", some_texts(1))
    option = f"--{engine}_job_server_jar"
    with pytest.raises(longbert.ConfigError) as raised:
        longbert.run(
            inputs,
            output=tmp_path / "out",
            runner=f"{engine.title()}Runner",
            beam_options=[f"{option}={jar}"],
        )
    found = str(raised.value)
    assert re.search(f"^{option}={re.escape(str(jar))} {message}", found)
    assert f"fetch {NAMES[engine]}" in found
    assert "Maven Central" in found
    assert "gradle" not in found
    assert not (tmp_path / "out").exists()


def test_the_command_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(1))
    arguments = ["run", "--input", str(inputs), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--runner", "FlinkRunner", "--", "--flink_job_server_jar=no.jar"])
    assert exit_.value.code == 2
    assert "--flink_job_server_jar=no.jar does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("engine", NAMES)
def test_a_right_one_passes(engine: str, tmp_path: Path) -> None:
    jar = write_jar(tmp_path / NAMES[engine], engine)
    # Whatever starts: Java need not be there where tests run.
    options = [f"--{engine}_job_server_jar={jar}", "--job_server_java_launcher=python3"]
    check_job_server(f"{engine.title()}Runner", PipelineOptions(options))
    check_job_server("PortableRunner", PipelineOptions([f"--{engine}_job_server_jar=no.jar"]))


def test_a_machine_without_java_is_named() -> None:
    with pytest.raises(longbert.ConfigError, match=r"needs Java.*'no-java'.*launcher"):
        check_job_server("FlinkRunner", PipelineOptions(["--job_server_java_launcher=no-java"]))


def test_a_jar_that_cannot_be_fetched_is_named() -> None:
    error = RuntimeError("Unable to fetch remote job server jar at https://example.org/a.jar: ...")
    options = PipelineOptions(["--flink_version=1.20"])
    found = fetch_error("FlinkRunner", options, error)
    name = f"beam-runners-flink-1.20-job-server-{VERSION}.jar"
    assert f"--flink_job_server_jar is not given, and {name} cannot be fetched" in str(found)
    assert fetch_error("FlinkRunner", options, RuntimeError("another")) is None
    assert fetch_error("PortableRunner", options, error) is None


@pytest.mark.parametrize("engine", NAMES)
def test_the_page_names_the_job_server_of_the_beam_that_is_installed(engine: str) -> None:
    page = (PAGES / engine / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"beam-runners-\S+?\.jar", page)) == {NAMES[engine]}
    assert set(re.findall(r"Beam (\d[\d.]+\d)", page)) == {VERSION}


def test_the_page_lists_the_versions_of_flink_that_beam_has_job_servers_for() -> None:
    page = " ".join((PAGES / "flink" / "README.md").read_text(encoding="utf-8").split())
    assert f"for Flink {', '.join(FLINK[:-1])} and {FLINK[-1]}." in page
    assert f"`--flink_version`, which is {FLINK[-1]} unless given" in page
