"""Models that lie in object stores, copied to this machine once for all of its processes.

A copy lies in ``models`` of the cache folder (see :mod:`longbert.encoders.remembered`), named by
what the store says of each object: name, size and version. So a model that is replaced there has
another copy, and one that is the same needs a listing alone. Copies may be deleted while nothing
runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.files import PICKLED_WEIGHTS, SETTINGS, WEIGHTS
from longbert.encoders.remembered import cache_folder
from longbert.errors import ModelError
from longbert.store.filesystem import FileInfo, FileSystem, LocalFileSystem
from longbert.tasks import TASKS

_PIECE_BYTES = 16 << 20


def is_remote(name: str) -> bool:
    """Whether a model's name is a place of another machine, such as ``gs://bucket/model``."""
    return "://" in name


def local_copies(config: ModelConfig, filesystem: FileSystem) -> ModelConfig:
    """A configuration whose models in object stores are named by their copies on this machine.

    Args:
        config: names models for tasks.
        filesystem: opens their places.

    Raises:
        ModelError: a model is not there, or cannot be copied.
    """
    copied: dict[str, str | tuple[str, ...]] = {}
    for task in TASKS.values():
        names = config.models_of(task)
        if any(map(is_remote, names)):
            copies = tuple(local_copy(one, config, filesystem) for one in names)
            copied[task.name] = copies if task.is_repeatable else copies[0]
    return replace(config, **copied) if copied else config  # type: ignore[arg-type]


def local_copy(name: str, config: ModelConfig, filesystem: FileSystem) -> str:
    """The folder of a model's copy, made if it is not there yet; any other name as it is.

    Of several processes one copies, and the others wait. A copy appears when it is whole.

    Args:
        name: of the model.
        config: for what the user trusts; other files are not copied.
        filesystem: opens its place.

    Raises:
        ModelError: see :func:`local_copies`.
    """
    if not is_remote(name):
        return name
    name = name.rstrip("/")
    objects = _objects(name, config, filesystem)
    asked = json.dumps([name, [[one.path, one.n_bytes, one.version] for one in objects]])
    around = cache_folder() / "models" / hashlib.sha256(asked.encode()).hexdigest()[:32]
    # The tables name a head by the last part of its folder.
    folder = around / name.rpartition("/")[2]
    try:
        if not folder.is_dir():
            around.mkdir(parents=True, exist_ok=True)
            with _alone(around / "lock"):
                if not folder.is_dir():
                    _copy(name, objects, filesystem, around / "unfinished")
                    _check_unchanged(name, objects, _objects(name, config, filesystem))
                    (around / "unfinished").rename(folder)
    except OSError as error:
        raise ModelError(
            f"model {name!r} cannot be copied to {around} ({error.strerror or error}): check the "
            "store and the disk, or set XDG_CACHE_HOME to a folder with room for the model"
        ) from error
    return str(folder)


def _objects(name: str, config: ModelConfig, filesystem: FileSystem) -> list[FileInfo]:
    """What a model is loaded from, in order."""
    patterns = (*SETTINGS, *WEIGHTS, *(PICKLED_WEIGHTS if config.trust_pickle else ()))
    try:
        found = [
            one
            for one in filesystem.files(name)
            if any(fnmatchcase(one.path, pattern) for pattern in patterns)
        ]
    except OSError as error:
        raise ModelError(
            f"model {name!r} cannot be listed ({error}): check the bucket's name, and that this "
            "account may list and read it"
        ) from error
    if f"{name}/config.json" not in {one.path for one in found}:
        raise ModelError(
            f"model {name!r} is no model folder: there is no {name}/config.json. Name the folder "
            "that holds it beside the weights"
        )
    return sorted(found, key=lambda one: one.path)


def _copy(name: str, objects: Sequence[FileInfo], filesystem: FileSystem, folder: Path) -> None:
    # What a process that was stopped left.
    shutil.rmtree(folder, ignore_errors=True)
    for one in objects:
        path = folder / one.path.removeprefix(f"{name}/")
        with filesystem.open(one.path) as source, LocalFileSystem().create(str(path)) as target:
            shutil.copyfileobj(source, target, _PIECE_BYTES)


def _check_unchanged(name: str, before: Sequence[FileInfo], now: Sequence[FileInfo]) -> None:
    """An object may have been replaced after it was listed."""
    if [(one, one.version) for one in before] != [(one, one.version) for one in now]:
        raise ModelError(f"model {name!r} was changed while it was copied: run again")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in such a block; one that ends leaves it."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
