"""What rows and indexes were made with, as records that are compared."""

from __future__ import annotations

from typing import Any, Literal

from longbert.core.fingerprint import fingerprint
from longbert.store.record import Record, to_builtins


class HeadSettings(Record, frozen=True, kw_only=True):
    """What can change a row about a head.

    Attributes:
        name: as in the tables.
        task: key of :data:`longbert.tasks.TASKS`.
        digest: of its weights and settings.
        settings: for people to compare.
    """

    name: str
    task: str
    digest: str
    settings: dict[str, Any]


class PassSettings(Record, frozen=True, kw_only=True):
    """What can change a row about a pass over the documents.

    Attributes:
        digest: of the backbone.
        attention: its implementation.
        implementation: whose code and kernels compute the backbone.
        window: positions, special tokens included.
        overlap: content tokens; None where windows do not overlap by design.
        reads: whole documents, their two ends, or passages alone.
        prompt: text before each window.
        batch_invariant: whether a window's bits are independent of its batch.
        heads: on this backbone.
    """

    digest: str
    attention: str
    implementation: str
    window: int
    overlap: int | None
    reads: Literal["all", "ends", "passages"]
    prompt: str
    batch_invariant: bool
    heads: tuple[HeadSettings, ...]


class RowSettings(Record, frozen=True, kw_only=True):
    """Settings that can change a row.

    Attributes:
        batch_tokens: positions of a batch, where a window's bits depend on its batch; else None.
    """

    format: int
    id_field: str
    text_field: str
    window_scores: bool
    precision: str
    passage: int
    batch_tokens: int | None
    passes: tuple[PassSettings, ...]


class Environment(Record, frozen=True, kw_only=True):
    """What can change the bits of rows about the environment they were made in.

    Attributes:
        longbert: its version.
        libraries: versions by name.
        processor: the kind of processor, on which kernels depend.
    """

    longbert: str
    libraries: dict[str, str]
    processor: str


class RowFingerprint(Record, frozen=True, kw_only=True):
    """Everything that can change a row; two runs with equal digests write equal rows."""

    settings: RowSettings
    environment: Environment

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return fingerprint(to_builtins(self))


class IndexSettings(Record, frozen=True, kw_only=True):
    """What the index is built with; if it changes, the index is rebuilt from the tables.

    Attributes:
        metric: how vectors are compared.
        type: ``"auto"`` or key of :data:`longbert.index.kinds.INDEX_KINDS`.
        memory_bytes: what the index may take; None: no limit.
        recall: share of the true ten nearest that search has to find.
        faiss: version.
    """

    metric: str
    type: str
    memory_bytes: int | None
    recall: float
    faiss: str


class LexicalSettings(Record, frozen=True, kw_only=True):
    """What the lexical index is built with; if it changes, it is rebuilt from the tables.

    Attributes:
        language: in which words are stemmed; see :class:`longbert.config.RunConfig`.
        analysis: version of how texts are cut into terms.
        libraries: versions of what can change the terms of a text, by name.
    """

    language: str
    analysis: int
    libraries: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return fingerprint(to_builtins(self))
