"""Knowing again the models of the last run, so that a run with nothing to do loads none.

What a model does to rows is learnt from its loaded weights, and whether batches matter by trying it
out. All of it depends on files, settings, libraries and the machine, which can be compared without
loading anything. Where any of them differs, the models are loaded.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import asdict, fields

from longbert.encoders.checkpoint.files import files_digest
from longbert.encoders.checkpoint.request import find_backbone, find_requested
from longbert.encoders.runtime.machine import machine_digest
from longbert.engine.context import RunContext, fetched_models
from longbert.engine.history import read_history
from longbert.engine.prepare import Prepared, prepared_before
from longbert.errors import ModelError
from longbert.store.fingerprints import Environment

_IRRELEVANT = frozenset(
    {
        *("inputs", "output", "unit_bytes", "language", "accept_drift"),
        *("prune", "keep_missing", "retry_errors", "max_errors"),
    }
)
"""Settings of a run that decide neither on models nor on the fingerprint of rows."""


def models_key(context: RunContext) -> str | None:
    """SHA-256 of what the loaded models of a run depend on, libraries aside.

    Args:
        context: the run.

    Returns:
        None where a model brings code, which may lie anywhere, or its files cannot be read.

    Raises:
        ModelError: a model is missing, incomplete or of the wrong kind.
        ConfigError: two heads of one name.
    """
    config = context.config
    if config.models.trust_remote_code:
        return None
    models = fetched_models(context)
    folders = set()
    for request in find_requested(models):
        folders.add(request.folder.path.resolve())
        if request.folder.head is not None:
            try:
                backbone = find_backbone(request.folder, models, with_weights=True)
            except ModelError:
                # Then it is one of the other models.
                continue
            folders.add(backbone.path.resolve())
    settings = {
        one.name: getattr(config, one.name)
        for one in fields(config)
        if one.name not in _IRRELEVANT | {"models"}
    }
    try:
        digests = {str(folder): files_digest(folder) for folder in folders}
    except OSError:
        return None
    content = [settings, asdict(config.models), digests, machine_digest()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def remembered(context: RunContext, key: str | None) -> Prepared | None:
    """What loading the models would give, if the last run loaded the same ones.

    Args:
        context: the run.
        key: see :func:`models_key`.

    Returns:
        None where the models must be loaded to know.

    Raises:
        OutputError: the manifest is damaged, or of another version.
    """
    manifest = context.output.manifest()
    runs = read_history(context.output).runs
    if key is None or manifest is None or not runs:
        return None
    last = runs[-1]
    if (last.models, last.fingerprint) != (key, manifest.fingerprint):
        return None
    if not _is_here(manifest.rows.environment):
        return None
    return prepared_before(context, manifest, device=last.device)


def _is_here(environment: Environment) -> bool:
    """Whether longbert and its libraries have the versions that rows were made with."""
    wanted = {"longbert": environment.longbert, **environment.libraries}
    try:
        return all(importlib.metadata.version(name) == version for name, version in wanted.items())
    except importlib.metadata.PackageNotFoundError:
        return False
