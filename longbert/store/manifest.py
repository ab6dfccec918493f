"""Records about a whole output: to whom it belongs, and what readers see of it."""

from __future__ import annotations

import msgspec

from longbert.core.fingerprint import fingerprint
from longbert.store.fingerprints import Environment, IndexSettings, LexicalSettings, RowFingerprint
from longbert.store.index_description import IndexEntry
from longbert.store.receipts import ShardEntry
from longbert.store.record import Record, to_builtins


class NamedModels(Record, frozen=True, kw_only=True):
    """The models as the user named them.

    Attributes:
        embed: ``"none"`` without an embedding model.
        embed_path: the folder, if the name was that of a folder.
        embed_digest: of its backbone, which the model of a query must have.
        query_prompt: text before each query; None without an embedding model.
        heads: by task.
    """

    embed: str
    embed_path: str | None
    embed_digest: str | None
    query_prompt: str | None
    heads: dict[str, tuple[str, ...]]


class Claim(Record, frozen=True, kw_only=True):
    """Which configuration a folder belongs to before its first run has finished."""

    format: int
    rows: RowFingerprint


class Manifest(Record, frozen=True, kw_only=True):
    """The output as readers see it.

    Attributes:
        fingerprint: digest of ``rows``.
        rows: fingerprint of the rows that the last run made.
        environments: where the rows of all parts were made, by digest of their fingerprint; more
            than one if a run continued in another environment.
        readers: versions of what reads each kind of input.
        index_settings: None without an index.
        lexical_settings: of the lexical index.
        written_with: what changes bytes but not rows.
        counts: sums over the parts.
        shards: files that list the parts, in order.
        index: None without vectors.
        seal: digest of everything else, by which a change by hand is found.
    """

    format: int
    fingerprint: str
    rows: RowFingerprint
    environments: dict[str, Environment]
    readers: dict[str, str]
    index_settings: IndexSettings | None
    lexical_settings: LexicalSettings
    written_with: dict[str, str]
    models: NamedModels
    counts: dict[str, int]
    shards: tuple[ShardEntry, ...]
    index: IndexEntry | None
    seal: str = ""

    def admits(self, claim: Claim) -> bool:
        """Whether a claim is of these rows: one environment of several will do."""
        return claim.format == self.format and claim.rows.digest in self.environments

    @property
    def is_sealed(self) -> bool:
        """Whether it is as a run wrote it."""
        return self.seal == self.sealed().seal

    def sealed(self) -> Manifest:
        """The same content with its seal."""
        content = to_builtins(self)
        del content["seal"]
        return msgspec.structs.replace(self, seal=fingerprint(content))
