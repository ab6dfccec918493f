"""Encoders for the tests, texts of a given length, and documents encoded together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    AutoTokenizer,
)

import longbert
from longbert.core.windows import Window
from longbert.encoders.batch import TokenWindow
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.engine.encode import encode_documents
from longbert.engine.encoder import Encoder
from longbert.records import Document, DocumentResult
from support.texts import HOSTILE_TEXTS, long_text


def load(**settings: Any) -> Encoder:
    """In float32, as the reference libraries compute."""
    paths = {
        key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
    }
    return longbert.load(**{"embed": "none", "precision": "float32", **paths})


def one_line(n_words: int, seed: int) -> str:
    return " ".join(long_text(n_words, seed=seed).split())


def text_of(folder: Path, n_tokens: int) -> str:
    """A text of exactly so many content tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = long_text(n_tokens).split()
    while len(tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]) > n_tokens:
        words.pop()
    while len(tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]) < n_tokens:
        words.append(".")
    return " ".join(words)


def hostile_documents(n_chars: int) -> list[Document]:
    documents = [Document(hostile.name, hostile.text[:n_chars]) for hostile in HOSTILE_TEXTS]
    return [*documents, Document("long", long_text(200))]


def encode(encoder: Encoder, documents: Sequence[Document], passage: int) -> list[DocumentResult]:
    """Results in common batches; the one document without a token is left out."""
    results = []
    for result in encode_documents(encoder.models, documents, passage_tokens=passage):
        if isinstance(result, longbert.DocumentError):
            assert result.error == "no_tokens"
        else:
            results.append(result)
    names = {document.document_id for document in documents}
    assert names - {result.document.document_id for result in results} <= {"only_zero_width"}
    return results


def token_windows(text: TokenizedText, windows: Sequence[Window]) -> Iterator[TokenWindow]:
    """Cut a tokenized text into its windows."""
    for window in windows:
        yield TokenWindow(
            ids=text.ids[window.start : window.stop],
            window=window,
            is_first=window is windows[0],
            is_last=window is windows[-1],
        )
