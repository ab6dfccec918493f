"""Everything about an output that can be checked without its inputs and its models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from longbert.engine.verify.files import foreign_problems, leftover_problems
from longbert.engine.verify.parts import part_problems
from longbert.engine.verify.problems import Mend, Problem
from longbert.engine.verify.records import record_problems
from longbert.engine.verify.seen import SeenDocuments
from longbert.errors import DamagedError, OutputError, UnfinishedError
from longbert.index.verify import index_problems
from longbert.store.fingerprints import RowFingerprint
from longbert.store.folder import OutputFolder
from longbert.store.layout import MANIFEST
from longbert.store.lock import check_is_not_begun
from longbert.store.manifest import Manifest
from longbert.store.shards import n_parts, part_names, read_parts, read_shard, sums_up


def verify_output(output: OutputFolder) -> Iterator[Problem]:
    """Read a whole output and yield each problem.

    One part at a time is in memory. Names and ids are sorted on disk.

    Raises:
        ConfigError: there is no output to check.
        LockError: it has no manifest yet, and a run is writing it.
        OutputError: it is of another format.
    """
    try:
        manifest = output.finished()
    except (DamagedError, UnfinishedError) as error:
        if isinstance(error, UnfinishedError):
            check_is_not_begun(output)
        mend = Mend.MANIFEST if isinstance(error, DamagedError) else Mend.RUN
        yield Problem(f"{error}. Nothing else was checked", mend, file=MANIFEST)
        return
    yield from (
        Problem(f"{MANIFEST}: {what}", Mend.MANIFEST, file=MANIFEST)
        for what in _manifest_problems(manifest)
    )
    yield from record_problems(output, manifest)
    yield from foreign_problems(output)
    is_damaged = False
    n_listed = 0
    with SeenDocuments() as seen:
        for shard in manifest.shards:
            try:
                entries = read_shard(output, shard)
            except OutputError:
                message = f"{shard.file} is missing or does not match its SHA-256 in the manifest"
                yield Problem(message, Mend.MANIFEST, file=shard.file)
                continue
            n_listed += len(entries)
            if not sums_up(shard, entries):
                message = f"{MANIFEST}: {shard.file} does not hold what it says of it"
                yield Problem(message, Mend.MANIFEST, file=shard.file)
            for entry in entries:
                for problem in part_problems(output, entry, manifest, seen):
                    is_damaged = True
                    yield problem
        for problem in seen.twice():
            is_damaged = True
            yield problem
    if n_listed < n_parts(manifest.shards):
        # Which files belong to the output cannot be said.
        return
    yield from leftover_problems(output, manifest, read_parts(output, manifest.shards))
    if manifest.index is not None:
        yield from (
            Problem(what, Mend.INDEX, file=manifest.index.file)
            for what in index_problems(
                output,
                part_names(output, manifest.shards),
                manifest.index,
                with_tables=not is_damaged,
            )
        )


def readable_manifest(output: OutputFolder) -> Manifest | None:
    """The manifest, or None where :func:`verify_output` says why it cannot be read."""
    with suppress(OutputError):
        return output.manifest()
    return None


def environments_of(output: OutputFolder, manifest: Manifest) -> Iterator[str]:
    """A line for each environment that rows were made in, if there are several."""
    if len(manifest.environments) < 2:
        return
    try:
        parts = Counter(entry.fingerprint for entry in read_parts(output, manifest.shards))
    except OutputError:
        # Said as a problem of the shard.
        return
    for digest, environment in manifest.environments.items():
        libraries = ", ".join(
            f"{name} {version}" for name, version in sorted(environment.libraries.items())
        )
        yield (
            f"{parts[digest]:,} parts were made with longbert {environment.longbert}, {libraries} "
            f"on {environment.processor}"
        )


def _manifest_problems(manifest: Manifest) -> Iterator[str]:
    if not manifest.is_sealed:
        yield "it was changed by something other than a run"
    if manifest.fingerprint != manifest.rows.digest:
        yield "the fingerprint does not belong to the settings"
    for digest, environment in manifest.environments.items():
        made_with = RowFingerprint(settings=manifest.rows.settings, environment=environment)
        if made_with.digest != digest:
            yield f"the environment {digest[:12]} does not have that fingerprint"
    totals: Counter[str] = Counter()
    for shard in manifest.shards:
        totals.update(shard.counts)
    if dict(totals) != manifest.counts:
        yield "the counts are not the sums over the shards"
    if manifest.index is None and manifest.index_settings is not None and totals["documents"]:
        yield "there is an embedding model, but no index"
