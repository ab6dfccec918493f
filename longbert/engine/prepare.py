"""Before any work: the fingerprints of a run, and whether it may use the output folder."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from longbert.config import RunConfig
from longbert.core.fingerprint import differences
from longbert.encoders.models import Models
from longbert.engine.context import RunContext
from longbert.errors import ConfigError, FingerprintError
from longbert.index.backend import faiss_version
from longbert.index.kinds import DEFAULT_TYPE
from longbert.readers.kinds import reader_versions
from longbert.store.layout import CLAIM
from longbert.store.manifest import (
    FORMAT,
    Claim,
    Environment,
    IndexSettings,
    LexicalSettings,
    Manifest,
    NamedModels,
    RowFingerprint,
    RowSettings,
    to_builtins,
)
from longbert.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Prepared:
    """What later steps need to know about the models without loading them.

    Attributes:
        rows: what can change a row.
        index: what the index is built with; None without an embedding model.
        lexical: what the lexical index is built with.
        models: as the user named them.
        readers: versions of what reads each kind of input.
        device: for people.
    """

    rows: RowFingerprint
    index: IndexSettings | None
    lexical: LexicalSettings
    models: NamedModels
    readers: Mapping[str, str]
    device: str

    @property
    def fingerprint(self) -> str:
        """Digest of the row fingerprint."""
        return self.rows.digest


def prepare(context: RunContext, models: Models) -> Prepared:
    """Claim the output folder for a configuration.

    Raises:
        FingerprintError: the folder holds rows that these settings would not make.
        OutputError: the folder cannot be written, or was written by another version.
        ConfigError: the output is a file.
    """
    output = context.output
    if os.path.isfile(output.path):
        raise ConfigError(f"output {output.path!r} is a file: name a folder")
    config = context.config
    prepared = Prepared(
        rows=row_fingerprint(config, models),
        index=_index_settings(models),
        lexical=context.lexical,
        models=_named_models(config, models),
        readers=reader_versions(),
        device=models.device,
    )
    manifest = output.manifest()
    if manifest is not None:
        environments = manifest.environments
        also = (*reader_changes(manifest, prepared), *index_changes(manifest, prepared))
        _check_rows(config, manifest.rows, environments, prepared, also)
        return prepared
    claim = output.claim()
    if claim is not None and output.complete_parts():
        environments = {claim.rows.digest: claim.rows.environment}
        _check_rows(config, claim.rows, environments, prepared, ())
    elif claim is None or claim.rows != prepared.rows:
        output.write_record(CLAIM, Claim(format=FORMAT, rows=prepared.rows))
    return prepared


def row_fingerprint(config: RunConfig, models: Models) -> RowFingerprint:
    """What can change a row on this machine."""
    return RowFingerprint(
        settings=RowSettings(
            format=FORMAT,
            id_field=config.id_field,
            text_field=config.text_field,
            window_scores=config.models.window_scores,
            precision=models.precision,
            passage=config.models.passage,
            batch_tokens=models.decisive_batch_tokens,
            passes=models.settings,
        ),
        environment=Environment(
            longbert=importlib.metadata.version("longbert"),
            libraries=dict(models.libraries),
            processor=models.processor,
        ),
    )


def check_machine(
    planned: RowFingerprint | LexicalSettings, own: RowFingerprint | LexicalSettings
) -> None:
    """Refuse to commit files under a fingerprint that this machine does not have.

    Args:
        planned: what the plan says about rows or about the lexical index.
        own: the same as this machine has it.

    Raises:
        FingerprintError: with both fingerprints and what differs.
    """
    if own == planned:
        return
    changes = _listed(differences(to_builtins(planned), to_builtins(own)))
    what = "row" if isinstance(planned, RowFingerprint) else "word"
    raise FingerprintError(
        f"this machine would not write the planned {what}s: the plan has the {what} fingerprint "
        f"{planned.digest[:12]}, this machine {own.digest[:12]}:{changes}\n"
        "Use the same image and kind of processor for all workers, then run again: parts that are "
        "complete are kept"
    )


def index_changes(manifest: Manifest, prepared: Prepared) -> Iterator[str]:
    """What the indexes would be built with instead, and what that takes."""
    for name, settings in (
        ("index", (manifest.index_settings, prepared.index)),
        ("lexical index", (manifest.lexical_settings, prepared.lexical)),
    ):
        before, after = ({} if one is None else to_builtins(one) for one in settings)
        for line in differences(before, after):
            yield f"{name}: {line} (it would be built again from the tables, encoding nothing)"


def reader_changes(manifest: Manifest, prepared: Prepared) -> Iterator[str]:
    """Which versions of readers differ, and what that takes."""
    for line in differences(manifest.readers, dict(prepared.readers)):
        yield f"readers: {line} (documents of this kind would be read and encoded again)"


def _check_rows(
    config: RunConfig,
    before: RowFingerprint,
    environments: Mapping[str, Environment],
    prepared: Prepared,
    also: Sequence[str],
) -> None:
    """Refuse to continue if the rows would differ.

    Args:
        config: of the run.
        before: what the existing rows were made with.
        environments: in which they were made, by digest.
        prepared: the run.
        also: other differences, which would not stop the run by themselves.
    """
    now = prepared.rows
    more = f"\nThese also differ, and are handled automatically:{_listed(also)}" if also else ""
    settings = _listed(differences(to_builtins(before.settings), to_builtins(now.settings)))
    if settings:
        raise FingerprintError(
            f"output {config.output!r} holds rows made with other models or settings:{settings}\n"
            "Go back to those settings, which costs nothing, or name another folder with --output, "
            f"which encodes every document again{more}"
        )
    if config.accept_drift or now.digest in environments:
        return
    drift = _listed(differences(to_builtins(before.environment), to_builtins(now.environment)))
    raise FingerprintError(
        f"output {config.output!r} holds rows made in another environment, where bits may differ:"
        f"{drift}\n"
        "Go back to that environment, which costs nothing; add --accept-drift, which encodes new "
        "and changed documents only and records the mixture; or name another folder with "
        f"--output, which encodes every document again{more}"
    )


def _listed(lines: Iterable[str]) -> str:
    return "".join(f"\n  {line}" for line in lines)


def _index_settings(models: Models) -> IndexSettings | None:
    if models.metric is None:
        return None
    return IndexSettings(metric=models.metric, type=DEFAULT_TYPE, faiss=faiss_version())


def _named_models(config: RunConfig, models: Models) -> NamedModels:
    named = config.models
    return NamedModels(
        embed=named.embed,
        embed_path=os.path.abspath(named.embed) if os.path.isdir(named.embed) else None,
        embed_digest=models.embed_digest,
        query_prompt=None if models.prompts is None else models.prompts.query,
        heads={
            task.name: named.models_of(task) for task in TASKS.values() if task.head_name is None
        },
    )
