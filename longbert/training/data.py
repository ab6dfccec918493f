"""Labelled documents for a training, and which of them are held back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from longbert.errors import ConfigError, InputError
from longbert.readers.labels import LABEL_KINDS, LabelledData, check_trainable, read_labelled
from longbert.records import LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.training.config import TrainConfig

FEW = 30
"""Scores of fewer documents (or temperatures fitted on fewer) say more of these than of a head."""

DEFAULT_FOLDS = 5
"""Of the cross-validation where few documents are held back."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled documents.

    Attributes:
        main: to learn from and to validate on.
        extra: only to learn from.
        n_dropped_spans: spans left out because they overlap a longer one.
    """

    main: LabelledData
    extra: tuple[LabelledDocument, ...]
    n_dropped_spans: int


def read_training_data(config: TrainConfig) -> TrainingData:
    """Read and check all files of a training.

    Raises:
        InputError: with file, line, field, value and remedy.
    """
    files = [_read(path, config) for path in config.data]
    extra = [_read(path, config) for path in config.extra_data]
    first = files[0]
    seen: dict[str, str] = {}
    for file in (*files, *extra):
        if file.kind != first.kind:
            raise InputError(
                f"{file.path}: field {file.field!r} holds {file.kind}, but that of {first.path} "
                f"holds {first.kind}: train a head on files of one kind"
            )
        for document in file.documents:
            if document.document_id in seen:
                raise InputError(
                    f"{document.source}: id {document.document_id!r} is in "
                    f"{seen[document.document_id]}, too: give every document an id of its own"
                )
            seen[document.document_id] = file.path
    main = replace(
        first,
        documents=tuple(document for file in files for document in file.documents),
        labels=tuple(sorted({label for file in files for label in file.labels})),
        n_dropped_spans=sum(file.n_dropped_spans for file in files),
    )
    check_trainable(main, n_folds=config.n_folds or None)
    if len(main.documents) < 2:
        raise InputError(
            f"{main.path} has a single document, and a head needs at least one to learn from and "
            "one to be validated on: label more documents"
        )
    n_documents = len(main.documents)
    if config.n_folds and not _leaves_two(n_documents, config.n_folds):
        raise InputError(
            f"{main.path} has {n_documents} documents, of which {config.n_folds} folds leave a "
            "single one, and a head needs at least one to learn from and one to be validated on: "
            "label more documents, or leave out --folds"
        )
    for file in extra:
        unknown = sorted(set(file.labels) - set(main.labels))
        if unknown:
            raise InputError(
                f"{file.path} has the label {unknown[0]!r}, which no document of "
                f"{', '.join(config.data)} has: rename it, or give the file with --data"
            )
    return TrainingData(
        main,
        tuple(document for file in extra for document in file.documents),
        main.n_dropped_spans + sum(file.n_dropped_spans for file in extra),
    )


def digest_of(documents: Sequence[LabelledDocument]) -> str:
    """SHA-256 of documents and their labels."""
    digest = hashlib.sha256()
    for one in documents:
        spans = [[s.char_start, s.char_end, s.label] for s in one.spans or ()]
        row = [one.document_id, one.text, list(one.labels or ()), spans]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def n_folds_of(documents: Sequence[LabelledDocument], config: TrainConfig) -> int:
    """Folds of the cross-validation; 0 for none.

    As many as asked for; else 5 where fewer than 30 documents are held back for validation, since
    scores on so few say little, and none where they are more.

    Args:
        documents: those of ``data``.
        config: for folds, share and seed.
    """
    if config.n_folds is not None:
        return config.n_folds
    n_documents = len(documents)
    n_folds = min(DEFAULT_FOLDS, n_documents)
    held_back = validation_of(range(n_documents), documents, config)
    return n_folds if len(held_back) < FEW and _leaves_two(n_documents, n_folds) else 0


def _leaves_two(n_documents: int, n_folds: int) -> bool:
    """Whether the largest fold leaves a document to learn from and one to validate."""
    return n_documents - -(-n_documents // n_folds) >= 2


def validation_of(
    numbers: Sequence[int], documents: Sequence[LabelledDocument], config: TrainConfig
) -> list[int]:
    """Numbers of the documents that are held back: the same share of each class.

    Args:
        numbers: of the documents to choose from.
        documents: those of ``data``.
        config: for share and seed.
    """
    own = [documents[number] for number in numbers]
    order = _dealt(own, config.seed)
    step = 1 / config.validation_share
    places = [math.floor(round(index * step, 6)) for index in range(len(own))]
    # At least one on either side.
    held_back = [order[place] for place in places if place < len(own)][: len(own) - 1]
    # Where documents have one class each, every class of two documents or more is validated on.
    by_class: dict[str, list[int]] = {}
    for index in order:
        if len(own[index].labels or ()) == 1:
            by_class.setdefault((own[index].labels or ("",))[0], []).append(index)
    for members in by_class.values():
        if len(members) > 1 and len(own) > len(held_back) + 1 and not {*members} & {*held_back}:
            held_back.append(members[0])
    return sorted(numbers[index] for index in held_back)


def folds_of(documents: Sequence[LabelledDocument], n_folds: int, seed: int) -> list[list[int]]:
    """Disjoint groups of documents, of about one size and with about the same classes each.

    Raises:
        ConfigError: there are fewer documents than folds.
    """
    if len(documents) < n_folds:
        raise ConfigError(f"folds must be at most {len(documents)} here, got {n_folds}")
    order = _dealt(documents, seed)
    return [sorted(order[fold::n_folds]) for fold in range(n_folds)]


def _dealt(documents: Sequence[LabelledDocument], seed: int) -> list[int]:
    """Numbers of documents, class by class, in a random order within each."""
    order: list[int] = np.random.default_rng(seed).permutation(len(documents)).tolist()
    order.sort(key=lambda number: documents[number].labels or ())
    return order


def _read(path: str, config: TrainConfig) -> LabelledData:
    return read_labelled(
        LocalFileSystem(),
        path,
        id_field=config.id_field,
        text_field=config.text_field,
        label_field=config.label_field,
        kinds=[kind for kind in LABEL_KINDS if kind in config.training.label_kinds],
    )
