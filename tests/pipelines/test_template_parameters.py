"""The parameters of the Flex Template: all that a job can use, and what each of them takes."""

from __future__ import annotations

import re
from typing import Any

import click
import hypothesis
import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import strategies as st
from support.template import (
    CONFIGS,
    OPTIONS,
    PARAMETERS,
    REQUIRED,
    ROOT,
    arguments_of,
    fits,
)

from longbert.beam.options import pipeline_options
from longbert.cli.options import given as given_on_command_line
from longbert.cli.run import run
from longbert.config import DEVICES, job_config
from longbert.config_text import flat_settings, read_toml
from longbert.errors import ConfigError
from longbert.readers.settings import ReadSettings
from longbert.tasks import TASKS

LEFT_OUT = {"runner", "workers", "max_errors", "dry_run", "config", "print_config", "debug"}
"""Options of the command that are no parameters; docs/dataflow.md says why."""

L4 = "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver:5xx"
SEVERAL = (
    "worker_accelerator=type:nvidia-h100-80gb;count:1;install-nvidia-driver,"
    "automatically_use_created_reservation,max_workflow_runtime_walltime_seconds=300"
)
SWITCH = [("true", True), ("false", False)]
MODELS = [
    ("minilm", "minilm"),
    ("/models/mine", "/models/mine"),
    ("/models/the best + newest", "/models/the best + newest"),
    ("some-team/model.v1_b@main", "some-team/model.v1_b@main"),
    ("some/model@refs/pr/1", "some/model@refs/pr/1"),
    ("gs://my-box.example/models/mine +", "gs://my-box.example/models/mine +"),
]
RIGHT: dict[str, list[tuple[str, Any]]] = {
    "input": [
        ("gs://box/in/", ("gs://box/in/",)),
        ("gs://box/**/*.txt,s3://other/a.jsonl.gz", ("gs://box/**/*.txt", "s3://other/a.jsonl.gz")),
        ("gs://my_box.org/a b/c+d,gs://box", ("gs://my_box.org/a b/c+d", "gs://box")),
        ("gs://box/[a-c]?/文 書.txt", ("gs://box/[a-c]?/文 書.txt",)),
    ],
    "output": [("gs://box/deep/out", "gs://box/deep/out"), ("s3://box/a b+c", "s3://box/a b+c")],
    "id_field": [("key", "key"), ("document id", "document id")],
    "text_field": [("body", "body"), ("body text", "body text"), ("a,b=c", "a,b=c")],
    "encoding": [
        ("cp1252", ("cp1252",)),
        ("*.htm=latin-1,cp437", ("*.htm=latin-1", "cp437")),
        ("old files/*=iso8859_15", ("old files/*=iso8859_15",)),
    ],
    "max_record_bytes": [("1", 1), ("67108864", 67_108_864)],
    "max_text_bytes": [("1", 1), ("10000000000", 10_000_000_000)],
    "max_metadata_bytes": [("1", 1), ("2097152", 2_097_152)],
    "unit_bytes": [("1", 1), ("8000000", 8_000_000)],
    **dict.fromkeys(("prune", "keep_missing", "retry_errors", "accept_drift"), SWITCH),
    "embed": [*MODELS, ("none", "none")],
    "classify": [("none", ()), ("/models/a,s3://box/b", ("/models/a", "s3://box/b"))],
    "ner": [("none", ()), *((model, (model,)) for model, _ in MODELS)],
    "query_prompt": [("", ""), ("query: ", "query: "), ("a,b=c\nd", "a,b=c\nd")],
    "document_prompt": [("", ""), ("passage: ", "passage: ")],
    **dict.fromkeys(("trust_pickle", "trust_remote_code"), SWITCH),
    "window": [("3", 3), ("9", 9), ("10", 10), ("512", 512), ("8192", 8192)],
    "overlap": [("0", 0), ("32", 32)],
    "passage": [("1", 1), ("64", 64)],
    "entity_strategy": [("max", "max")],
    "entity_stitching": [("taper", "taper")],
    "entity_decoding": [("viterbi", "viterbi")],
    "classify_pooling": [("head+tail", "head+tail"), ("vote", "vote")],
    "window_scores": SWITCH,
    "language": [("auto", "auto"), ("none", "none"), ("de", "de")],
    "metric": [("dot", "dot")],
    "type": [("ivf-rabitq", "ivf-rabitq")],
    "memory": [(one, one) for one in ("4GB", "4 GiB", "500mb", "1.5G", "0.5TB", "0.001K", "100")],
    "recall": [("0.95", 0.95), (".5", 0.5), ("0.999999", 0.999999), ("0.05", 0.05)],
    "device": [("cuda", "cuda")],
    "precision": [("bfloat16", "bfloat16")],
    "batch_tokens": [("4096", 4096)],
    "sdk_container_image": [
        (REQUIRED["sdk_container_image"], REQUIRED["sdk_container_image"]),
        ("host:5000/longbert@sha256:" + "0f" * 32, "host:5000/longbert@sha256:" + "0f" * 32),
    ],
    "number_of_worker_harness_threads": [("2", 2)],
    "disk_size_gb": [("60", 60)],
    "min_cpu_platform": [("Intel Ice Lake", "Intel Ice Lake"), ("AMD Milan", "AMD Milan")],
    "experiments": [
        ("no_use_multiple_sdk_containers", ["no_use_multiple_sdk_containers"]),
        ("a_b=1,c", ["a_b=1", "c"]),
        ("use_network_tags=a-b", ["use_network_tags=a-b"]),
        ("min_cpu_platform=Intel Ice Lake,c", ["min_cpu_platform=Intel Ice Lake", "c"]),
    ],
    "dataflow_service_options": [
        (SEVERAL, SEVERAL.split(",")),
        ("enable_google_cloud_profiler", ["enable_google_cloud_profiler"]),
        (L4, [L4]),
    ],
}
_COUNT = ["", "0", "-1", "12.5", "many", "1e3", "1 k"]
WRONG: dict[str, list[str]] = {
    "max_record_bytes": _COUNT,
    "max_text_bytes": _COUNT,
    "max_metadata_bytes": _COUNT,
    "unit_bytes": [*_COUNT, "1MB"],
    "encoding": ["", "a b", "*.txt=", "latin-1,", "latin-1=", "*.txt=latin-1,,"],
    "window": [*_COUNT, "2"],
    "overlap": ["", "-1", "1e3", "many"],
    "passage": _COUNT,
    "entity_strategy": ["", "last", "First"],
    "entity_stitching": ["", "mean"],
    "entity_decoding": ["", "beam"],
    "classify_pooling": ["", "headtail", "head tail", "median"],
    "language": ["", "deu", "EN", "xx", "zh", "de,en"],
    "metric": ["", "l2", "cosine,dot"],
    "type": ["", "ivf_pq", "HNSW"],
    "memory": ["", "0", "0GB", "-1GB", "4 gigabytes", "4PB", "1.GB", "0.0001", "GB"],
    "recall": ["", "0", "1", "1.0", "-0.5", "95%", "0.95,0.9", "0.0"],
    "device": ["", "gpu", "CUDA"],
    "precision": ["", "fp16", "double"],
    "batch_tokens": [*_COUNT, "2k"],
}
"""What neither the template nor the command takes."""

NARROWER: dict[str, list[str]] = {
    # On the launcher's disk, which no worker reads; with commas, which divide a list.
    "input": [
        "",
        "docs/",
        "gs://",
        "gs:///in",
        "gs://box/a,",
        ",gs://box/a",
        "gs://Box/a",
        "gs://-",
    ],
    "output": ["", "out", "gs://box/a,gs://box/b", "gs:// box/a", "gs://box/a\nb"],
    "embed": [
        "",
        "a b",
        "x;y",
        "../x",
        "./x",
        "~/x",
        "a/b/c",
        "http://box/a",
        "a:b",
        "a--b",
        "a..",
    ],
    "classify": ["", "/a,", "a b", "a,../x"],
    "ner": ["", ",a", "a\nb"],
    # Longer than any model's windows.
    "window": ["99999999999"],
    "overlap": ["99999999999"],
    # On no machine of Dataflow's.
    "device": ["mps"],
    **{name: ["", "a\nb"] for name in ("id_field", "text_field")},
    **{name: ["a\0b"] for name in ("query_prompt", "document_prompt")},
    # A switch has no value on the command line.
    **{name: ["", "1", "True", "yes"] for name, cases in RIGHT.items() if cases is SWITCH},
}
"""What the template alone does not take, since it would fail later or is meant for elsewhere."""

OF_BEAM = {
    "sdk_container_image": [
        *("", "longbert", "Host/longbert:1", "host/longbert:1 ", "host/a@sha256:1"),
    ],
    "number_of_worker_harness_threads": ["", "0", "two"],
    "disk_size_gb": ["", "0", "60GB"],
    "min_cpu_platform": ["", "Skylake", "Intel"],
    "experiments": ["", "a b", "a,", "--a", "a="],
    "dataflow_service_options": [
        *("", "worker_accelerator=", "worker_accelerator=type:nvidia-l4", "a,", "--a"),
        *("worker_accelerator=nvidia-l4", "worker_accelerator=type:nvidia-l4;count:0", "worker"),
    ],
}
"""What Beam would take, and Dataflow not."""

OWN = [name for name in PARAMETERS if name in OPTIONS]
LONGEST_REPOSITORY = 96
"""Characters of a hub id, as the hub counts them."""

CASES = [(name, given, value) for name, cases in RIGHT.items() for given, value in cases]


def _context(**parameters: str) -> click.Context:
    """The command as the launch module calls it."""
    arguments = arguments_of(
        [f"--{name}={value}" for name, value in (REQUIRED | parameters).items()]
        + ["--runner=DataflowRunner", "--project=my-project", "--region=europe-west4"]
    )
    assert arguments[0] == "run"
    return run.make_context("run", arguments[1:])


def _setting(name: str, given: str) -> Any:
    """What becomes of a parameter.

    Raises:
        click.UsageError or ConfigError: the command does not take it.
    """
    settings = given_on_command_line(_context(**{name: given}).params)
    settings.pop("beam_options")
    config, execution = job_config(settings)
    ReadSettings.of_run(config)
    assert execution.runner == "DataflowRunner"
    return flat_settings(config)[name]


def _own_default(name: str) -> str:
    """As the command's help has it."""
    if OPTIONS[name].is_flag:
        return "false"
    (default,) = re.findall(r"\[default: (.*)\]$", OPTIONS[name].help or "")
    return str(default)


def test_every_option_of_the_command_is_a_parameter_or_is_left_out_for_a_reason() -> None:
    assert not LEFT_OUT & PARAMETERS.keys()
    assert OPTIONS.keys() == set(OWN) | LEFT_OUT
    page = (ROOT / "docs" / "dataflow.md").read_text()
    reasons = dict(re.findall(r"^\| `--([a-z-]+)` \| ([^|]+) \|$", page, re.M))
    assert {name.replace("-", "_") for name in reasons} == LEFT_OUT


def test_every_parameter_is_described_and_checked() -> None:
    assert PARAMETERS.keys() == RIGHT.keys() == WRONG.keys() | NARROWER.keys() | OF_BEAM.keys()
    for name, one in PARAMETERS.items():
        assert one["label"], name
        assert one["helpText"], name
        assert one["paramType"] == "TEXT", name
        assert one["isOptional"] == (name not in REQUIRED), name
        if name in OWN and name not in REQUIRED:
            assert one["helpText"].endswith(f" Default: {_own_default(name)}"), name
        (regex,) = one["regexes"]
        assert regex.startswith("^"), name
        assert regex.endswith("$"), name
        # The service knows neither look-around nor references back.
        assert "(?" not in regex, name
        assert not re.search(r"\\[1-9]", regex), name


@pytest.mark.parametrize(("name", "given", "value"), CASES)
def test_what_a_parameter_takes_arrives(name: str, given: str, value: Any) -> None:
    assert fits(name, given)
    if name in OWN:
        assert _setting(name, given) == value
        return
    options = _context(**{name: given}).params["beam_options"]
    values = pipeline_options("DataflowRunner", False, None, options).get_all_options()
    assert values["project"] == "my-project"
    assert values[name] == value


@pytest.mark.parametrize("name", WRONG)
def test_what_the_command_refuses_is_refused_before_it_starts(name: str) -> None:
    for value in WRONG[name]:
        assert not fits(name, value), value
        with pytest.raises((click.UsageError, ConfigError)):
            _setting(name, value)


@pytest.mark.parametrize("refused", [NARROWER, OF_BEAM])
def test_what_would_fail_later_is_refused(refused: dict[str, list[str]]) -> None:
    for name, values in refused.items():
        for value in values:
            assert not fits(name, value), (name, value)


@pytest.mark.parametrize("name", [name for name in OWN if name != "encoding"])
@hypothesis.settings(max_examples=20)
@hypothesis.given(data=st.data())
def test_the_command_takes_whatever_a_parameter_takes(name: str, data: st.DataObject) -> None:
    """But encodings, whose names only Python knows."""
    (regex,) = PARAMETERS[name]["regexes"]
    value = data.draw(st.from_regex(regex, fullmatch=True))
    _setting(name, value)
    for one in value.split(",") if name in TASKS else ():
        repository = one.partition("@")[0]
        # No expression could count the parts of a name together.
        if not one.startswith(("/", "gs://", "s3://")) and len(repository) <= LONGEST_REPOSITORY:
            validate_repo_id(repository)


@pytest.mark.parametrize(
    "name", [name for name in OWN if isinstance(OPTIONS[name].type, click.Choice)]
)
def test_a_choice_is_what_the_command_offers(name: str) -> None:
    choice = OPTIONS[name].type
    assert isinstance(choice, click.Choice)
    wanted = [one for one in choice.choices if one != "mps"] if name == "device" else choice.choices
    assert [one for one in (*choice.choices, "x") if fits(name, one)] == list(wanted)
    assert set(DEVICES) >= {"mps"}


def test_no_setting_is_taken_for_an_option_of_beam() -> None:
    """Each option of the command would arrive there, also those without a parameter."""
    for name, option in OPTIONS.items():
        value = "true" if option.is_flag else "x"
        arguments = arguments_of([f"--{name}={value}"])
        own = arguments[: arguments.index("--")]
        assert own[-1].partition("=")[0] == f"--{name.replace('_', '-')}"
        assert arguments[-1] == "--"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_parameters_take_what_the_configurations_use(config: Any) -> None:
    settings = read_toml(config.read_text(), name=config.name)
    for option in settings["beam_options"]:
        name, _, value = option.removeprefix("--").partition("=")
        if name in PARAMETERS:
            assert fits(name, value), option
    for name, value in settings.items():
        if name in PARAMETERS:
            assert fits(name, ",".join(value) if isinstance(value, tuple) else str(value))
