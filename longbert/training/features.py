"""Features of windows on disk: computed once, read through memory maps."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from longbert.core.fingerprint import differences
from longbert.core.windows import Window
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.models import LoadedBackbone
from longbert.encoders.passes import Pass
from longbert.engine.encode import WindowPartials, encode_windows
from longbert.engine.meter import Meter
from longbert.errors import DocumentError, FingerprintError, InputError, OutputError
from longbert.records import Document, LabelledDocument
from longbert.store.filesystem import LocalFileSystem

_CHUNK_CHARS = 400_000


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """A window of a document with what a module reads of it.

    Attributes:
        document: its number among the documents.
        window: where it lies.
        features: arrays in memory maps.
    """

    document: int
    window: Window
    features: WindowFeatures


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
    """Features of documents in a folder, in chunks that are whole or not there.

    Args:
        folder: made if it does not exist.
        fingerprint: of all that decides on the features, documents included.

    Raises:
        FingerprintError: the folder holds features of something else.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self._folder = folder
        self._windows: list[StoredWindow] = []
        description = json.dumps(fingerprint, indent=1, sort_keys=True) + "\n"
        file = folder / "features.json"
        if file.is_file() and file.read_text(encoding="utf-8") != description:
            before, now = _parsed(file), json.loads(description)
            changes = "".join(f"\n  {line}" for line in differences(before, now))
            raise FingerprintError(
                f"features in {folder} are of other documents, another backbone or other "
                f"settings:{changes}\nRemove the folder, or name another one with --features"
            )
        try:
            LocalFileSystem().write(str(file), description.encode())
        except OSError as error:
            raise OutputError(
                f"features cannot be written to {folder} ({error.strerror or error}): name "
                "another folder with --features"
            ) from error

    def fill(
        self,
        documents: Sequence[LabelledDocument],
        pass_: Pass,
        *,
        meter: Meter,
        on_chunk: Callable[[int], None] = lambda n: None,
    ) -> None:
        """Compute what is not there yet, and open all of it.

        Args:
            documents: in the order of their numbers.
            pass_: of one head that hands out features.
            meter: told of windows and tokens as they are done.
            on_chunk: told how many documents are done.

        Raises:
            InputError: a document cannot be encoded.
        """
        for number, (start, stop) in enumerate(_chunks(documents)):
            folder = self._folder / f"{number:06}"
            try:
                windows = list(_read_chunk(folder))
            except (OSError, ValueError, EOFError):
                # Not there, or damaged.
                shutil.rmtree(folder, ignore_errors=True)
                self._write(folder, documents[start:stop], start, pass_, meter)
                windows = list(_read_chunk(folder))
            self._windows += windows
            on_chunk(stop)

    def windows(self) -> Sequence[StoredWindow]:
        """All windows, in the order of documents and within them."""
        return self._windows

    def _write(
        self,
        folder: Path,
        documents: Sequence[LabelledDocument],
        first: int,
        pass_: Pass,
        meter: Meter,
    ) -> None:
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        texts = [Document(one.document_id, one.text) for one in documents]
        rows: list[tuple[int, ...]] = []
        arrays: dict[str, list[npt.NDArray[Any]]] = {}
        for number, result in enumerate(encode_windows(pass_, texts, meter=meter)):
            if isinstance(result, DocumentError):
                raise InputError(f"{documents[number].source}: {result.message}")
            for window, features in zip(result.windows, result.partials, strict=True):
                own = window.window
                (n_rows,) = {len(values) for values in features.values()}
                rows.append(
                    (
                        first + number,
                        own.start,
                        own.stop,
                        own.owned_start,
                        own.owned_stop,
                        n_rows,
                    )
                )
                for name, values in features.items():
                    arrays.setdefault(name, []).append(values)
        (unfinished / "names.json").write_text(json.dumps(sorted(arrays)), encoding="utf-8")
        np.save(unfinished / "windows.npy", np.array(rows, dtype=np.int64))
        for name, values in arrays.items():
            np.save(unfinished / f"rows-{name}.npy", np.concatenate(values))
        os.replace(unfinished, folder)


def _chunks(documents: Sequence[LabelledDocument]) -> Iterator[tuple[int, int]]:
    """Half-open runs of documents of about one size."""
    start = n_chars = 0
    for number, document in enumerate(documents):
        n_chars += len(document.text)
        if n_chars >= _CHUNK_CHARS:
            yield start, number + 1
            start, n_chars = number + 1, 0
    if start < len(documents):
        yield start, len(documents)


def _parsed(file: Path) -> Any:
    """What a file of features says of itself; nothing if it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return {}


def _read_chunk(folder: Path) -> Iterator[StoredWindow]:
    """The windows of a chunk; raises OSError or ValueError where it is not whole."""
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    arrays = {name: np.load(folder / f"rows-{name}.npy", mmap_mode="r") for name in names}
    rows = np.load(folder / "windows.npy").tolist()
    if any(len(values) != sum(row[-1] for row in rows) for values in arrays.values()):
        raise ValueError(f"{folder} does not hold the rows that it names")
    row = 0
    for document, start, stop, owned_start, owned_stop, n_rows in rows:
        features = {name: values[row : row + n_rows] for name, values in arrays.items()}
        yield StoredWindow(document, Window(start, stop, owned_start, owned_stop), features)
        row += n_rows
