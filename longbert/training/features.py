"""The first step of a training: the backbone reads every document once, and what is read is stored.

Features are kept in chunks of documents, as NumPy files that are read through memory maps.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longbert.arrays import Array
from longbert.core.fingerprint import differences
from longbert.core.windows import Window
from longbert.encoders.batch import WindowBatch
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.learned.features import FeatureHead, WindowFeatures
from longbert.encoders.models import LoadedBackbone
from longbert.encoders.passes import Pass
from longbert.engine.encode import WindowPartials, encode_windows
from longbert.engine.meter import Meter
from longbert.errors import DocumentError, FingerprintError, InputError, OutputError
from longbert.records import Document, LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.training.base import (
    FeatureReader,
    FeatureWindow,
    ModuleT,
    Rows,
    Scorer,
    Trainable,
)

CHUNK_CHARS = 400_000
"""About the size of the documents whose features are computed and stored together."""


def feature_head(reader: FeatureReader) -> FeatureHead:
    """The head that hands out what a reader reads."""

    def read(states: Sequence[Tensor], batch: WindowBatch, row: int) -> WindowFeatures:
        with torch.inference_mode():
            own = reader.read(states, batch, row).cpu().numpy()
        return {reader.name: own, **reader.read_text(batch.windows[row])}

    return FeatureHead(read, needs_word_shapes=reader.needs_word_shapes)


def encode_document(
    loaded: LoadedBackbone, head: Head, document: LabelledDocument
) -> WindowPartials:
    """What a head makes of a document's windows, as in a run.

    Raises:
        InputError: the document cannot be encoded.
    """
    texts = [Document(document.document_id, document.text)]
    (result,) = encode_windows(loaded.pass_for(head), texts)
    if isinstance(result, DocumentError):
        raise InputError(f"{document.source}: {result.message}")
    return result


class FeatureStore:
    """A folder of features, in chunks that are complete or not there.

    Args:
        folder: made if it does not exist.
        identity: all that decides on the features, documents included.

    Raises:
        FingerprintError: the folder holds features of something else.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        description = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        file = folder / "features.json"
        if file.is_file() and file.read_text(encoding="utf-8") != description:
            before, now = _parsed(file), json.loads(description)
            changes = "".join(f"\n  {line}" for line in differences(before, now))
            raise FingerprintError(
                f"{folder} holds the features of other documents, another backbone or other "
                f"settings:{changes}\nRemove the folder, or name another one with --features"
            )
        try:
            LocalFileSystem().write(str(file), description.encode())
        except OSError as error:
            raise _cannot_write(folder, error) from error

    def fill(
        self,
        documents: Sequence[LabelledDocument],
        pass_: Pass,
        *,
        meter: Meter,
        on_chunk: Callable[[int], None] = lambda n_done: None,
        chunk_chars: int = CHUNK_CHARS,
    ) -> list[list[FeatureWindow]]:
        """Compute what is not there yet, and open all of it.

        Args:
            documents: in the order of their numbers.
            pass_: of one head that hands out features.
            meter: told of windows and tokens as they are done.
            on_chunk: told how many documents are done.
            chunk_chars: of the documents of a chunk, which may hold one that is longer.

        Returns:
            The windows of each document.

        Raises:
            InputError: a document cannot be encoded.
            OutputError: the folder cannot be written.
        """
        windows: list[list[FeatureWindow]] = [[] for _ in documents]
        for number, (start, stop) in enumerate(_chunks(documents, chunk_chars)):
            folder = self.folder / f"{number:06}"
            try:
                stored = list(_read_chunk(folder))
            except (OSError, ValueError, EOFError):
                # Not there, or damaged.
                shutil.rmtree(folder, ignore_errors=True)
                try:
                    _write_chunk(folder, documents[start:stop], start, pass_, meter)
                except OSError as error:
                    raise _cannot_write(self.folder, error) from error
                stored = list(_read_chunk(folder))
            for window in stored:
                windows[window.document].append(window)
            on_chunk(stop)
        return windows


class StoredFeatures:
    """Features of a backbone that stays as it is, read from a store.

    Args:
        loaded: the backbone.
        windows: of each document, as :meth:`FeatureStore.fill` gives them.
        name: of the reader's array.
    """

    runs_backbone = False

    def __init__(
        self, loaded: LoadedBackbone, windows: Sequence[Sequence[FeatureWindow]], *, name: str
    ) -> None:
        self._loaded = loaded
        self._windows = windows
        self._name = name

    def trainable(self, head: ModuleT) -> Trainable[ModuleT]:
        """The head's module alone."""
        return Trainable(head, None)

    def windows(self, document: int) -> Sequence[FeatureWindow]:
        """The windows of a document, in order."""
        return self._windows[document]

    def read(
        self, module: Trainable[Any], chosen: Sequence[tuple[FeatureWindow, Rows]]
    ) -> list[Tensor]:
        """Copies of stored rows, which are all that is read from disk."""
        return [
            torch.from_numpy(np.array(window.features[self._name][rows])) for window, rows in chosen
        ]

    def partials(self, module: Trainable[Any], scorer: Scorer, document: int) -> Sequence[Any]:
        """What a scorer's head makes of each window, from its features."""
        return [scorer.partial(window) for window in self._windows[document]]

    def backbone(self, module: Trainable[Any]) -> LoadedBackbone:
        """The backbone as it was loaded."""
        return self._loaded


def _chunks(documents: Sequence[LabelledDocument], chunk_chars: int) -> Iterator[tuple[int, int]]:
    """Half-open runs of documents of about one size."""
    start = n_chars = 0
    for number, document in enumerate(documents):
        n_chars += len(document.text)
        if n_chars >= chunk_chars:
            yield start, number + 1
            start, n_chars = number + 1, 0
    if start < len(documents):
        yield start, len(documents)


def _cannot_write(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"features cannot be written to {folder} ({error.strerror or error}): name another folder "
        "with --features"
    )


def _parsed(file: Path) -> Any:
    """What a folder of features says of itself; nothing if that is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return {}


def _write_chunk(
    folder: Path, documents: Sequence[LabelledDocument], first: int, pass_: Pass, meter: Meter
) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    texts = [Document(one.document_id, one.text) for one in documents]
    rows: list[tuple[int, ...]] = []
    arrays: dict[str, list[Array]] = {}
    for number, result in enumerate(encode_windows(pass_, texts, meter=meter)):
        if isinstance(result, DocumentError):
            raise InputError(f"{documents[number].source}: {result.message}")
        for window, features in zip(result.windows, result.partials, strict=True):
            own = window.window
            (n_rows,) = {len(values) for values in features.values()}
            rows.append(
                (first + number, own.start, own.stop, own.owned_start, own.owned_stop, n_rows)
            )
            for name, values in features.items():
                arrays.setdefault(name, []).append(values)
    (unfinished / "names.json").write_text(json.dumps(sorted(arrays)), encoding="utf-8")
    np.save(unfinished / "windows.npy", np.array(rows, dtype=np.int64))
    for name, parts in arrays.items():
        _save_joined(unfinished / f"rows-{name}.npy", parts)
    os.replace(unfinished, folder)


def _save_joined(file: Path, parts: Sequence[Array]) -> None:
    """Write what ``np.save`` would of the concatenation, without holding that in memory."""
    header = {
        "descr": np.lib.format.dtype_to_descr(parts[0].dtype),
        "fortran_order": False,
        "shape": (sum(len(part) for part in parts), *parts[0].shape[1:]),
    }
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            part.tofile(stream)


def _read_chunk(folder: Path) -> Iterator[FeatureWindow]:
    """The windows of a chunk; raises OSError or ValueError where it is not whole."""
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    arrays = {name: np.load(folder / f"rows-{name}.npy", mmap_mode="r") for name in names}
    rows = np.load(folder / "windows.npy").tolist()
    if any(len(values) != sum(row[-1] for row in rows) for values in arrays.values()):
        raise ValueError(f"{folder} does not hold the rows that it names")
    row = ordinal = 0
    before = None
    for document, start, stop, owned_start, owned_stop, n_rows in rows:
        ordinal = ordinal + 1 if document == before else 0
        before = document
        features = {name: values[row : row + n_rows] for name, values in arrays.items()}
        window = Window(start, stop, owned_start, owned_stop)
        yield FeatureWindow(document, ordinal, window, features)
        row += n_rows
