"""After all units: build the index, write the manifest that publishes them, and record the run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest

import pyarrow as pa

from longbert.config_text import flat_settings
from longbert.engine.context import RunContext
from longbert.engine.done_units import DoneUnits
from longbert.engine.history import RunEntry, read_history, record_run
from longbert.engine.meter import PROGRESS, timed
from longbert.engine.plan import PlanSummary, manifest_digest
from longbert.engine.prepare import Prepared
from longbert.errors import ConfigError, LockError, OutputError
from longbert.index.build import BuiltIndex, build_index
from longbert.store.fingerprints import Environment, IndexSettings
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexDescription, IndexEntry
from longbert.store.layout import CLAIM, MANIFEST
from longbert.store.leftovers import remove_unnamed
from longbert.store.manifest import Claim, Manifest
from longbert.store.receipts import ShardEntry
from longbert.store.record import FORMAT, to_json
from longbert.store.shards import part_names


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Metadata of a run that does not affect its output.

    Attributes:
        runner: its name.
        workers: processes; None where the runner decides.
        began: seconds since the epoch.
        models: see :func:`longbert.engine.remembered.models_key`.
    """

    runner: str
    workers: int | None = None
    began: float = field(default_factory=time.time)
    models: str | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did.

    Attributes:
        manifest: of the output as it is now.
        entry: this run's entry in the history.
    """

    manifest: Manifest
    entry: RunEntry

    @property
    def found_all_done(self) -> bool:
        """Whether there was nothing to do."""
        return self.encoded_nothing and not self.entry.written

    @property
    def encoded_nothing(self) -> bool:
        """Whether rows and index are as they were, be it that their records were not."""
        return self.entry.units == 0 and self.entry.removed == 0 and not self.entry.indexed


def finish(
    context: RunContext,
    summary: PlanSummary,
    done: DoneUnits,
    shards: Sequence[ShardEntry],
    prepared: Prepared,
    info: RunInfo,
    *,
    check: Callable[[], None] = lambda: None,
) -> RunResult:
    """Index the committed parts, write the manifest, and add the run to the history.

    Args:
        context: the run.
        summary: of its plan.
        done: what its units came to.
        shards: of its parts, in order.
        prepared: the run's fingerprints and models.
        info: about the run.
        check: called before anything is changed; raises if the output is another run's.

    Raises:
        LockError: another run has written the manifest since this one was planned.
        OutputError: a file cannot be read or written.
    """
    before = context.output.manifest()
    is_again = manifest_digest(context) != summary.manifest_sha256
    if is_again and not _is_own(before, shards, prepared):
        raise _overtaken(context)
    published = publish(context, shards, prepared, before, check=check)
    manifest = published.manifest
    totals = context.meter.totals()
    entry = RunEntry(
        began=datetime.fromtimestamp(info.began, UTC).isoformat(timespec="milliseconds"),
        seconds=round(time.time() - info.began, 3),
        runner=info.runner,
        workers=info.workers,
        device=prepared.device,
        settings=flat_settings(context.config),
        documents=summary.counts.documents,
        unchanged=summary.counts.unchanged,
        removed=summary.counts.removed,
        missing=0 if summary.keeps_missing else summary.counts.missing,
        kept=summary.counts.missing if summary.keeps_missing else 0,
        units=summary.counts.units,
        units_copied=summary.counts.copied,
        units_reindexed=summary.counts.reindexed,
        units_resumed=done.n_resumed,
        documents_resumed=done.n_documents_resumed,
        encoded=dict(done.encoded),
        indexed=published.is_indexed,
        written=published.written or ((MANIFEST,) if is_again else ()),
        reindexed=published.built.reason,
        fingerprint=manifest.fingerprint,
        models=info.models,
        measured={name: round(totals[name], 3) for name in sorted({*totals} - PROGRESS)},
    )
    result = RunResult(manifest, entry)
    try:
        record_run(context.output, entry, published.built.report)
    except OutputError:
        # A finished output may lie where nothing can be written.
        if not result.found_all_done:
            raise
    return result


@dataclass(frozen=True, slots=True)
class Published:
    """An output as it is published.

    Attributes:
        built: its index.
        is_indexed: whether the index was built or added to, be it to the same bytes.
        written: names of the records that were not as they are now.
    """

    manifest: Manifest
    built: BuiltIndex
    is_indexed: bool
    written: tuple[str, ...]


def publish(
    context: RunContext,
    shards: Sequence[ShardEntry],
    prepared: Prepared,
    before: Manifest | None,
    *,
    afresh: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Published:
    """Publish parts: write the index and the manifest, then remove what it does not list.

    Args:
        context: the run.
        shards: of the parts, in order.
        prepared: the run's fingerprints and models.
        before: the manifest so far.
        afresh: whether the index has to be that of a first run, of one segment.
        check: see :func:`finish`.

    Raises:
        LockError: another run has written the manifest.
        OutputError: a file cannot be read, written or removed.
    """
    output = context.output
    built, is_indexed = _index(context, shards, prepared, before, afresh=afresh, check=check)
    manifest = _manifest(context, shards, built.entry, prepared, before)
    written: list[str] = []
    if manifest != before:
        check()
        written.append(MANIFEST)
        expected = output.read(MANIFEST)
        is_ours = (None if expected is None else output.manifest()) == before
        is_ours = is_ours and output.write_if(MANIFEST, to_json(manifest), expected=expected)
        # This step may be done twice at once.
        if not is_ours and output.manifest() != manifest:
            raise _overtaken(context)
    if not _has_claim(output, manifest):
        # It was removed or changed since the first run, or no row of that is left.
        check()
        written.append(CLAIM)
        output.write_record(CLAIM, Claim(format=FORMAT, rows=prepared.rows))
    remove_unnamed(output, manifest, check=check)
    return Published(manifest, built, is_indexed, tuple(written))


def _has_claim(output: OutputFolder, manifest: Manifest) -> bool:
    try:
        claim = output.claim()
    except OutputError:
        return False
    return claim is not None and manifest.admits(claim)


def _is_own(before: Manifest | None, shards: Sequence[ShardEntry], prepared: Prepared) -> bool:
    """Whether the manifest is what this step made when it was done before."""
    return before is not None and (before.shards, before.fingerprint) == (
        tuple(shards),
        prepared.fingerprint,
    )


def _overtaken(context: RunContext) -> LockError:
    return LockError(
        f"another run has written output {context.config.output!r} since this one was planned, and "
        "nothing of its was changed: run again to add what is missing"
    )


def read_result(context: RunContext) -> RunResult:
    """What the last run left in the output folder."""
    return RunResult(context.output.finished(), read_history(context.output).runs[-1])


def kept_index(
    context: RunContext, before: Manifest | None, parts: Iterable[str], prepared: Prepared
) -> IndexEntry | None:
    """The existing index, if it is complete and belongs to these parts and settings.

    Args:
        parts: names, in order.
    """
    if before is None or prepared.index is None:
        return None
    known = part_names(context.output, before.shards)
    if any(one != other for one, other in zip_longest(known, parts)):
        return None
    found = _usable_index(context.output, before, prepared.index)
    return None if found is None else before.index


def _index(
    context: RunContext,
    shards: Sequence[ShardEntry],
    prepared: Prepared,
    before: Manifest | None,
    *,
    afresh: bool,
    check: Callable[[], None],
) -> tuple[BuiltIndex, bool]:
    """The index of these parts, and whether it is new or was brought up to date."""
    if prepared.index is None:
        return BuiltIndex(None), False
    output = context.output
    # Building an index takes more than the names of its parts.
    parts = [*part_names(output, shards)]
    found = None if before is None else _usable_index(output, before, prepared.index)
    if found is not None and afresh and not found.is_fresh(parts):
        found = None
    kept = None if found is None else kept_index(context, before, parts, prepared)
    if kept is not None:
        return BuiltIndex(kept), False
    check()
    with timed(context.meter, "indexing"):
        try:
            built = build_index(output, parts, prepared.index, found)
        except ConfigError as error:
            raise ConfigError(
                f"{error}\nAll tables are written and kept: run again with other options of the "
                "index, and nothing is encoded twice"
            ) from error
    return built, built.entry is not None


def _usable_index(
    output: OutputFolder, manifest: Manifest, settings: IndexSettings
) -> IndexDescription | None:
    """The index that there is, if it is complete and was built with these settings."""
    if manifest.index is None or manifest.index_settings != settings:
        return None
    try:
        description = output.index_description(manifest.index)
    except OutputError:
        return None
    segments = (*description.documents.segments, *description.passages.segments)
    is_whole = all(output.holds(one.file, n_bytes=one.n_bytes) for one in segments)
    return description if is_whole else None


def _manifest(
    context: RunContext,
    shards: Sequence[ShardEntry],
    index: IndexEntry | None,
    prepared: Prepared,
    before: Manifest | None,
) -> Manifest:
    counts: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.counts)
    return Manifest(
        format=FORMAT,
        fingerprint=prepared.fingerprint,
        rows=prepared.rows,
        environments=_environments(context, shards, prepared, before),
        readers=dict(prepared.readers),
        index_settings=prepared.index,
        lexical_settings=prepared.lexical,
        written_with={"pyarrow": pa.__version__, "unit_bytes": str(context.config.unit_bytes)},
        models=prepared.models,
        counts=dict(counts),
        shards=tuple(shards),
        index=index,
    ).sealed()


def _environments(
    context: RunContext,
    shards: Sequence[ShardEntry],
    prepared: Prepared,
    before: Manifest | None,
) -> dict[str, Environment]:
    """Where the rows of every part were made."""
    known = {prepared.fingerprint: prepared.rows.environment}
    if before is not None:
        known = before.environments | known
    else:
        claim = context.output.claim()
        if claim is not None:
            known = {claim.rows.digest: claim.rows.environment} | known
    used = {prepared.fingerprint}.union(*(shard.fingerprints for shard in shards))
    return {digest: known[digest] for digest in sorted(used)}
