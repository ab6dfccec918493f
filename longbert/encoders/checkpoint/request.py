"""The models that a configuration names, found and checked, not loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.declared import EmbeddingSettings, Prompts
from longbert.encoders.checkpoint.locate import ModelFolder, find_model
from longbert.errors import ConfigError, ModelError
from longbert.tasks import TASKS, Task


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model that is asked for.

    Attributes:
        task: what it is asked to do.
        folder: where it is.
        settings: what its sentence-transformers files declare; of a learned head, the windows
            that it was trained on.
        prompts: what it reads before a text; None where the task takes no prompts.
    """

    task: Task
    folder: ModelFolder
    settings: EmbeddingSettings
    prompts: Prompts | None

    @property
    def name(self) -> str:
        """Of its head, in the tables and in messages."""
        return self.task.head_name or self.folder.head_name


def find_requested(config: ModelConfig, *, with_weights: bool = True) -> list[ModelRequest]:
    """Find and check all models that a configuration names.

    Args:
        config: names models for tasks.
        with_weights: whether weights are needed, too; if not, none are downloaded or checked.

    Returns:
        In the order of :data:`longbert.tasks.TASKS`, and for each task in that of the names.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: two heads of one name.
    """
    requests = [
        _request(task, name, config, with_weights=with_weights)
        for task in TASKS.values()
        for name in config.models_of(task)
    ]
    _check_names([one.folder for one in requests if one.task.head_name is None])
    return requests


def find_backbone(folder: ModelFolder, config: ModelConfig, *, with_weights: bool) -> ModelFolder:
    """Find the model whose hidden states a learned head reads, by the name that it was given.

    Raises:
        ModelError: it is not there.
    """
    assert folder.head is not None
    name = folder.head.backbone
    try:
        return find_model(name, task="embed", config=config, with_weights=with_weights)
    except ModelError as error:
        raise ModelError(
            f"{folder.name} reads the backbone {name!r}, which is not there: {error}, or name a "
            "copy of it with --embed"
        ) from None


def _request(task: Task, name: str, config: ModelConfig, *, with_weights: bool) -> ModelRequest:
    folder = find_model(name, task=task.name, config=config, with_weights=with_weights)
    return ModelRequest(
        task=task,
        folder=folder,
        settings=EmbeddingSettings.from_folder(folder)
        if folder.head is None
        else EmbeddingSettings(max_tokens=folder.head.window),
        prompts=Prompts.of(folder, config) if task.takes_prompts else None,
    )


def _check_names(folders: Sequence[ModelFolder]) -> None:
    by_name: dict[str, ModelFolder] = {}
    for folder in folders:
        earlier = by_name.setdefault(folder.head_name, folder)
        if earlier is not folder:
            if earlier.path == folder.path:
                raise ConfigError(f"the head {folder.name} is named twice: name it once")
            raise ConfigError(
                f"two heads are called {folder.head_name!r}, {earlier.name} and {folder.name}, and "
                "the tables could not tell them apart: rename one of the folders"
            )
