"""The job as Dataflow gets it: translated offline, small, and free of the launching machine."""

from __future__ import annotations

import base64
import binascii
import bz2
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.execution import (
    BundleContextManager,
    split_buffer_id,
)
from fakes.dataflow_service import dataflow_service
from support.runs import UNIT_BYTES, some_texts, write_texts
from support.runs import run as run_without_beam

import longbert
from longbert.config import Execution, run_config
from longbert.launch import run_job
from longbert.store.record import to_builtins

MODEL_OF_THE_WORKERS = "/models/that/only/the/workers/have"
GRAPH_LIMIT_BYTES = 350_000
"""Dataflow takes 10 MB."""

STEPS = (
    *("Start", "Prepare", "List files", "Spread files", "Scan files", "List parts", "Read parts"),
    *("Group names", "Settle", "Join parts", "Keep parts", "Join blocks", "Gather blocks"),
    *("Cut stretches", "Group stretches", "Pack stretches", "Number units", "Summarize"),
    *("Spread units", "Process units", "Encode segments", "Join segments", "Find units"),
    *("Group parts", "Gather receipts", "Finish"),
)


def _options(folder: Path, endpoint: str = "http://localhost:1") -> list[str]:
    for name in ("temp", "staging"):
        (folder / name).mkdir(exist_ok=True)
    return [
        *("--project=none", "--region=none", "--no_auth", f"--dataflow_endpoint={endpoint}"),
        "--sdk_container_image=my-registry/longbert",
        *(f"--temp_location={folder}/temp", f"--staging_location={folder}/staging"),
    ]


def _job(folder: Path, inputs: str, output: str, options: Sequence[str], **settings: Any) -> Any:
    meter = folder / "meter-of-the-launcher"
    meter.mkdir(exist_ok=True)
    return run_job(
        run_config({"input": [inputs], "output": output, **settings}),
        Execution(runner="DataflowRunner", beam_options=tuple(options)),
        meter_folder=str(meter),
        notify=print,
    )


def _template(folder: Path, inputs: str, output: str) -> beam_runner_api_pb2.Pipeline:
    """Write the template and read back its graph."""
    template = folder / "template.json"
    options = [*_options(folder), f"--template_location={template}"]
    outcome = _job(folder, inputs, output, options, embed=MODEL_OF_THE_WORKERS)
    assert outcome is None, "the job was only written"
    assert json.loads(template.read_bytes())["type"] == "JOB_TYPE_BATCH"
    return beam_runner_api_pb2.Pipeline.FromString((folder / "staging/pipeline.pb").read_bytes())


def _pickles(graph: beam_runner_api_pb2.Pipeline) -> dict[str, bytes]:
    """What each step of the graph carries, unpacked."""
    carried = {}
    for transform in graph.components.transforms.values():
        if transform.spec.urn == "beam:transform:pardo:v1":
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            packed = payload.do_fn.payload
            try:
                data = bz2.decompress(base64.b64decode(packed))
            except (binascii.Error, OSError):
                data = packed
            carried[transform.unique_name] = data
    return carried


def _step_of(name: str) -> str:
    """The step that one of Beam's own is of; planning has steps of steps, some of them twice."""
    _, step, *below = name.split("/")
    return below[0] if below and step in ("Plan", "Plan first") else step


def test_the_graph_has_every_step_and_nothing_of_the_launcher(tmp_path: Path) -> None:
    graph = _template(tmp_path, "gs://bucket/documents", "gs://bucket/out")
    names = [transform.unique_name for transform in graph.components.transforms.values()]
    assert {*STEPS} <= {_step_of(name) for name in names if "/" in name}

    carried = _pickles(graph)
    makes = carried["RunDocuments/Process units/ParDo(ProcessUnit)"]
    assert b"gs://bucket/documents" in makes
    assert MODEL_OF_THE_WORKERS.encode() in makes
    own_code = str(Path(longbert.__file__).parent).encode()
    for name, data in carried.items():
        assert str(tmp_path).encode() not in data, name
        assert own_code not in data, f"{name} carries code by value"


def test_only_small_rows_go_from_step_to_step(tmp_path: Path) -> None:
    """By the graph: what is shuffled, and what is handed to a step on the side."""
    graph = _template(tmp_path, "gs://bucket/documents", "gs://bucket/out")
    steps = graph.components.transforms
    makers = {
        output: step.unique_name
        for step in steps.values()
        if not step.subtransforms
        for output in step.outputs.values()
    }

    shuffled = {
        _step_of(step.unique_name)
        for step in steps.values()
        if step.spec.urn == "beam:transform:group_by_key:v1"
    }
    assert shuffled == {
        *("Spread files", "Spread parts", "Group names", "Join parts", "Join blocks", "Last"),
        *("Group stretches", "Count stretches", "Add up", "Spread units", "Add up done"),
        *("Group parts", "Spread segments", "Group segments", "Count lost", "Compare parts"),
    }
    on_the_side = set()
    for step in steps.values():
        if step.spec.urn == "beam:transform:pardo:v1":
            payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
            for name in payload.side_inputs:
                on_the_side.add((_step_of(makers[step.inputs[name]]), _step_of(step.unique_name)))
    assert {(one, other) for one, other in on_the_side if one != other} == {
        ("Prepare", "List parts"),
        ("Prepare", "Pack stretches"),
        ("Prepare", "Process units"),
        ("Prepare", "Encode segments"),
        ("Prepare", "Join segments"),
        ("Prepare", "Share"),
        ("Prepare", "Summarize"),
        ("Prepare", "Finish"),
        # A few numbers for a block or a stretch.
        ("Sizes", "Cut stretches"),
        ("Cut stretches", "Find stretch"),
        ("Count stretches", "Number stretches"),
        ("Last", "Number stretches"),
        ("Number stretches", "Number units"),
        # One record, or one for a shard.
        ("Counts", "Summarize"),
        ("Add up", "Counts"),
        ("Add up done", "Finish"),
        # Whether an output that lost parts is that of a first run.
        ("Add up", "May be first"),
        ("Count lost", "May be first"),
        ("May be first", "Blocks again"),
        ("May be first", "Parts named"),
        ("May be first", "Is first"),
        ("Other parts", "Is first"),
        ("Is first", "Units against parts"),
        ("Is first", "Units of first"),
        ("Is first", "Kept"),
        ("Is first", "Counts"),
        ("Summarize", "Share"),
        ("Share", "Process units"),
        ("Summarize", "Finish"),
        ("Gather receipts", "Finish"),
    }


def test_the_graph_does_not_grow_with_the_inputs(tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", {"0000.txt": "one"})
    sizes = [_template(tmp_path, str(inputs), str(tmp_path / "out")).ByteSize()]
    write_texts(inputs, {f"{i:04}.txt": "one of many" for i in range(1000)})
    sizes.append(_template(tmp_path, str(inputs), str(tmp_path / "out")).ByteSize())
    assert max(sizes) < GRAPH_LIMIT_BYTES
    # Some bytes differ with the time at which the job began.
    assert abs(sizes[1] - sizes[0]) < 200
    assert not (tmp_path / "out").exists()


@pytest.fixture
def embed(models: Callable[..., Path]) -> str:
    return str(models("bert", sentence_transformers={"max_seq_length": 128}))


def test_a_job_is_handed_in_and_its_output_read(tmp_path: Path, embed: str) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(2))
    output = tmp_path / "out"
    # The service is not here, so what it would write is there already.
    manifest = run_without_beam(inputs, output, embed=embed)
    with dataflow_service("JOB_STATE_DONE") as (endpoint, jobs):
        outcome = _job(tmp_path, str(inputs), str(output), _options(tmp_path, endpoint))
    assert outcome is not None
    assert to_builtins(outcome.manifest) == manifest
    (job,) = jobs
    assert str(tmp_path / "staging/pipeline.pb") in json.dumps(job["environment"])
    assert "steps" not in job or not job["steps"]


def test_a_job_that_fails_is_an_error(tmp_path: Path) -> None:
    with (
        dataflow_service("JOB_STATE_FAILED") as (endpoint, jobs),
        pytest.raises(longbert.LongbertError, match=r"pipeline failed: .*FAILED"),
    ):
        _job(tmp_path, "gs://bucket/in", str(tmp_path / "out"), _options(tmp_path, endpoint))
    assert len(jobs) == 1


def test_a_dry_run_hands_nothing_in(tmp_path: Path) -> None:
    with dataflow_service("JOB_STATE_DONE") as (endpoint, jobs):
        options = [
            *_options(tmp_path, endpoint),
            f"--template_location={tmp_path}/job",
            "--dry_run",
        ]
        outcome = _job(tmp_path, "gs://bucket/in", "gs://bucket/out", options)
    assert outcome is None
    assert jobs == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is written either"


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """All that leaves one fused stage for another, by the shuffle or by where it is put down."""
    found: dict[str, list[bytes]] = defaultdict(list)
    get_buffer = BundleContextManager.get_buffer

    def recorded(self: BundleContextManager, buffer_id: bytes, transform_id: str) -> Any:
        buffer = get_buffer(self, buffer_id, transform_id)
        if "append" not in vars(buffer):
            kind, name = split_buffer_id(buffer_id)
            if kind == "group":
                transform = self.execution_context.pipeline_components.transforms[name]
                name = _step_of(transform.unique_name)
            append = buffer.append

            def record(elements: bytes) -> None:
                found[name].append(elements)
                append(elements)

            buffer.append = record
        return buffer

    monkeypatch.setattr(BundleContextManager, "get_buffer", recorded)
    return found


SHUFFLED_BYTES = {
    "Spread segments": 600,
    "Group segments": 600,
    "Spread units": 500,
    "Group names": 250,
    "Join blocks": 200,
    "Group stretches": 200,
    "Spread files": 150,
    "Group parts": 50,
}
"""Of a document that is a unit by itself, and of a segment of one: names, digests and places."""
OTHER_BYTES = 400
"""Of such a document where a runner puts rows down between two stages."""


def test_no_text_crosses_between_steps(
    tmp_path: Path, embed: str, crossed: dict[str, list[bytes]]
) -> None:
    texts = some_texts(6, n_words=3200)
    inputs = write_texts(tmp_path / "in", texts)
    longbert.run(
        inputs,
        output=tmp_path / "out",
        # By its own name it is one of many runners that get all steps of a run.
        runner="FnApiRunner",
        embed=embed,
        precision="float32",
        unit_bytes=UNIT_BYTES,
    )
    for step in ("Spread units", "Group names", "Join blocks", "Group stretches", "Spread files"):
        for name in texts:
            assert name.encode() in b"".join(crossed[step]), f"{step}: dealt out by name"
    everything = b"".join(b"".join(elements) for elements in crossed.values())
    for text in texts.values():
        words = text.split()
        for start in range(0, len(words) - 3, 97):
            assert " ".join(words[start : start + 3]).encode() not in everything
    # Each has the folder's name in it, up to three times.
    paths = 3 * len(str(inputs))
    for step, elements in crossed.items():
        n_bytes = len(b"".join(elements)) / len(texts)
        assert n_bytes < SHUFFLED_BYTES.get(step, OTHER_BYTES) + paths, step
    assert crossed.keys() >= SHUFFLED_BYTES.keys()
    # Vectors and texts would be more than that.
    n_text_bytes = sum(len(text.encode()) for text in texts.values())
    n_vector_bytes = sum(path.stat().st_size for path in (tmp_path / "out/passages").iterdir())
    n_bytes = len(everything.replace(str(inputs).encode(), b""))
    assert n_bytes < min(n_text_bytes, n_vector_bytes) / 3
