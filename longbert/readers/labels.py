"""Labelled documents: JSON lines or Parquet with an answer beside each text."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from longbert.core.measures.spans import flatten_spans
from longbert.errors import DocumentError, InputError, nearest
from longbert.readers.documents import records
from longbert.readers.fields import names, own_id, printable, replace_surrogates, text
from longbert.readers.inputs import InputFiles
from longbert.readers.kinds import KINDS, kind_named
from longbert.readers.settings import ReadSettings
from longbert.readers.values import WrittenNumber
from longbert.records import LabelledDocument, LabelledSpan
from longbert.store.filesystem import FileSystem

LabelKind = Literal["label", "labels", "number", "entities"]
LABEL_KINDS: tuple[LabelKind, ...] = ("label", "labels", "number", "entities")
"""What a field of labels holds: a string, a list of strings, a number, or a list of spans."""

LABEL_FIELDS = ("label", "labels", "entities")
"""Names that are looked for where no field is named."""

MOST_LABEL_CHARS = 200

_OUTSIDE = "O"
_SHOWN_CHARS = 60
_WRITTEN: Mapping[LabelKind, str] = {
    "label": 'a string such as "pos"',
    "labels": 'a list of strings such as ["law", "tax"]',
    "number": "a number such as 3.5",
    "entities": 'a list of spans such as [[0, 4, "PER"]]',
}


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Documents with their answers.

    Attributes:
        path: as given.
        field: the field that held the labels.
        kind: one of :data:`LABEL_KINDS`, the same for all documents.
        documents: in the order of the file.
        labels: all that occur, sorted; none for numbers.
        n_dropped_spans: spans left out because they overlap a longer one; see
            :func:`longbert.core.measures.spans.flatten_spans`.
    """

    path: str
    field: str
    kind: LabelKind
    documents: tuple[LabelledDocument, ...]
    labels: tuple[str, ...]
    n_dropped_spans: int


def read_labelled(
    filesystem: FileSystem,
    path: str,
    *,
    id_field: str = "id",
    text_field: str = "text",
    label_field: str | None = None,
    kinds: Collection[LabelKind] = LABEL_KINDS,
    may_be_empty: bool = False,
) -> LabelledData:
    """Read documents with their labels; the first thing that is wrong ends it.

    An entity is written ``[start, end, label]`` or, as Parquet has to,
    ``{"start": ..., "end": ..., "label": ...}``.

    Args:
        filesystem: where the file is.
        path: JSON lines (also gzip) or Parquet; a folder or glob of these.
        id_field, text_field: names of the fields of a record.
        label_field: left out, the one of :data:`LABEL_FIELDS` that the first record has.
        kinds: those that the caller has a use for.
        may_be_empty: take documents without text.

    Raises:
        InputError: with file, line, field, value and remedy.
    """
    settings = ReadSettings(id_field=id_field, text_field=text_field)
    documents: list[LabelledDocument] = []
    sources: dict[str, str] = {}
    kind: LabelKind | None = None
    decided_by = ""
    values: list[Any] = []
    for source, record, without in _records(filesystem, path, settings):
        label_field = label_field or _label_field(record, source)
        document = _document(record, settings, source, without, may_be_empty=may_be_empty)
        if document.document_id in sources:
            raise InputError(
                f"{source}: id {document.document_id!r} is that of "
                f"{sources[document.document_id]}, too: give every document its own id"
            )
        sources[document.document_id] = source
        value = _value(record, label_field, source)
        found = _kind(value, f"{source}: field {label_field!r}", kinds)
        if found is not None:
            if kind is not None and found != kind:
                raise InputError(
                    f"{source}: field {label_field!r} is {_shown(value)}, but in {decided_by} it "
                    f"is {_WRITTEN[kind]}: write all of them in one way"
                )
            kind, decided_by = found, decided_by or source
        documents.append(document)
        values.append(value)
    if label_field is None:
        raise InputError(f"{path} holds no document: write one JSON object a line")
    known: LabelKind = kind or _kind_of_nothing(label_field, kinds)
    done = [
        _labelled(document, value, known, label_field)
        for document, value in zip(documents, values, strict=True)
    ]
    return LabelledData(
        path=path,
        field=label_field,
        kind=known,
        documents=tuple(document for document, _ in done),
        labels=tuple(sorted({label for document, _ in done for label in _labels_of(document)})),
        n_dropped_spans=sum(n_dropped for _, n_dropped in done),
    )


def check_trainable(data: LabelledData, *, n_folds: int | None = None) -> None:
    """Refuse data that nothing can be learnt from.

    Raises:
        InputError: there is one class only, no entity at all, or there are fewer documents
            than classes or folds.
    """
    where = f"{data.path}: field {data.field!r}"
    n_documents = len(data.documents)
    if data.kind == "entities":
        if not data.labels:
            raise InputError(f"{where} has no entity in any document: label some")
    elif len({(one.labels, one.number) for one in data.documents}) < 2:
        first = data.documents[0]
        only = (
            first.number if data.kind == "number" else ", ".join(first.labels or ()) or "no label"
        )
        raise InputError(
            f"{where} has one class only ({only}) in all of {n_documents:,} documents: "
            "a head needs documents of at least two"
        )
    n_classes = len(data.labels)
    if data.kind != "entities" and n_documents < n_classes:
        raise InputError(
            f"{where} has {n_classes:,} classes in {n_documents:,} documents: "
            "give at least one document for each class, better dozens"
        )
    if n_folds is not None and n_documents < n_folds:
        raise InputError(
            f"{data.path} has {n_documents:,} documents for {n_folds:,} folds: "
            f"take --folds {max(2, n_documents)} or fewer, or label more documents"
        )


def _records(
    filesystem: FileSystem, path: str, settings: ReadSettings
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Source, record, and the id of a record that has none."""
    for file in InputFiles(filesystem, [path]):
        if file.problem:
            raise InputError(f"{file.source} cannot be listed: {file.problem}: make it readable")
        if not kind_named(file.kind).holds_records:
            suffixes = [one for kind in KINDS if kind.holds_records for one in kind.suffixes]
            raise InputError(
                f"{file.source} has no fields to hold labels: "
                f"name a file that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
            )
        for row, record in records(filesystem, file, settings):
            source = f"{file.source}#{row + 1}"
            if isinstance(record, DocumentError):
                raise InputError(f"{source}: {record.message}")
            yield source, record, f"{file.document_id}#{row + 1}"


def _label_field(record: Mapping[str, Any], source: str) -> str:
    found = [name for name in LABEL_FIELDS if name in record]
    if len(found) == 1:
        return found[0]
    what = f"the fields {', '.join(found)}" if found else f"none of {', '.join(LABEL_FIELDS)}"
    raise InputError(
        f"{source}: there are {what} among the fields {names(record)}: "
        "name the one that holds the labels with --label-field"
    )


def _document(
    record: Mapping[str, Any],
    settings: ReadSettings,
    source: str,
    without: str,
    *,
    may_be_empty: bool,
) -> LabelledDocument:
    try:
        identifier = own_id(record, settings) or without
        content, _ = replace_surrogates(text(record, settings))
    except DocumentError as error:
        raise InputError(f"{source}: {error.message}") from None
    if not may_be_empty and not content.strip():
        raise InputError(
            f"{source}: text field {settings.text_field!r} of document {identifier!r} is empty: "
            "give it a text, or leave the document out"
        )
    return LabelledDocument(identifier, content, source)


def _value(record: Mapping[str, Any], field: str, source: str) -> Any:
    value = record.get(field)
    if value is None:
        state = "is null" if field in record else "is missing"
        hint = nearest(field, record) if field not in record else ""
        raise InputError(
            f"{source}: label field {field!r} {state}{hint}; the fields are {names(record)}: name "
            "the one that holds the labels with --label-field, or leave out documents without"
        )
    return value


def _kind(value: Any, where: str, kinds: Collection[LabelKind]) -> LabelKind | None:
    """What a value is; None for an empty list, which may be of either kind of list."""
    kind: LabelKind | None = None
    if isinstance(value, str):
        kind = "label"
    elif isinstance(value, int | float | WrittenNumber) and not isinstance(value, bool):
        kind = "number"
    elif isinstance(value, list):
        if not value and not {"labels", "entities"}.isdisjoint(kinds):
            return None
        if value and isinstance(value[0], list | dict):
            kind = "entities"
        elif value and isinstance(value[0], str):
            kind = "labels"
    if kind is None or kind not in kinds:
        wanted = ", or ".join(_WRITTEN[one] for one in LABEL_KINDS if one in kinds)
        raise InputError(
            f"{where} must be {wanted}, got {_shown(value)}: "
            "write it so, or name another field with --label-field"
        )
    return kind


def _kind_of_nothing(field: str, kinds: Collection[LabelKind]) -> LabelKind:
    """The kind of a field that is an empty list in every document."""
    if "labels" not in kinds or ("entities" in kinds and "entit" in field.lower()):
        return "entities"
    return "labels"


def _labelled(
    document: LabelledDocument, value: Any, kind: LabelKind, field: str
) -> tuple[LabelledDocument, int]:
    """The document with its answer, and how many spans were left out."""
    where = f"{document.source}: field {field!r}"
    labels: tuple[str, ...] | None = None
    number: float | None = None
    spans: tuple[LabelledSpan, ...] | None = None
    n_dropped = 0
    if isinstance(value, list) and kind in ("label", "number"):
        raise InputError(
            f"{where} must be {_WRITTEN[kind]} as in other documents, got {_shown(value)}: "
            "give it one, or leave the document out"
        )
    if kind == "label":
        labels = (_label(value, where),)
    elif kind == "labels":
        given = [_label(one, f"{where}, label {n}") for n, one in enumerate(value, start=1)]
        labels = tuple(sorted(set(given)))
    elif kind == "number":
        number = _number(value, where)
    else:
        n_chars = len(document.text)
        given_spans = [
            _span(one, n_chars, f"{where}, entity {n}") for n, one in enumerate(value, start=1)
        ]
        spans, n_dropped = flatten_spans(given_spans)
    labelled = LabelledDocument(
        document.document_id, document.text, document.source, labels, number, spans
    )
    return labelled, n_dropped


def _label(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(
            f'{where} must be a string, got {_shown(value)}: write it in quotes, such as "pos"'
        )
    if not value.strip() or len(value) > MOST_LABEL_CHARS:
        raise InputError(
            f"{where} must be a label of 1 to {MOST_LABEL_CHARS} characters, got one of "
            f"{len(value):,}{'' if value.strip() else ', all white space'}: "
            "name the field that holds the labels with --label-field"
        )
    return printable(value)


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{where} must be a finite number, got {_shown(value)}: mend or leave out")
    return number


def _span(value: Any, n_chars: int, where: str) -> LabelledSpan:
    if isinstance(value, dict) and {"start", "end", "label"} <= value.keys():
        value = [value["start"], value["end"], value["label"]]
    if not isinstance(value, list) or len(value) != 3:
        raise InputError(
            f"{where} must be [start, end, label], got {_shown(value)}: write it so, with "
            "characters counted from 0 and the end behind the last one"
        )
    start, end, label = value
    if any(isinstance(one, bool) or not isinstance(one, int) for one in (start, end)):
        raise InputError(
            f"{where} must begin with two whole numbers, got {_shown(value)}: "
            "count characters from 0"
        )
    if not 0 <= start < end <= n_chars:
        what = "is reversed or empty" if end <= start else "lies outside the text"
        raise InputError(
            f"{where} {what}: got {start} to {end}, valid is 0 <= start < end <= {n_chars}: count "
            "code points of the text, the end behind the last one"
        )
    name = _label(label, f"{where}, label")
    if name == _OUTSIDE:
        raise InputError(
            f"{where}: the label {_OUTSIDE!r} stands for what is outside of all entities: "
            "leave such spans out"
        )
    return LabelledSpan(start, end, name)


def _labels_of(document: LabelledDocument) -> Iterator[str]:
    yield from document.labels or ()
    yield from (span.label for span in document.spans or ())


def _shown(value: Any) -> str:
    """A value for a message, cut to a readable length; texts by their length alone."""
    if isinstance(value, str) and len(value) > _SHOWN_CHARS:
        return f"a string of {len(value):,} characters"
    shown = json.dumps(value, default=_spelled)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"


def _spelled(value: Any) -> Any:
    return float(value) if isinstance(value, WrittenNumber) else type(value).__name__
