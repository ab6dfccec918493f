"""Finished outputs, opened for search; the model is loaded at the first query that wants it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from longbert.arrays import FloatArray, FloatMatrix
from longbert.config import ModelConfig, Precision
from longbert.encoders.checkpoint.copies import local_copies, local_copy
from longbert.errors import FingerprintError, ModelError
from longbert.index.reranking import Rerank
from longbert.index.search import Index
from longbert.readers.fields import replace_surrogates
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.manifest import Manifest, NamedModels

if TYPE_CHECKING:
    from longbert.engine.encoder import Encoder


def open_index(
    filesystem: FileSystem,
    folder: str,
    *,
    model_files: Callable[[str], FileSystem],
    query_prompt: str | None = None,
) -> Index:
    """Open a finished output for search; the model is loaded at the first query.

    Args:
        filesystem: where the output lies.
        folder: the output.
        model_files: what opens the place of a model.
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
            encoder = _query_encoder(output, made_for, query_prompt, model_files)
        return encoder.embed_queries(texts)

    def load_reranker(name: str, label: str | None) -> Rerank:
        return _load_reranker(local_copy(name, ModelConfig(), model_files(name)), label)

    output = OutputFolder(filesystem, folder)
    index = Index.open(output, encode=encode, load_reranker=load_reranker)
    return index


@lru_cache(1)
def _load_reranker(name: str, label: str | None) -> Rerank:
    """Load a cross-encoder; the last one is kept."""
    from longbert.encoders.cross_encoder import load_cross_encoder

    model = load_cross_encoder(name, label=label)

    def rerank(query: str, passages: Sequence[str]) -> FloatArray:
        clean, _ = replace_surrogates(query)
        return model.scores(clean, passages)

    return rerank


def _query_encoder(
    output: OutputFolder,
    manifest: Manifest,
    query_prompt: str | None,
    model_files: Callable[[str], FileSystem],
) -> Encoder:
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
        fetched = local_copies(config, model_files(config.embed))
        encoder = Encoder(fetched, for_queries=True)
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
