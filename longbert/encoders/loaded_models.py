"""What a run knows of its models once they are loaded. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longbert.encoders.tokenizers.base import Segmenter
from longbert.encoders.tokenizers.words import WordSegmenter
from longbert.store.fingerprints import PassSettings

if TYPE_CHECKING:
    from longbert.encoders.checkpoint.declared import Prompts
    from longbert.encoders.passes import Pass


@dataclass(frozen=True)
class Models:
    """The passes of a configuration, ready to run.

    Attributes:
        passes: those that read whole documents come first, that of the first head before others.
        settings: of the passes, as far as they can change a row.
        decisive_batch_tokens: positions of a batch where they can change a row, else None.
        libraries: versions that can change a row, by name.
        processor: its kind, on which bits depend.
        device: for people.
        precision: number type.
        width: of the embedding; None without an embedding model.
        metric: ``cosine`` or ``dot``; None without an embedding model.
        prompts: of the embedding model; None without one.
        embed_digest: digest that a query's model must have; None without one.
    """

    passes: tuple[Pass, ...]
    settings: tuple[PassSettings, ...]
    decisive_batch_tokens: int | None
    libraries: Mapping[str, str]
    processor: str
    device: str
    precision: str
    width: int | None
    metric: str | None
    prompts: Prompts | None
    embed_digest: str | None

    @property
    def segmenter(self) -> Segmenter:
        """What cuts documents into the tokens that passages are made of: words without a model."""
        return self.passes[0].tokenizer if self.passes else WordSegmenter()


def no_models() -> Models:
    """What a run without a model has; its rows are the same on every processor."""
    return Models(
        passes=(),
        settings=(),
        decisive_batch_tokens=None,
        libraries={},
        processor="any",
        device="no model",
        precision="none",
        width=None,
        metric=None,
        prompts=None,
        embed_digest=None,
    )
