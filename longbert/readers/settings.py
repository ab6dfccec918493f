"""Settings that decide how inputs are read."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.config import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How records and files become documents.

    Attributes:
        id_field, text_field: fields of a record that hold its id and its text; all others are
            metadata.
    """

    id_field: str = "id"
    text_field: str = "text"

    @classmethod
    def of_run(cls, config: RunConfig) -> ReadSettings:
        """Those of a run."""
        return cls(id_field=config.id_field, text_field=config.text_field)
