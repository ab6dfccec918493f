"""Models and finished outputs for use from Python, without Beam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from longbert.config import ModelConfig
from longbert.encoders.models import Models, load_models
from longbert.engine.encode import encode_documents
from longbert.errors import DocumentError, FingerprintError, OutputError
from longbert.index.search import Index
from longbert.readers.fields import replace_surrogates
from longbert.records import Document, DocumentResult, FloatMatrix
from longbert.store.filesystem import FileSystem
from longbert.store.folder import OutputFolder


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
        documents = []
        for number, text in enumerate(texts):
            clean, n_replaced = replace_surrogates(text)
            documents.append(Document(str(number), clean, n_chars_replaced=n_replaced))
        results = []
        for result in encode_documents(
            self._models, documents, passage_tokens=self._config.passage
        ):
            if isinstance(result, DocumentError):
                raise result
            results.append(result)
        return results

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        """Document vectors of some texts. Shape: (n_texts, width)."""
        vectors = [result.embedding for result in self.encode(texts)]
        return np.stack([vector for vector in vectors if vector is not None])


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
        return encoder.embed(texts)

    return Index.open(filesystem, folder, encode=encode)


def _query_encoder(output: OutputFolder, query_prompt: str | None) -> Encoder:
    manifest: dict[str, Any] | None = output.manifest()
    if manifest is None:
        raise OutputError(f"{output.path} holds no finished output: run longbert run first")
    models = manifest["settings"]["models"]
    backbone = next(
        one
        for one in models["backbones"]
        if any(head["name"] == "embedding" for head in one["heads"])
    )
    if query_prompt is None:
        query_prompt = manifest["models"].get("query_prompt", "")
    document_prompt = backbone.get("prompt", "")
    config = ModelConfig(
        embed=manifest["models"]["embed"],
        window=backbone["window"],
        # Behind another prompt a window holds another number of tokens.
        overlap=backbone["overlap"] if query_prompt == document_prompt else None,
        precision=models["precision"],
        query_prompt=query_prompt,
        document_prompt=document_prompt,
    )
    encoder = Encoder(config, for_queries=True)
    wanted, found = manifest["models"]["embed_digest"], encoder.models.embed_digest
    if wanted != found:
        raise FingerprintError(
            f"the index in {output.path} was made with another model than {config.embed} is now "
            f"(backbone digest {wanted[:12]}, found {str(found)[:12]}): restore that model, or "
            "run into another folder"
        )
    return encoder
