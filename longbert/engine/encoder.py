"""Models and finished outputs for use from Python, without Beam."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

import numpy as np

from longbert.config import ModelConfig, Precision
from longbert.encoders.models import Models, load_models
from longbert.engine.encode import encode_documents
from longbert.errors import DocumentError, FingerprintError, InputError, ModelError, shown
from longbert.index.search import Index
from longbert.readers.fields import replace_surrogates
from longbert.records import Document, DocumentResult, FloatMatrix
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder
from longbert.store.manifest import NamedModels


class Encoder:
    """Documents of any length through the models of a configuration.

    >>> encoder = Encoder(ModelConfig())  # doctest: +SKIP
    >>> encoder("a very long text").passages  # doctest: +SKIP

    Args:
        config: models and how documents are split for them.
        for_queries: read the prompt of queries before a text, not that of documents.
    """

    def __init__(self, config: ModelConfig, *, for_queries: bool = False) -> None:
        self._config = config
        self._models = load_models(config, for_queries=for_queries)

    @property
    def models(self) -> Models:
        """The models as loaded."""
        return self._models

    def __call__(self, text: str) -> DocumentResult:
        """Encode one document: the rows that ``longbert run`` would write for it.

        Raises:
            DocumentError: the text has no token, or a model failed on it.
        """
        (result,) = self.encode([text])
        return result

    def encode(self, texts: Sequence[str]) -> list[DocumentResult]:
        """Encode several documents in common batches; their results do not depend on each other.

        Raises:
            DocumentError: one of them has no token, or a model failed on it.
        """
        results = []
        for result in self.results(texts):
            if isinstance(result, DocumentError):
                raise result
            results.append(result)
        return results

    def results(self, texts: Sequence[str]) -> list[DocumentResult | DocumentError]:
        """Encode several documents as :meth:`encode` does, with an error for each that failed."""
        documents = []
        for number, text in enumerate(texts):
            clean, n_replaced = replace_surrogates(text)
            documents.append(Document(str(number), clean, n_chars_replaced=n_replaced))
        passage_tokens = self._config.passage
        return list(encode_documents(self._models, documents, passage_tokens=passage_tokens))

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        """Document vectors of some texts. Shape: (n_texts, width).

        Raises:
            DocumentError: one of them has no token, or a model failed on it.
        """
        vectors = [result.embedding for result in self.encode(texts)]
        return np.stack([vector for vector in vectors if vector is not None])

    def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Document vectors of queries. Shape: (n_texts, width).

        Raises:
            InputError: one of them has no token, or the model failed on it.
        """
        vectors = []
        for text, result in zip(texts, self.results(texts), strict=True):
            if isinstance(result, DocumentError):
                raise _error_of_query(text, result)
            if result.embedding is not None:
                vectors.append(result.embedding)
        return np.stack(vectors)


def open_index(filesystem: FileSystem, folder: str, *, query_prompt: str | None = None) -> Index:
    """Open a finished output for search; the model is loaded at the first query.

    Args:
        filesystem: where the output lies.
        folder: the output.
        query_prompt: what the model reads before a query; None: what the run recorded.

    Raises:
        OutputError: the folder holds no finished output, or no index.
        FingerprintError: the embedding model is not the one that made it (at the first query).
    """
    encoder: Encoder | None = None

    def encode(texts: Sequence[str]) -> FloatMatrix:
        nonlocal encoder
        if encoder is None:
            encoder = _query_encoder(OutputFolder(filesystem, folder), query_prompt)
        return encoder.embed_queries(texts)

    return Index.open(OutputFolder(filesystem, folder), encode=encode)


def _query_encoder(output: OutputFolder, query_prompt: str | None) -> Encoder:
    manifest = output.finished()
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


def _error_of_query(text: str, error: DocumentError) -> InputError:
    if error.error == "no_tokens":
        return InputError(
            f"the query {shown(text)} has nothing to search for, since it holds only white space "
            "or characters that cannot be seen: give at least one word"
        )
    return InputError(f"the query {shown(text)} cannot be encoded: {error.message}")
