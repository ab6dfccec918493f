"""The steps of a run. The plain driver and the Beam pipeline put the same steps in order."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import pyarrow as pa

from longbert.config import ModelConfig, RunConfig
from longbert.core.fingerprint import differences, fingerprint
from longbert.core.units import Part, Plan, Unit, plan_units
from longbert.encoders.models import Models, load_models
from longbert.engine.encode import UNKNOWN_SHARE_WARNING, encode_documents
from longbert.engine.meter import Meter, NullMeter, timed
from longbert.errors import (
    ConfigError,
    DocumentError,
    FingerprintError,
    InputError,
    LongbertError,
    OutputError,
)
from longbert.index.backend import DISTRIBUTIONS, load_faiss
from longbert.index.build import build_index
from longbert.readers.documents import read, scan
from longbert.readers.inputs import Listing, list_inputs
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentRef, DocumentResult, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem
from longbert.store.folder import FORMAT, OutputFolder, Receipt, entry_of
from longbert.store.tables import (
    build_tables,
    counts_of_tables,
    from_parquet,
    table_names,
    to_parquet,
)

_LIBRARIES = ("pyarrow",)
# Errors that are the machine's and not the document's.
_PASSING_ERRORS = {
    ("read", "unreadable"),
    ("encode", "MemoryError"),
    ("encode", "OutOfMemoryError"),
}


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What is left of a plan when its units are done."""

    parts: tuple[str, ...]
    n_documents: int
    n_unchanged: int
    n_removed: int
    n_units: int
    n_units_copied: int
    n_units_resumed: int


@dataclass(frozen=True)
class Session:
    """A run's settings and file system, from which every step can be done on any machine.

    Attributes:
        config: the run.
        filesystem: where inputs and output lie.
        meter: told of the work as it is done.
        threads: of torch in each process; None: what torch chooses.
    """

    config: RunConfig
    filesystem: FileSystem
    meter: Meter = field(default_factory=NullMeter)
    threads: int | None = None

    @property
    def output(self) -> OutputFolder:
        """The output folder."""
        return OutputFolder(self.filesystem, self.config.output)

    @property
    def models(self) -> Models:
        """The models, loaded once in a process."""
        return _models(self.config.models, self.threads)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the run writes."""
        return table_names(window_scores=self.config.models.window_scores)

    def settings(self) -> dict[str, Any]:
        """Everything that decides on the output."""
        models = self.models
        versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
        if models.width is not None:
            load_faiss()
            versions["faiss"] = _faiss_version()
        return {
            "format": FORMAT,
            "longbert": importlib.metadata.version("longbert"),
            "id_field": self.config.id_field,
            "text_field": self.config.text_field,
            "unit_bytes": self.config.unit_bytes,
            "metric": models.metric,
            "window_scores": self.config.models.window_scores,
            "models": dict(models.description),
            "libraries": versions,
        }

    def prepare(self) -> str:
        """Claim the output folder for this configuration.

        Returns:
            The run fingerprint.

        Raises:
            FingerprintError: the folder belongs to another configuration.
            OutputError: the folder cannot be written.
            ModelError, ConfigError: models or settings do not fit.
        """
        settings = self.settings()
        output = self.output
        if os.path.isfile(output.path):
            raise ConfigError(f"output {output.path!r} is a file: name a folder")
        manifest = output.manifest()
        before = manifest["settings"] if manifest else output.read_json("fingerprint.json")
        if before is None or (before != settings and manifest is None and not output.has_parts()):
            output.write_json("fingerprint.json", settings)
        elif before != settings:
            changes = "".join(f"\n  {line}" for line in differences(before, settings))
            raise FingerprintError(
                f"output {output.path!r} was made with other settings:{changes}\n"
                "Go back to those settings, or name another folder with --output"
            )
        return fingerprint(settings)

    def list_files(self) -> Listing:
        """The files that the inputs name, those of the output folder left out.

        Raises:
            InputError: an input is missing, or holds no document.
        """
        listing = list_inputs(self.filesystem, self.config.inputs)
        inside = _absolute(self.config.output) + "/"
        files = tuple(f for f in listing.files if not _absolute(f.path).startswith(inside))
        if not files:
            raise InputError(
                f"input holds no document but those of the output {self.config.output!r}: "
                "name the folder of your documents"
            )
        self.meter.add({f"skipped {suffix}": n for suffix, n in listing.skipped.items()})
        return replace(listing, files=files)

    def scan_file(self, file: InputFile) -> Iterator[DocumentRef]:
        """The documents of a file, without their texts."""
        return scan(self.filesystem, file, ReadSettings.of_run(self.config))

    def plan(self, refs: Iterable[DocumentRef], run_fingerprint: str) -> Plan:
        """Plan units against what the output holds already."""
        manifest = self.output.manifest()
        earlier = [] if manifest is None else self._earlier_parts(manifest)
        plan = plan_units(
            refs,
            unit_bytes=self.config.unit_bytes,
            fingerprint=run_fingerprint,
            earlier=earlier,
        )
        n_bytes = sum(unit.n_bytes for unit in plan.units)
        n_new = plan.n_documents - plan.n_unchanged
        self.meter.add({"planned_documents": n_new, "planned_bytes": n_bytes})
        return plan

    def _earlier_parts(self, manifest: Mapping[str, Any]) -> list[Part]:
        """The parts of the output that are whole, less what may succeed when it is tried again.

        What is wrong with a document stays wrong until it changes, but a disk may recover, and
        another run may have more memory. A part that lost a file is made again.
        """
        parts = []
        for entry in manifest["parts"]:
            receipt = self.output.whole_receipt(entry["name"])
            if receipt is None:
                continue
            part = receipt.part
            unreadable = self._passing_errors(part.name) if receipt.counts["errors"] else set()
            documents = tuple(
                replace(one, identity="") if (one.source, one.document_id) in unreadable else one
                for one in part.documents
            )
            parts.append(Part(part.name, documents))
        return parts

    def _passing_errors(self, part: str) -> set[tuple[str, str | None]]:
        rows = self._table("errors", part).to_pylist()
        return {
            (row["source"], row["document_id"])
            for row in rows
            if (row["stage"], row["error"]) in _PASSING_ERRORS
        }

    def _table(self, table: str, part: str) -> pa.Table:
        """The committed rows of a part; raises OutputError if they are gone."""
        file = self.output.table_file(table, part)
        data = self.output.read(file)
        if data is None:
            raise OutputError(f"{self.output.join(file)} is missing: restore it")
        return from_parquet(data)

    def make(self, unit: Unit, run_fingerprint: str) -> bool:
        """Make a unit's part, unless a run that was stopped left its receipt.

        Returns:
            Whether there was anything to do.

        Raises:
            OutputError: a file cannot be written.
        """
        receipt = self.output.whole_receipt(unit.part.name)
        if receipt is not None and receipt.fingerprint == run_fingerprint:
            self.meter.add(
                {
                    "bytes": unit.n_bytes,
                    "documents": len(unit.refs),
                    "resumed_documents": len(unit.refs),
                    "resumed_bytes": unit.n_bytes,
                }
            )
            return False
        if unit.copy_from is not None:
            tables, counts = self._copy(unit, unit.copy_from)
        else:
            tables, counts = self._encode(unit)
        with timed(self.meter, "writing"):
            self._commit(unit.part, run_fingerprint, tables, counts)
        return True

    def summarize(self, plan: Plan, n_resumed: int) -> PlanSummary:
        """What the last step needs of a plan."""
        return PlanSummary(
            parts=plan.parts,
            n_documents=plan.n_documents,
            n_unchanged=plan.n_unchanged,
            n_removed=plan.n_removed,
            n_units=len(plan.units),
            n_units_copied=sum(unit.copy_from is not None for unit in plan.units),
            n_units_resumed=n_resumed,
        )

    def finish(self, summary: PlanSummary) -> dict[str, Any]:
        """Index the committed parts and write the manifest, which makes them the output.

        Raises:
            OutputError: a part has no receipt, or a file cannot be written.
        """
        output = self.output
        receipts = []
        for name in summary.parts:
            receipt = output.receipt(name)
            if receipt is None:
                raise OutputError(f"part {name} has no receipt: run again to make it")
            receipts.append(receipt)
        before = output.manifest()
        index = before["index"] if before is not None else None
        named = [] if before is None else [part["name"] for part in before["parts"]]
        if named != list(summary.parts) or not self._has_index(index):
            with timed(self.meter, "indexing"):
                index = self._index(summary.parts)
        manifest = self._manifest(receipts, index)
        if manifest != before:
            output.write_json("manifest.json", manifest)
        description = output.read_json(index["file"]) if index else None
        output.remove_unnamed(summary.parts, _index_files(index, description))
        return manifest

    def _encode(self, unit: Unit) -> tuple[dict[str, pa.Table], dict[str, int]]:
        with timed(self.meter, "reading"):
            items = list(read(self.filesystem, unit.refs, ReadSettings.of_run(self.config)))
        documents = [item for item in items if isinstance(item, Document)]
        encoded = encode_documents(
            self.models,
            documents,
            passage_tokens=self.config.models.passage,
            meter=self.meter,
            n_bytes=unit.n_bytes,
        )
        results: list[DocumentResult] = []
        errors: list[ErrorRow] = []
        for item in items:
            outcome = next(encoded) if isinstance(item, Document) else item
            if isinstance(outcome, DocumentResult):
                results.append(outcome)
            elif isinstance(outcome, DocumentError):
                assert isinstance(item, Document)
                errors.append(_error_row(item, outcome))
            else:
                errors.append(outcome)
        self.meter.add(
            {
                "documents": len(items),
                "errors": len(errors),
                "unknown_script": sum(
                    r.n_chars_unknown > UNKNOWN_SHARE_WARNING * len(r.document.text)
                    for r in results
                ),
            }
        )
        tables = build_tables(results, errors, width=self.models.width, names=self.tables)
        return tables, counts_of_tables(tables)

    def _copy(self, unit: Unit, name: str) -> tuple[dict[str, pa.Table], dict[str, int]]:
        """The rows of an earlier part whose documents are still there."""
        kept = {one.document_id for one in unit.part.documents if not one.failed}
        kept_sources = {(one.source, one.document_id) for one in unit.part.documents}
        tables = {}
        for table in self.tables:
            rows = self._table(table, name)
            ids = rows.column("document_id").to_pylist()
            if table == "errors":
                sources = rows.column("source").to_pylist()
                mask = [pair in kept_sources for pair in zip(sources, ids, strict=True)]
            else:
                mask = [document_id in kept for document_id in ids]
            tables[table] = rows.filter(pa.array(mask, type=pa.bool_()))
        return tables, counts_of_tables(tables)

    def _commit(
        self,
        part: Part,
        run_fingerprint: str,
        tables: Mapping[str, pa.Table],
        counts: Mapping[str, int],
    ) -> None:
        files = {}
        for name, table in tables.items():
            data = to_parquet(table)
            self.output.write(self.output.table_file(name, part.name), data)
            files[name] = entry_of(data, n_rows=table.num_rows)
        self.output.write_receipt(Receipt(part, run_fingerprint, files, counts))

    def _has_index(self, index: Mapping[str, str] | None) -> bool:
        """Whether the files of an index are there; one that was removed is built again."""
        if index is None:
            return True
        data = self.output.read(index["file"])
        if data is None or hashlib.sha256(data).hexdigest() != index["sha256"]:
            return False
        return all(self.output.exists(file) for file in _index_files(index, json.loads(data)))

    def _index(self, parts: Sequence[str]) -> dict[str, str] | None:
        metric = self.models.metric
        if metric is None:
            return None
        try:
            built = build_index(self.filesystem, self.output.path, parts, metric=metric)
        except OSError as error:
            raise OutputError(f"the index cannot be written ({error}): run again") from error
        return None if built is None else built.entry

    def _manifest(
        self, receipts: Sequence[Receipt], index: Mapping[str, str] | None
    ) -> dict[str, Any]:
        settings = self.settings()
        prompts = self.models.prompts
        counts: Counter[str] = Counter()
        for receipt in receipts:
            counts.update(receipt.counts)
        return {
            "format": FORMAT,
            "fingerprint": fingerprint(settings),
            "settings": settings,
            "models": {
                "embed": self.config.models.embed,
                "embed_digest": self.models.embed_digest,
                "query_prompt": None if prompts is None else prompts.query,
                "classify": list(self.config.models.classify),
                "ner": list(self.config.models.ner),
            },
            "counts": dict(counts),
            "parts": [
                {
                    "name": receipt.part.name,
                    "counts": dict(receipt.counts),
                    "files": {table: asdict(entry) for table, entry in receipt.files.items()},
                }
                for receipt in receipts
            ],
            "index": None if index is None else dict(index),
        }


@lru_cache(maxsize=2)
def _models(config: ModelConfig, threads: int | None) -> Models:
    if threads is not None:
        from longbert.encoders.runtime.device import set_threads

        set_threads(threads)
    return load_models(config)


def _faiss_version() -> str:
    for name in DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise LongbertError("FAISS is not installed: pip install 'longbert[cpu]'")


def _index_files(index: Mapping[str, str] | None, description: Any) -> list[str]:
    if index is None:
        return []
    return [index["file"], description["passages"]["file"], description["documents"]["file"]]


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.realpath(path)


def _error_row(document: Document, error: DocumentError) -> ErrorRow:
    return ErrorRow(document.source, document.document_id, error.stage, error.error, error.message)
