"""Listing the inputs: which files there are, of which kind, with which ids, in which order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from longbert.errors import InputError
from longbert.readers.fields import printable
from longbert.readers.kinds import kind_of, known_suffixes
from longbert.records import InputFile
from longbert.store.filesystem import TEMPORARY_SUFFIX, FileInfo, FileSystem

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a run.

    Attributes:
        files: in the order of the inputs, inside each by relative path in code point order.
        skipped: files in folders and globs that are of no known kind, counted by suffix.
    """

    files: tuple[InputFile, ...]
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Input:
    """One input resolved: its files, and how their ids begin."""

    files: tuple[tuple[str, FileInfo], ...]
    prefix: str
    is_single: bool


def list_inputs(filesystem: FileSystem, inputs: Sequence[str]) -> Listing:
    """List the documents and tables that the inputs name.

    Hidden files and folders and unfinished ``.tmp`` files are passed over. A path that
    two inputs reach is kept where it comes first.

    Args:
        filesystem: where the inputs are.
        inputs: files, folders (recursive) or globs. With more than one, ids are prefixed
            by each input as given, or by the part of a glob before its first wildcard.

    Raises:
        InputError: an input does not exist, cannot be listed, or holds no document.
    """
    files: list[InputFile] = []
    skipped: Counter[str] = Counter()
    seen: set[str] = set()
    for name in inputs:
        try:
            resolved = _resolve(filesystem, name)
        except OSError as error:
            raise InputError(
                f"input {printable(name)} cannot be listed: {error.strerror or error}: "
                "make it readable, or name the part of it that is"
            ) from error
        others: Counter[str] = Counter()
        n_known = 0
        for relative, info in resolved.files:
            kind, suffix = kind_of(info.path)
            if kind is None:
                others[suffix] += info.path not in seen
                seen.add(info.path)
                continue
            n_known += 1
            if info.path in seen:
                continue
            seen.add(info.path)
            identifier = relative if len(inputs) == 1 else _joined(resolved, relative)
            files.append(
                InputFile(
                    path=info.path,
                    kind=kind.name,
                    compressed=suffix.endswith(".gz"),
                    document_id=printable(identifier),
                    order=len(files),
                    n_bytes=info.n_bytes,
                    source=printable(info.path),
                )
            )
        if n_known == 0:
            raise InputError(_nothing_in(name, others, is_single=resolved.is_single))
        skipped.update(others)
    if not files:
        raise InputError("no input was given: name a file, a folder or a glob")
    return Listing(tuple(files), {suffix: skipped[suffix] for suffix in sorted(+skipped)})


def _resolve(filesystem: FileSystem, name: str) -> _Input:
    if filesystem.is_folder(name):
        folder = name.rstrip("/") or "/"
        return _Input(_visible(filesystem.files(folder), folder), folder, is_single=False)
    found = tuple(filesystem.match(name))
    # A file may have a wildcard in its name: a path that matches itself is that file.
    if len(found) == 1 and found[0].path == name:
        return _Input(((name.rsplit("/", 1)[-1], found[0]),), name, is_single=True)
    wildcard = _WILDCARD.search(name)
    if wildcard is None:
        raise InputError(
            f"input {printable(name)} does not exist: name a file, a folder or a glob such as "
            "'docs/**/*.txt'"
        )
    before = name[: wildcard.start()]
    folder = before[: before.rfind("/") + 1]
    folder = folder.rstrip("/") or folder[:1]
    return _Input(_visible(found, folder), folder, is_single=False)


def _visible(
    found: Iterator[FileInfo] | Sequence[FileInfo], folder: str
) -> tuple[tuple[str, FileInfo], ...]:
    """Relative paths and files, sorted, without the hidden and the unfinished."""
    base = folder if not folder or folder.endswith("/") else f"{folder}/"
    listed = [(info.path.removeprefix(base).lstrip("/"), info) for info in found]
    return tuple(
        sorted(
            (
                (relative, info)
                for relative, info in listed
                if not any(part.startswith(".") for part in relative.split("/"))
                and not relative.endswith(TEMPORARY_SUFFIX)
            ),
            key=lambda item: (item[0], item[1].path),
        )
    )


def _joined(resolved: _Input, relative: str) -> str:
    if resolved.is_single or not resolved.prefix:
        return resolved.prefix or relative
    return f"{resolved.prefix.rstrip('/')}/{relative}"


def _nothing_in(name: str, others: Mapping[str, int], *, is_single: bool) -> str:
    known = known_suffixes()
    if is_single:
        return (
            f"input {printable(name)} is of a kind that longbert does not read: "
            f"it reads {known}; convert or rename it"
        )
    counts = ", ".join(
        f"{count} {printable(suffix) or 'without suffix'}" for suffix, count in others.items()
    )
    found = f"only files of other kinds ({counts})" if counts else "no file"
    return (
        f"input {printable(name)} holds {found}: longbert reads {known}, "
        "and passes over hidden files and folders; a glob needs '**' to go into folders"
    )
