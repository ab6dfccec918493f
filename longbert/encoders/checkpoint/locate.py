"""Finding the folder of a model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.check import (
    check_architecture,
    check_labels,
    check_tokenizer_files,
    check_weight_files,
)
from longbert.encoders.checkpoint.copies import is_remote
from longbert.encoders.checkpoint.files import PICKLED_WEIGHTS, SETTINGS, WEIGHTS
from longbert.encoders.checkpoint.head_folder import HeadConfig, check_files, is_head, read_head
from longbert.encoders.checkpoint.packaged import NAMES, packaged_folder
from longbert.errors import ModelError, nearest
from longbert.tasks import TASKS


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files on this machine.

    Attributes:
        name: as the user gave it.
        path: the folder.
        config: its ``config.json``.
        head: settings of a head that ``longbert train`` made; None for checkpoints.
    """

    name: str
    path: Path
    config: dict[str, Any]
    head: HeadConfig | None = None

    @property
    def head_name(self) -> str:
        """The stable name of a head in the tables: the last part of the folder or hub id."""
        name = self.name if Path(self.name).is_dir() else self.name.partition("@")[0]
        return Path(name.rstrip("/")).name or self.name

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder, or None if there is none.

        Raises:
            ModelError: the file is not JSON.
        """
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as JSON ({error}): restore the file") from None


def find_model(
    name: str,
    *,
    task: str,
    config: ModelConfig,
    with_weights: bool = True,
    option: str | None = None,
) -> ModelFolder:
    """Find a model and check, without loading it, that it fits a task and is safe to load.

    Args:
        name: a packaged name, a local folder, or a hub id with optional ``@revision``; see
            :func:`longbert.encoders.checkpoint.copies.local_copies` for one in an object store.
        task: name of a task of :data:`longbert.tasks.TASKS`.
        config: for what the user trusts.
        with_weights: whether weights are needed, too; if not, none are downloaded or checked.
        option: that it was given with, for messages; None: the task's.

    Raises:
        ModelError: not found, no weights, pickled weights only, no tokenizer, not an encoder, no
            such head.
    """
    path = _locate(name, config, with_weights=with_weights)
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{path} is no model folder: it has no config.json. Name the folder that holds it "
            "beside the weights"
        )
    folder = ModelFolder(name, path, {})
    folder = replace(folder, config=folder.read_json("config.json"))
    if not isinstance(folder.config, dict):
        raise ModelError(f"{path / 'config.json'} must hold a JSON object: restore the file")
    if is_head(folder.config):
        head = read_head(folder.config, task=task, name=name)
        if with_weights:
            check_files(path, head)
        return replace(folder, head=head)
    check_architecture(folder.config, TASKS[task], name=name, option=option)
    if TASKS[task].architecture is not None:
        check_labels(folder.config, name=name)
    if with_weights:
        check_weight_files(path, trust_pickle=config.trust_pickle)
    if not config.trust_remote_code:
        check_tokenizer_files(path)
    return folder


def _locate(name: str, config: ModelConfig, *, with_weights: bool) -> Path:
    packaged = packaged_folder(name, with_weights=with_weights)
    if packaged is not None:
        return packaged
    if is_remote(name):
        raise ModelError(
            f"model {name!r} is not on this machine, and only models that are named with --embed, "
            "--classify, --ner or --rerank are fetched: copy its folder here, and name that"
        )
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists():
        raise ModelError(f"{name} is a file: name the folder that holds config.json and weights")
    return _download(name, config, with_weights=with_weights)


def _download(name: str, config: ModelConfig, *, with_weights: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    repository, _, revision = name.partition("@")
    patterns = [*SETTINGS]
    if with_weights:
        patterns += [*WEIGHTS, *(PICKLED_WEIGHTS if config.trust_pickle else ())]
    try:
        return Path(
            snapshot_download(repository, revision=revision or None, allow_patterns=patterns)
        )
    except HFValidationError:
        reason = "it is no hub id either"
    except Exception as error:
        reason = f"it is not in the cache, and the hub did not give it ({type(error).__name__})"
    raise ModelError(
        f"model {name!r} is neither packaged ({', '.join(NAMES)}) nor a folder (looked for "
        f"{os.path.abspath(name)}), and {reason}{nearest(name, NAMES) or '.'} Check the path, "
        "or the connection to the hub"
    )
