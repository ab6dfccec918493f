"""What is said of a document that could not be encoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from longbert.errors import DocumentError
from longbert.records import Document, DocumentRef, ErrorRow

_NOT_FINITE_REMEDIES = {
    "float16": "try --precision bfloat16 or float32, which hold larger numbers",
    "bfloat16": "try --precision float32, which is more exact",
    "float32": "no --precision holds more, so check the model's weights, or leave the document out",
}

MODEL_REMEDY = "leave it out, or if memory was short, lower --batch-tokens and run again"
"""For a document at which a model or its tokenizer raised an error."""


@contextmanager
def tokenizing() -> Iterator[None]:
    """Turn any error of a tokenizer into one of the document at hand."""
    try:
        yield
    except DocumentError:
        raise
    except Exception as error:
        raise DocumentError(
            "tokenize",
            type(error).__name__,
            f"the tokenizer failed on this document: {MODEL_REMEDY}",
        ) from None


@contextmanager
def finishing(precision: str) -> Iterator[None]:
    """Turn any error of a head, which does not know the precision, into one of the document."""
    try:
        yield
    except DocumentError as error:
        if error.error != "not_finite":
            raise
        message = f"{error.message} in {precision}: {_NOT_FINITE_REMEDIES[precision]}"
        raise DocumentError(error.stage, error.error, message) from None
    except Exception as error:
        raise DocumentError(
            "encode", type(error).__name__, f"a head failed on this document: {MODEL_REMEDY}"
        ) from None


def without_tokens(*, has_models: bool) -> DocumentError:
    """A document of which the tokenizer leaves nothing, or without a word where no model runs."""
    message = (
        "the document has no tokens: it is empty, white space, or made of characters that "
        "the tokenizer drops. Leave it out, or use a model that knows its script"
        if has_models
        else "the document has no words: it is empty or white space. Leave it out"
    )
    return DocumentError("tokenize", "no_tokens", message)


def not_covered(n_covered: int, n_chars: int) -> DocumentError:
    """A document of which the windows do not span all characters."""
    return DocumentError(
        "tokenize",
        "not_covered",
        f"the tokens of the model span {n_covered} of the {n_chars} characters: its tokenizer "
        "drops visible characters. Use a model that knows them",
    )


def error_row(document: Document | DocumentRef, error: DocumentError) -> ErrorRow:
    """The row of a document that could not be encoded."""
    return ErrorRow(document.source, document.document_id, error.stage, error.error, error.message)
