"""Settings of a run: what they are, and their ranges."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from longbert.errors import ConfigError, shown
from longbert.settings import check_known, check_settings, types_of
from longbert.tasks import TASKS, Task

NONE = "none"
"""The name that switches a task off."""

DEFAULT_OUTPUT = "longbert-output"
DEFAULT_RUNNER = "DirectRunner"
NO_BEAM = "none"
"""The runner that is this process, without Beam."""

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
EntityStrategy = Literal["simple", "first", "average", "max"]
EntityStitching = Literal["owner", "average", "taper"]
EntityDecoding = Literal["greedy", "viterbi"]
ClassifyPooling = Literal["learned", "mean", "max", "first", "head+tail", "vote"]
Metric = Literal["cosine", "dot"]
IndexTypeName = Literal["auto", "flat", "hnsw", "ivf", "ivf-sq8", "ivf-pq", "ivf-rabitq"]
Language = Literal[
    "auto",
    "none",
    "ar",
    "ca",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "et",
    "eu",
    "fi",
    "fr",
    "ga",
    "hi",
    "hu",
    "hy",
    "id",
    "it",
    "lt",
    "ne",
    "nl",
    "no",
    "pl",
    "pt",
    "ro",
    "ru",
    "sr",
    "sv",
    "ta",
    "tr",
    "yi",
]

DEVICES: tuple[Device, ...] = get_args(Device)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENTITY_STRATEGIES: tuple[EntityStrategy, ...] = get_args(EntityStrategy)
ENTITY_STITCHINGS: tuple[EntityStitching, ...] = get_args(EntityStitching)
ENTITY_DECODINGS: tuple[EntityDecoding, ...] = get_args(EntityDecoding)
CLASSIFY_POOLINGS: tuple[ClassifyPooling, ...] = get_args(ClassifyPooling)
METRICS: tuple[Metric, ...] = get_args(Metric)
INDEX_TYPES: tuple[IndexTypeName, ...] = get_args(IndexTypeName)
LANGUAGES: tuple[Language, ...] = get_args(Language)

_ERRORS = re.compile(r"(?P<number>\d+|(?=\d+(\.\d+)?%)\d+\.\d+)(?P<percent>%?)", re.ASCII)

WindowTokens = Annotated[int, Meta(ge=3)]
OverlapTokens = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Recall = Annotated[float, Meta(gt=0, lt=1)]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which models run, and how documents are split for them.

    Attributes:
        embed, classify, ner: a local folder, a packaged name, a hub id with optional
            ``@revision``, or a folder in an object store; ``"none"`` (or no name) switches the
            task off.
        window: positions of the model, special tokens included; None: the length that each model
            declares, or its limit, whichever is smaller.
        overlap: content tokens that neighbouring windows share; None: a quarter of the
            window's content tokens.
        passage: content tokens of a passage; words where no model runs.
        batch_tokens: positions of a batch, padding included; None: what suits the device.
        entity_strategy: how the tokens of a word agree on a label; see the method's page.
        entity_stitching: which windows' scores a token in an overlap gets.
        entity_decoding: ``greedy`` takes each word's best label, ``viterbi`` the best sequence
            that the tagging scheme allows; None: what the head was trained for, else greedy.
        classify_pooling: how windows become a document; None: as the head learned it, else the
            mean of their logits.
        window_scores: whether to write the classes of each window as well.
        metric: how vectors are compared; None: what the embedding model declares, else cosine.
        query_prompt, document_prompt: what the embedding model reads before a query and before
            a document; None: what it declares; empty: nothing.
        trust_pickle: load weights that are stored as pickles, which can run any code.
        trust_remote_code: run Python code that a model brings.
    """

    embed: str = TASKS["embed"].default
    classify: tuple[str, ...] = ()
    ner: tuple[str, ...] = ()
    window: WindowTokens | None = None
    overlap: OverlapTokens | None = None
    passage: Count = 64
    device: Device = "auto"
    precision: Precision = "auto"
    batch_tokens: Count | None = None
    entity_strategy: EntityStrategy = "first"
    entity_stitching: EntityStitching = "owner"
    entity_decoding: EntityDecoding | None = None
    classify_pooling: ClassifyPooling | None = None
    window_scores: bool = False
    metric: Metric | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        for task in TASKS.values():
            if task.is_repeatable:
                object.__setattr__(self, task.name, _switched_on(getattr(self, task.name)))
        for name in ("query_prompt", "document_prompt"):
            self._check_prompt(name, getattr(self, name))

    @property
    def has_models(self) -> bool:
        """Whether any model runs; without one, lengths count words."""
        return bool(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """All models that are named."""
        return tuple(name for task in TASKS.values() for name in self.models_of(task))

    def models_of(self, task: Task) -> tuple[str, ...]:
        """The models named for a task; none where it is switched off."""
        named = getattr(self, task.name)
        return named if task.is_repeatable else _switched_on((named,))

    def _check_prompt(self, name: str, prompt: str | None) -> None:
        if not prompt:
            return
        if not any(self.models_of(task) for task in TASKS.values() if task.takes_prompts):
            raise ConfigError(
                f"{name} is read by the embedding model, but embed is none: name a model for it, "
                "or leave the prompt out"
            )
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{name} has a lone surrogate at character {error.start + 1}, so it is not valid "
                "Unicode: write it as UTF-8"
            ) from None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run: inputs, output, models.

    Attributes:
        inputs: files, folders (recursive) or globs.
        output: folder of the tables, the index and the manifest.
        id_field, text_field: names of the fields in JSON lines and Parquet.
        language: in which words are stemmed for search: ``auto`` detects that of each document,
            ``none`` leaves words as they are, else an ISO 639-1 code.
        encoding: of texts and pages that are not UTF-8: ``NAME`` for all, ``GLOB=NAME`` for some.
        max_record_bytes: largest JSON line, Parquet row or HTML page; a larger one is an error row.
        max_text_bytes: largest text, in UTF-8.
        max_metadata_bytes: names and values of all other fields of a document together.
        unit_bytes: input bytes of a unit of work; a larger document is a unit by itself.
        accept_drift: go on with an output whose rows were made by other library versions or on
            another processor.
        type: of the index of vectors; ``auto`` picks one by size and memory; None: that of the
            output so far, else ``auto``.
        memory: what that index may take, built and searched, such as ``4GB``; None: the limit of
            the output so far, else no limit.
        recall: share of the true ten nearest passages that it has to find, where it is not exact;
            None: that of the output so far, else 0.95.
        prune: drop the rows of documents that are gone from the inputs, however many they are.
        keep_missing: keep the rows of documents that are gone from the inputs.
        retry_errors: try again all documents that failed after planning.
        max_errors: stop when more documents fail in this run: a number, or a percentage of those
            to do, such as ``5%``; errors of earlier runs do not count.
    """

    inputs: tuple[str, ...]
    output: str = DEFAULT_OUTPUT
    id_field: str = "id"
    text_field: str = "text"
    language: Language = "auto"
    encoding: tuple[str, ...] = ()
    max_record_bytes: Count = 32 << 20
    max_text_bytes: Count = 1 << 30
    max_metadata_bytes: Count = 1 << 20
    unit_bytes: Count = 1_000_000
    accept_drift: bool = False
    type: IndexTypeName | None = None
    memory: str | None = None
    recall: Recall | None = None
    prune: bool = False
    keep_missing: bool = False
    retry_errors: bool = False
    max_errors: int | str = "100%"
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        check_settings(self, names={"inputs": "input"})
        if not self.inputs or not all(self.inputs):
            raise ConfigError(
                f"input must name at least one file, folder or glob, got {self.inputs}: try docs/"
            )
        if not self.output:
            raise ConfigError("output must name a folder, got an empty name: try longbert-output")
        if self.id_field == self.text_field:
            raise ConfigError(f"id_field and text_field must differ, both are {self.id_field!r}")
        parse_bytes("memory", self.memory)
        if self.prune and self.keep_missing:
            raise ConfigError(
                "prune and keep_missing exclude each other: one drops the rows of documents that "
                "are gone from the inputs, the other keeps them. Give one of the two"
            )
        self.error_limit(0)

    @property
    def places(self) -> tuple[str, ...]:
        """Where a run reads and writes: inputs, output and models."""
        return (*self.inputs, self.output, *self.models.names)

    def error_limit(self, n_documents: int) -> int:
        """How many documents may fail before a run stops.

        Args:
            n_documents: to do.

        Raises:
            ConfigError: ``max_errors`` is neither a number nor a percentage.
        """
        match = _ERRORS.fullmatch(str(self.max_errors))
        if match is None or (match["percent"] and float(match["number"]) > 100):
            raise ConfigError(
                "max_errors must be a whole number of at least 0 or a percentage in [0%, 100%], "
                f"got {shown(self.max_errors)}: try 100 or 5%"
            )
        if match["percent"]:
            return math.floor(float(match["number"]) * n_documents / 100)
        return int(match["number"])


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is carried out, which does not affect its output.

    Attributes:
        runner: ``"DirectRunner"`` is this machine through Beam, ``"none"`` this process without
            Beam, any other name a runner of Beam's.
        workers: processes on this machine; None: this process alone.
        beam_options: options of Beam, ``"--name=value"``.
    """

    runner: str = DEFAULT_RUNNER
    workers: Count | None = None
    beam_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.runner == NO_BEAM and (self.workers is not None or self.beam_options):
            raise ConfigError(
                "workers and Beam options need Beam, but the runner is none: use DirectRunner"
            )


_RUN_TYPES = {
    "input" if name == "inputs" else name: kind
    for name, kind in types_of(RunConfig).items()
    if name != "models"
}
_MODEL_TYPES = types_of(ModelConfig)
_EXECUTION_TYPES = types_of(Execution)
SETTING_TYPES = {**_RUN_TYPES, **_MODEL_TYPES, **_EXECUTION_TYPES}
"""What each setting of ``longbert run`` takes, by its name."""


def parse_bytes(name: str, size: str | None) -> int | None:
    """Bytes of a size such as ``4GB`` (4e9) or ``4GiB`` (2**32); None if there is none.

    Raises:
        ConfigError: it is no size, or nothing.
    """
    if size is None:
        return None
    found = _SIZE.fullmatch(size.strip())
    if found is not None:
        number, unit, binary = found.groups()
        power = " KMGT".index(unit.upper() or " ")
        n_bytes = int(float(number) * (1024 if binary else 1000) ** power)
        if n_bytes > 0:
            return n_bytes
    raise ConfigError(f"{name} must be a size such as 500MB, 4GB or 4GiB, got {shown(size)}")


def run_config(settings: Mapping[str, Any]) -> RunConfig:
    """Build a configuration from flat settings named as on the command line.

    Where no task is given a model, the packaged models of all tasks run.

    Args:
        settings: ``input``, ``output``, ``embed``, ...; lists where several may be given.

    Raises:
        ConfigError: a key is unknown or a value is of the wrong type or out of range.
    """
    check_known(settings, _RUN_TYPES.keys() | _MODEL_TYPES.keys())
    run = {key: value for key, value in settings.items() if key in _RUN_TYPES}
    run["inputs"] = run.pop("input", ())
    models = {key: value for key, value in settings.items() if key in _MODEL_TYPES}
    if not TASKS.keys() & models.keys():
        models |= {task.name: (task.default,) for task in TASKS.values() if not task.always_runs}
    return RunConfig(**run, models=ModelConfig(**models))


def job_config(settings: Mapping[str, Any]) -> tuple[RunConfig, Execution]:
    """Build what ``longbert run`` is given: flat settings, those of the execution among them.

    Raises:
        ConfigError: see :func:`run_config`.
    """
    execution = {key: value for key, value in settings.items() if key in _EXECUTION_TYPES}
    rest = {key: value for key, value in settings.items() if key not in _EXECUTION_TYPES}
    return run_config(rest), Execution(**execution)


def _switched_on(models: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(model for model in models if model != NONE)
