"""Models for use from Python, without Beam."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from longbert.arrays import FloatMatrix
from longbert.config import ModelConfig
from longbert.encoders.loaded_models import Models
from longbert.engine.context import load_models
from longbert.engine.encode import does_not_know_script, encode_documents
from longbert.errors import DocumentError, InputError, QueryWarning
from longbert.readers.fields import replace_surrogates
from longbert.records import Document, DocumentResult


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
            DocumentError: the text has no tokens, or a model failed on it.
        """
        (result,) = self.encode([text])
        return result

    def encode(self, texts: Sequence[str]) -> list[DocumentResult]:
        """Encode several documents in shared batches; results do not depend on the other documents.

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

        Warns:
            QueryWarning: the model does not know the script of some of them.

        Raises:
            InputError: one of them has no token, or the model failed on it.
        """
        vectors = []
        n_unknown = 0
        for number, result in enumerate(self.results(texts), start=1):
            if isinstance(result, DocumentError):
                which = "the query" if len(texts) == 1 else f"query {number} of {len(texts):,}"
                raise _error_of_query(which, result)
            if result.embedding is not None:
                vectors.append(result.embedding)
            n_unknown += does_not_know_script(result)
        if n_unknown:
            _warn_of_script(n_unknown, len(texts))
        return np.stack(vectors)


def _error_of_query(which: str, error: DocumentError) -> InputError:
    if error.error == "no_tokens":
        return InputError(
            f"{which} has nothing to search for: it holds only white space or invisible "
            "characters. Give at least one word"
        )
    return InputError(f"{which} cannot be encoded: {error.message}")


def _warn_of_script(n_unknown: int, n_queries: int) -> None:
    which = "of the query" if n_queries == 1 else f"of {n_unknown:,} of {n_queries:,} queries"
    warnings.warn(
        f"over a tenth of the characters {which} are unknown to the embedding model, so its "
        "vectors mean little: rank with --rank lexical, or run longbert with a model that knows "
        "this script",
        QueryWarning,
        stacklevel=3,
    )
