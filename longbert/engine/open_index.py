"""Finished outputs, opened for search; the model is loaded at the first query that wants it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from longbert.arrays import FloatMatrix
from longbert.config import ModelConfig, Precision
from longbert.errors import FingerprintError, ModelError
from longbert.index.search import Index
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.manifest import Manifest, NamedModels

if TYPE_CHECKING:
    from longbert.engine.encoder import Encoder


def open_index(filesystem: FileSystem, folder: str, *, query_prompt: str | None = None) -> Index:
    """Open a finished output for search; the model is loaded at the first query.

    Args:
        filesystem: where the output lies.
        folder: the output.
        query_prompt: what the model reads before a query; None: what the run recorded.

    Raises:
        OutputError: the folder holds no finished output.
        FingerprintError: the embedding model is not the one that made it (at the first query).
    """
    encoder: Encoder | None = None
    made_for: Manifest | None = None

    def encode(texts: Sequence[str]) -> FloatMatrix:
        nonlocal encoder, made_for
        # Another prompt may have been recorded when the index is reloaded.
        if encoder is None or made_for is None or made_for.models != index.manifest.models:
            made_for = index.manifest
            encoder = _query_encoder(output, made_for, query_prompt)
        return encoder.embed_queries(texts)

    output = OutputFolder(filesystem, folder)
    index = Index.open(output, encode=encode)
    return index


def _query_encoder(output: OutputFolder, manifest: Manifest, query_prompt: str | None) -> Encoder:
    settings, named = manifest.rows.settings, manifest.models
    own_pass = next(
        one for one in settings.passes if any(head.name == "embedding" for head in one.heads)
    )
    if query_prompt is None:
        query_prompt = named.query_prompt or ""
    config = ModelConfig(
        embed=_recorded_model(named),
        window=own_pass.window,
        # Behind another prompt, a window has room for another number of tokens.
        overlap=own_pass.overlap if query_prompt == own_pass.prompt else None,
        precision=cast(Precision, settings.precision),
        query_prompt=query_prompt,
        document_prompt=own_pass.prompt,
    )
    # Words are searched for without a model, so torch is loaded no sooner than here.
    from longbert.engine.encoder import Encoder

    try:
        encoder = Encoder(config, for_queries=True)
    except ModelError as error:
        raise ModelError(
            f"the model that {output.path} was made with cannot be loaded: {error}"
        ) from error
    wanted, found = named.embed_digest or "", encoder.models.embed_digest or ""
    if wanted != found:
        raise FingerprintError(
            f"the index in {output.path} was made with another model than {config.embed} is now "
            f"(backbone digest {wanted[:12]}, found {found[:12]}): restore that model, or "
            "run into another folder"
        )
    return encoder


def _recorded_model(named: NamedModels) -> str:
    """The model as named, or its recorded folder where that name is none from here."""
    if named.embed_path is not None and not os.path.isdir(named.embed):
        return named.embed_path
    return named.embed
