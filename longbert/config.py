"""Settings of a run: what they are, their ranges, and how a TOML file gives them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from longbert.errors import ConfigError, nearest
from longbert.tasks import TASKS, Task

NONE = "none"
"""The name that switches a task off."""

DEFAULT_OUTPUT = "longbert-output"

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
ENTITY_STRATEGIES = ("simple", "first", "average", "max")
ENTITY_STITCHINGS = ("owner", "average", "taper")
ENTITY_DECODINGS = ("greedy", "viterbi")
CLASSIFY_POOLINGS = ("learned", "mean", "max", "first", "head+tail", "vote")
METRICS = ("cosine", "dot")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which models run, and how documents are split for them.

    Attributes:
        embed, classify, ner: a local folder, a packaged name, or a hub id with optional
            ``@revision``; ``"none"`` (or no name) switches the task off.
        window: positions of the model, special tokens included; None: what each model
            declares as its own length, or its limit, whichever is smaller.
        overlap: content tokens that neighbouring windows share; None: a quarter of the
            window's content tokens.
        passage: content tokens of a passage.
        batch_tokens: positions, padding included, of a batch.
        entity_strategy: how the tokens of a word agree on a label; see the method's page.
        entity_stitching: which windows' scores a token in an overlap gets.
        entity_decoding: ``greedy`` takes each word's best label, ``viterbi`` the best sequence
            that the tagging scheme allows; None: what the head was trained for, else greedy.
        classify_pooling: how windows become a document; None: as the head learned it, else the
            mean of their logits.
        window_scores: whether to write the classes of each window, too.
        metric: how vectors are compared; None: what the embedding model declares, else cosine.
        query_prompt, document_prompt: what the embedding model reads before a query and before
            a document; None: what it declares; empty: nothing.
    """

    embed: str = TASKS["embed"].default
    classify: tuple[str, ...] = ()
    ner: tuple[str, ...] = ()
    window: int | None = None
    overlap: int | None = None
    passage: int = 64
    device: str = "auto"
    precision: str = "auto"
    batch_tokens: int | None = None
    entity_strategy: str = "first"
    entity_stitching: str = "owner"
    entity_decoding: str | None = None
    classify_pooling: str | None = None
    window_scores: bool = False
    metric: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        _types(self)
        for task in _REPEATABLE:
            object.__setattr__(self, task, _switched_on(getattr(self, task)))
        _at_least("window", self.window, 3)
        _at_least("overlap", self.overlap, 0)
        _at_least("passage", self.passage, 1)
        _at_least("batch_tokens", self.batch_tokens, 1)
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("entity_strategy", self.entity_strategy, ENTITY_STRATEGIES)
        _one_of("entity_stitching", self.entity_stitching, ENTITY_STITCHINGS)
        if self.entity_decoding is not None:
            _one_of("entity_decoding", self.entity_decoding, ENTITY_DECODINGS)
        if self.classify_pooling is not None:
            _one_of("classify_pooling", self.classify_pooling, CLASSIFY_POOLINGS)
        if self.metric is not None:
            _one_of("metric", self.metric, METRICS)
        for name in ("query_prompt", "document_prompt"):
            self._check_prompt(name, getattr(self, name))
        if not any(self.models_of(task) for task in TASKS.values()):
            *names, last = TASKS
            raise ConfigError(
                f"{', '.join(names)} and {last} are all none, so there is nothing to do: "
                "name a model for at least one of them"
            )

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
        unit_bytes: input bytes that a unit of work holds; a larger document is a unit alone.
        accept_drift: go on with an output whose rows were made by other library versions or on
            another processor.
    """

    inputs: tuple[str, ...]
    output: str = DEFAULT_OUTPUT
    id_field: str = "id"
    text_field: str = "text"
    unit_bytes: int = 1_000_000
    accept_drift: bool = False
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        _types(self)
        if not self.inputs or not all(self.inputs):
            raise ConfigError(f"input must name at least one file, folder or glob: {self.inputs}")
        if not self.output:
            raise ConfigError("output must name a folder, got an empty name: try longbert-output")
        if self.id_field == self.text_field:
            raise ConfigError(f"id_field and text_field must differ, both are {self.id_field!r}")
        _at_least("unit_bytes", self.unit_bytes, 1)


_RUN_KEYS = {"input" if f.name == "inputs" else f.name for f in fields(RunConfig)} - {"models"}
_MODEL_KEYS = {f.name for f in fields(ModelConfig)}
_EXECUTION_KEYS = {"runner", "workers"}
_REPEATABLE = tuple(task.name for task in TASKS.values() if task.is_repeatable)


def run_config(settings: Mapping[str, Any]) -> RunConfig:
    """Build a configuration from flat settings named as on the command line.

    Where no task is given a model, the packaged models of all tasks run.

    Args:
        settings: ``input``, ``output``, ``embed``, ...; lists where several may be given.

    Raises:
        ConfigError: a key is unknown or a value is of the wrong type or out of range.
    """
    known = _RUN_KEYS | _MODEL_KEYS
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"unknown setting {key!r}{nearest(key, known) or '.'} "
                f"The settings are: {', '.join(sorted(known))}"
            )
    given = {key: _frozen(key, value) for key, value in settings.items()}
    run = {key: value for key, value in given.items() if key in _RUN_KEYS}
    run["inputs"] = run.pop("input", ())
    models = {key: value for key, value in given.items() if key in _MODEL_KEYS}
    if not TASKS.keys() & models.keys():
        models |= {task.name: (task.default,) for task in TASKS.values() if not task.always_runs}
    return RunConfig(**run, models=ModelConfig(**models))


def read_toml(text: str, *, name: str) -> dict[str, Any]:
    """Parse a configuration file: the options of ``longbert run``, ``-`` written ``_``.

    Args:
        text: the file's content.
        name: the file's path, for messages.

    Raises:
        ConfigError: not TOML, or a key that is no option.
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from None
    known = _RUN_KEYS | _MODEL_KEYS | _EXECUTION_KEYS
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"{name}: unknown setting {key!r}{nearest(key, known) or '.'} "
                f"The settings are: {', '.join(sorted(known))}"
            )
    return settings


def _frozen(key: str, value: Any) -> Any:
    """Lists as tuples; a single name where a list is meant as a list of one."""
    if key == "input" or key in _REPEATABLE:
        return (value,) if isinstance(value, str) else _as_tuple(value)
    return value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _switched_on(models: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(model for model in models if model != NONE)


_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "int | None": ((int, type(None)), "a whole number"),
    "str": ((str,), "a string"),
    "str | None": ((str, type(None)), "a string"),
    "tuple[str, ...]": ((tuple,), "a string or a list of strings"),
    "ModelConfig": ((ModelConfig,), "a ModelConfig"),
}
"""For each declared type what is taken, and how it is called in messages."""


def _types(config: object) -> None:
    """Refuse a value of another type than declared, as a TOML file may bring."""
    for declared in fields(config):  # type: ignore[arg-type]
        value = getattr(config, declared.name)
        wanted, description = _TYPES[str(declared.type)]
        is_right = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
        if isinstance(value, tuple):
            is_right = is_right and all(isinstance(item, str) for item in value)
        if not is_right:
            name = "input" if declared.name == "inputs" else declared.name
            raise ConfigError(f"{name} must be {description}, got {value!r}")


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name} must be at least {least}, got {value}")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"{name} must be one of {', '.join(allowed)}, got {value!r}{nearest(value, allowed)}"
        )
