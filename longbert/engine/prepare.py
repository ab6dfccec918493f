"""Before any work: the fingerprints of a run, and whether it may use the output folder."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longbert.config import RunConfig
from longbert.core.fingerprint import differences
from longbert.engine.context import RunContext
from longbert.errors import FingerprintError
from longbert.index.settings import index_settings
from longbert.readers.kinds import reader_versions
from longbert.store.fingerprints import (
    Environment,
    IndexSettings,
    LexicalSettings,
    RowFingerprint,
    RowSettings,
)
from longbert.store.layout import CLAIM
from longbert.store.manifest import Claim, Manifest, NamedModels
from longbert.store.record import FORMAT, to_builtins
from longbert.tasks import TASKS

if TYPE_CHECKING:
    from longbert.encoders.loaded_models import Models


_UNITS_ON_GPU = 3
"""One on the device, one before it and one behind it."""

_DIGEST = re.compile(r"passes\[(?P<pass>\d+)\](\.heads\[(?P<head>\d+)\])?\.digest: ")


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
        width: of the embedding; None without an embedding model, or if none was loaded.
    """

    rows: RowFingerprint
    index: IndexSettings | None
    lexical: LexicalSettings
    models: NamedModels
    readers: Mapping[str, str]
    device: str
    width: int | None = None

    @property
    def fingerprint(self) -> str:
        """Digest of the row fingerprint."""
        return self.rows.digest

    @property
    def is_on_gpu(self) -> bool:
        """Whether a GPU encodes."""
        return self.rows.environment.processor.startswith("cuda")

    @property
    def units_at_once(self) -> int:
        """How many units a process does at a time without Beam, which changes nothing of them.

        A GPU waits while a unit is read, tokenized, assembled or written, unless there are others;
        on a CPU all of this is work of the same cores.
        """
        return _UNITS_ON_GPU if self.is_on_gpu else 1


def prepare(context: RunContext, models: Models) -> Prepared:
    """Claim the output folder for a configuration.

    Raises:
        FingerprintError: the folder holds rows that these settings would not make.
        OutputError: the folder cannot be written, or was written by another version.
    """
    prepared = fingerprints(context, models)
    claim_output(context, prepared)
    return prepared


def fingerprints(context: RunContext, models: Models) -> Prepared:
    """What loaded models say of a run, checked against what the output holds.

    Raises:
        FingerprintError: the folder holds rows that these settings would not make.
        OutputError: the folder was written by another version.
    """
    output = context.output
    config = context.config
    manifest = output.manifest()
    prepared = Prepared(
        rows=row_fingerprint(config, models),
        index=_index_settings(config, models.metric, manifest),
        lexical=context.lexical,
        models=_named_models(config, models),
        readers=reader_versions(),
        device=models.device,
        width=models.width,
    )
    if manifest is not None:
        environments = manifest.environments
        also = (*reader_changes(manifest, prepared), *index_changes(manifest, prepared))
        _check_rows(config, manifest.rows, environments, prepared, also)
        return prepared
    claim = output.claim()
    if claim is not None and output.complete_parts():
        environments = {claim.rows.digest: claim.rows.environment}
        _check_rows(config, claim.rows, environments, prepared, ())
    return prepared


def claim_output(context: RunContext, prepared: Prepared) -> None:
    """Say in the folder which configuration it belongs to, if no run has finished in it.

    Raises:
        OutputError: the folder cannot be written.
    """
    output = context.output
    if output.manifest() is not None:
        return
    claim = output.claim()
    # Complete parts are those of the claim, which may be of another environment.
    if claim is None or (claim.rows != prepared.rows and not output.complete_parts()):
        output.write_record(CLAIM, Claim(format=FORMAT, rows=prepared.rows))


def prepared_before(context: RunContext, manifest: Manifest, *, device: str) -> Prepared:
    """What the last run prepared, where models, settings and environment are the same."""
    index = manifest.index_settings
    return Prepared(
        rows=manifest.rows,
        index=_index_settings(context.config, None if index is None else index.metric, manifest),
        lexical=context.lexical,
        models=manifest.models,
        readers=reader_versions(),
        device=device,
    )


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
    settings = _listed(_setting_changes(before.settings, now.settings))
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


def _setting_changes(before: RowSettings, now: RowSettings) -> Iterator[str]:
    """Which settings differ; a digest with what it is the digest of."""
    for line in differences(to_builtins(before), to_builtins(now)):
        found = _DIGEST.match(line)
        if found is None:
            yield line
            continue
        own = before.passes[int(found["pass"])].heads
        if found["head"] is not None:
            own = own[int(found["head"]) :][:1]
        what = "weights" if found["head"] is not None else "weights or tokenizer of the model"
        yield f"{what} of {', '.join(head.name for head in own)}: {line}"


def _listed(lines: Iterable[str]) -> str:
    return "".join(f"\n  {line}" for line in lines)


def _index_settings(
    config: RunConfig, metric: str | None, manifest: Manifest | None
) -> IndexSettings | None:
    if metric is None:
        return None
    return index_settings(
        metric,
        type=config.type,
        memory=config.memory,
        recall=config.recall,
        before=None if manifest is None else manifest.index_settings,
    )


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
