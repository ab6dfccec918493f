"""Reading labelled documents for a training, and holding some of them back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from longbert.errors import ConfigError, InputError
from longbert.readers.labels import LabelKind, LabelledData, check_trainable, read_labelled
from longbert.records import LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.training.config import TrainConfig

_KINDS: Mapping[str, tuple[LabelKind, ...]] = {
    "classify": ("label", "labels"),
    "ner": ("entities",),
}


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled documents.

    Attributes:
        main: those to learn from and to validate on.
        extra: those that are only learnt from.
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
                    f"{seen[document.document_id]}, too: give every document its own id"
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
        raise InputError(f"{main.path} has one document only: one to learn from, one to validate")
    n_documents = len(main.documents)
    if config.n_folds and n_documents - -(-n_documents // config.n_folds) < 2:
        raise InputError(
            f"{main.path} has {n_documents} documents, of which {config.n_folds} folds leave one "
            "only, and a head needs one to learn from and one to validate: label more documents, "
            "or leave out --folds"
        )
    for file in extra:
        unknown = sorted(set(file.labels) - set(main.labels))
        if unknown:
            raise InputError(
                f"{file.path} has the label {unknown[0]!r}, which no document of "
                f"{', '.join(config.data)} has: rename it, or give the file as --data"
            )
    return TrainingData(
        main,
        tuple(document for file in extra for document in file.documents),
        main.n_dropped_spans + sum(file.n_dropped_spans for file in extra),
    )


def validation_of(
    numbers: Sequence[int], documents: Sequence[LabelledDocument], config: TrainConfig
) -> list[int]:
    """Numbers of the documents that are held back: the share asked for, of each class alike.

    Args:
        numbers: of the documents to choose from.
        documents: those of ``data``.
        config: for share and seed.
    """
    own = [documents[number] for number in numbers]
    order = _dealt(own, config.seed)
    step = 1 / config.validation_share
    places = [math.floor(round(index * step, 6)) for index in range(len(own))]
    # One at least on either side.
    held_back = [order[place] for place in places if place < len(own)][: len(own) - 1]
    # Every class of two documents or more is validated on, where documents have one each.
    by_class: dict[str, list[int]] = {}
    for index in order:
        if len(own[index].labels or ()) == 1:
            by_class.setdefault((own[index].labels or ("",))[0], []).append(index)
    for members in by_class.values():
        if len(members) > 1 and len(own) > len(held_back) + 1 and not {*members} & {*held_back}:
            held_back.append(members[0])
    return sorted(numbers[index] for index in held_back)


def folds_of(documents: Sequence[LabelledDocument], n_folds: int, seed: int) -> list[list[int]]:
    """Disjoint groups of documents of about one size, each with about the same classes.

    Raises:
        ConfigError: there are fewer documents than folds.
    """
    if len(documents) < n_folds:
        raise ConfigError(f"folds must be at most {len(documents)} here, got {n_folds}")
    order = _dealt(documents, seed)
    return [sorted(order[fold::n_folds]) for fold in range(n_folds)]


def _dealt(documents: Sequence[LabelledDocument], seed: int) -> list[int]:
    """Numbers of documents, class by class, those of a class in a drawn order."""
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
        kinds=_KINDS[config.task],
    )
