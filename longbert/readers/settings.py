"""Settings that decide how inputs are read."""

from __future__ import annotations

from dataclasses import dataclass

from longbert.config import RunConfig
from longbert.errors import DocumentError
from longbert.readers.encodings import NamedEncoding, parse_encodings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How records and files become documents.

    The limits keep a small file from filling the memory: a gzip of 60 KB can hold a line of 60 MB.

    Attributes:
        id_field, text_field: fields of a record that hold its id and its text; all others are
            metadata.
        encodings: of text files and pages that are not UTF-8, as the user names them.
        max_record_bytes: of what has to be parsed in one piece: a JSON line, a Parquet row, a page.
        max_text_bytes: of a text in UTF-8; of a text file as it lies on disk.
        max_metadata_bytes: of all names and values together.
    """

    id_field: str = "id"
    text_field: str = "text"
    encodings: tuple[NamedEncoding, ...] = ()
    max_record_bytes: int = RunConfig.max_record_bytes
    max_text_bytes: int = RunConfig.max_text_bytes
    max_metadata_bytes: int = RunConfig.max_metadata_bytes

    @classmethod
    def of_run(cls, config: RunConfig) -> ReadSettings:
        """Those of a run.

        Raises:
            ConfigError: Python knows no encoding of the name.
        """
        return cls(
            id_field=config.id_field,
            text_field=config.text_field,
            encodings=parse_encodings(config.encoding),
            max_record_bytes=config.max_record_bytes,
            max_text_bytes=config.max_text_bytes,
            max_metadata_bytes=config.max_metadata_bytes,
        )

    def too_large(
        self, what: str, n_bytes: int, setting: str, *, remedy: str, stage: str = "plan"
    ) -> DocumentError:
        """What to raise for something that has more bytes than one of the limits.

        Args:
            what: for the message.
            n_bytes: its size.
            setting: name of the limit.
            remedy: what else than a higher limit would help.
            stage: in which it was found.
        """
        return DocumentError(
            stage,
            "too_large",
            f"{what} has {n_bytes:,} bytes, and {setting} is {getattr(self, setting):,}: "
            f"raise {setting}, or {remedy}",
        )


def utf8_size(text: str) -> int:
    """Bytes of a text in UTF-8, a lone surrogate counted as three."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
