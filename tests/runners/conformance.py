"""What the suite asks of a runner, and the runners it can ask.

The encoder counts instead of computing (``fakes.encoder``), so that no torch is needed where the
steps run. Workers of another machine or container need this project and its ``tests`` folder on
their path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from fakes.encoder import fake_models
from typing_extensions import override

from longbert.beam.filesystem import BeamFileSystem
from longbert.beam.job import Job
from longbert.beam.job_servers import check_job_server
from longbert.beam.meter import NAMESPACE, CounterMeter
from longbert.beam.pipeline import RunDocuments
from longbert.config import run_config
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo
from longbert.errors import ConfigError

RUNNER = "LONGBERT_RUNNER"
"""Names another runner, with its options behind it, as after ``--runner``."""
FLINK = "LONGBERT_FLINK_JOB_SERVER_JAR"
SPARK = "LONGBERT_SPARK_JOB_SERVER_JAR"

SETTINGS = {
    "embed": "fake",
    "ner": ["names"],
    "classify": ["tone"],
    "window": 12,
    "overlap": 3,
    "passage": 4,
    "unit_bytes": 1500,
}


@dataclass(frozen=True)
class Engine:
    """A runner and how to reach it.

    Attributes:
        skipped: why it cannot be asked here; empty if it can.
        variable: of the environment, which names its job server.
        needs_pool: whether a pool of workers has to be started for it.
    """

    name: str
    options: tuple[str, ...] = ()
    skipped: str = ""
    variable: str = ""
    needs_pool: bool = False


def engines() -> Iterator[Engine]:
    """Those of this machine, those whose job server is named, and the one that RUNNER names."""
    portable = ("--runner=PortableRunner", "--job_endpoint=embed")
    embedded = "--environment_type=beam:env:embedded_python:v1"
    yield Engine("embed", (*portable, embedded))
    yield Engine("loopback", (*portable, "--environment_type=LOOPBACK"))
    yield Engine("external", (*portable, "--environment_type=EXTERNAL"), needs_pool=True)
    for name, variable, options in (
        ("flink", FLINK, ("--runner=FlinkRunner", "--flink_job_server_jar={}", "--parallelism=2")),
        ("spark", SPARK, ("--runner=SparkRunner", "--spark_job_server_jar={}")),
    ):
        jar = os.environ.get(variable, "")
        reason = "" if jar else f"{variable} names no job server: see pipelines/{name}/README.md"
        given = tuple(one.format(jar) for one in options)
        yield Engine(name, (*given, "--environment_type=LOOPBACK"), reason, variable)
    named = os.environ.get(RUNNER, "").split()
    if named:
        yield Engine("named", (f"--runner={named[0]}", *named[1:]))


@contextmanager
def reachable(engine: Engine) -> Iterator[tuple[str, ...]]:
    """Yields the engine's options, while the workers it needs are there, in their own processes."""
    if engine.variable:
        try:
            check_job_server(engine.name, PipelineOptions(list(engine.options)))
        except ConfigError as error:
            pytest.fail(f"{engine.variable} does not name a job server: {error}", pytrace=False)
    if not engine.needs_pool:
        yield engine.options
        return
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, str(Path(tests).parent), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        address, server = BeamFnExternalWorkerPoolServicer.start(use_process=True)
        try:
            yield (*engine.options, f"--environment_config={address}")
        finally:
            server.stop(0).wait()


@dataclass(frozen=True)
class Refusing(BeamFileSystem):
    """Files of which one may not be written while there is a mark.

    Attributes:
        refused: how its path ends.
        mark: a file that all workers see.
        is_once: whether the first refusal takes the mark away.
    """

    refused: str = ""
    mark: str = ""
    is_once: bool = False

    @override
    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        self._refuse(path)
        return super().create(path)

    @override
    def write(self, path: str, data: bytes | memoryview) -> None:
        self._refuse(path)
        super().write(path, data)

    def _refuse(self, path: str) -> None:
        if self.mark and path.endswith(self.refused) and os.path.exists(self.mark):
            if self.is_once:
                os.unlink(self.mark)
            raise PermissionError(13, "refused", path)


def job(inputs: Path, output: Path, files: BeamFileSystem | None = None) -> Job:
    """The same run for every engine."""
    config = run_config({"input": [str(inputs)], "output": str(output), **SETTINGS})
    context = RunContext(config, files or BeamFileSystem(), CounterMeter(), load=fake_models)
    return Job(context, RunInfo("any"))


def run_graph(job: Job, options: Sequence[str]) -> Mapping[str, int]:
    """Run the graph to its end; the counters of the steps."""
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    pipeline | RunDocuments(job)
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(NAMESPACE))
    found: dict[str, int] = {}
    for one in counters["counters"]:
        name = one.key.metric.name
        found[name] = found.get(name, 0) + (one.committed or one.attempted or 0)
    return found
