"""The Java programs by which Beam reaches Flink and Spark, looked at before anything is started."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
)

from longbert.beam.options import short_name
from longbert.errors import ConfigError

_NAMED_VERSION = re.compile(r"-job-server-(\d+(?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class _JobServer:
    """A job server.

    Attributes:
        option: of Beam's, which names its jar.
        artifact: name in Maven Central, without the version.
        main: the class that a jar of it holds.
    """

    option: str
    artifact: str
    main: str

    @property
    def jar(self) -> str:
        """File name of the one that belongs to the Beam that is installed."""
        return f"{self.artifact}-{beam.__version__}.jar"


def check_job_server(runner: str, options: PipelineOptions) -> None:
    """Look at the job server that a runner starts, if it starts one.

    Beam itself finds what is wrong with it only while it starts the job, and then advises to build
    another from its sources.

    Args:
        runner: by name.
        options: of the pipeline.

    Raises:
        ConfigError: the jar is not there or another one, or Java is missing.
    """
    server = _job_server(runner, options)
    if server is None:
        return
    path = options.get_all_options()[server.option]
    if path and "://" not in path:
        problem = _problem(path, server)
        if problem:
            raise ConfigError(f"--{server.option}={path} {problem}: {_remedy(server)}")
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(java) is None:
        raise ConfigError(
            f"runner {runner} needs Java to start its job server, and there is no program {java!r}:"
            " install Java 11 or 17, or name its program with --job_server_java_launcher"
        )


def fetch_error(runner: str, options: PipelineOptions, error: Exception) -> ConfigError | None:
    """What Beam means if it could not fetch the jar of a job server; None if it means else."""
    server = _job_server(runner, options)
    if server is None or "Unable to fetch remote job server jar" not in str(error):
        return None
    url = options.get_all_options()[server.option]
    named = f"={url}" if url else f" is not given, and {server.jar}"
    return ConfigError(f"--{server.option}{named} cannot be fetched: {_remedy(server)}")


def _job_server(runner: str, options: PipelineOptions) -> _JobServer | None:
    name = short_name(runner)
    if name not in ("flink", "spark"):
        return None
    version = options.get_all_options()[f"{name}_version"]
    return _JobServer(
        option=f"{name}_job_server_jar",
        artifact=f"beam-runners-{name}-{version}-job-server",
        main=f"org/apache/beam/runners/{name}/{name.capitalize()}JobServerDriver.class",
    )


def _problem(path: str, server: _JobServer) -> str:
    """What is wrong with a file as a job server; empty if nothing is."""
    if not os.path.exists(path):
        return "does not exist"
    try:
        with zipfile.ZipFile(path) as jar:
            is_server = server.main in jar.namelist()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except zipfile.BadZipFile:
        return "is not a jar, or was not fetched as a whole"
    if not is_server:
        return f"is not the job server of this runner, since it lacks {server.main}"
    named = _NAMED_VERSION.search(os.path.basename(path))
    if named is not None and named[1] != beam.__version__:
        return f"is of Beam {named[1]}, and Beam {beam.__version__} is installed here"
    return ""


def _remedy(server: _JobServer) -> str:
    is_flink = "flink" in server.artifact
    versions = ", ".join(FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS)
    others = f" (for clusters of another Flink: {versions})" if is_flink else ""
    return (
        f"fetch {server.jar}{others} from Maven Central, group org.apache.beam, and name its path "
        f"with --{server.option}"
    )
