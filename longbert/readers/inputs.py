"""Listing the inputs: which files there are, of which kind, with which ids, in which order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from longbert.errors import InputError
from longbert.readers.kinds import kind_of, known_suffixes
from longbert.readers.paths import printable_path
from longbert.records import InputFile
from longbert.store.filesystem import TEMPORARY_SUFFIX, FileInfo, FileSystem
from longbert.store.globs import first_wildcard
from longbert.store.layout import CLAIM, MANIFEST
from longbert.store.recognition import is_output

IN_AN_OUTPUT = "longbert output"
"""What files inside an output of longbert are counted as, when they are skipped."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a run.

    Attributes:
        files: in the order of the inputs, inside each by relative path in code point order.
        skipped: what else lies in folders and globs, counted by suffix, or by what it is: pipe,
            socket, device, :data:`IN_AN_OUTPUT`.
    """

    files: tuple[InputFile, ...]
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Input:
    """One input resolved.

    Attributes:
        base: the folder to which paths are relative; with several inputs, what ids begin with.
        found: relative paths and files.
        is_single: whether the input is that file itself.
    """

    base: str
    found: tuple[tuple[str, FileInfo], ...]
    is_single: bool = False


def list_inputs(
    filesystem: FileSystem, inputs: Sequence[str], *, output: str | None = None
) -> Listing:
    """List the documents and tables that the inputs name.

    Hidden files and folders and unfinished ``.tmp`` files are passed over, and so is what
    longbert wrote: a folder with its manifest. A path that two inputs reach is kept where it
    comes first. A folder that cannot be listed is a file with a ``problem``.

    Args:
        filesystem: where the inputs are.
        inputs: files, folders (recursive) or globs. With more than one, ids are prefixed
            by each input as given, or by the part of a glob before its first wildcard.
        output: a folder of which nothing is read, nor counted as skipped.

    Raises:
        InputError: an input does not exist, cannot be listed, or holds no document.
    """
    if not inputs:
        raise InputError("no input was given: name a file, a folder or a glob")
    is_own = _below(output)
    files: list[InputFile] = []
    skipped: Counter[str] = Counter()
    seen: set[str] = set()
    for name in inputs:
        resolved = _resolve(filesystem, name)
        outputs = () if resolved.is_single else _outputs(filesystem, resolved)
        others: Counter[str] = Counter()
        n_files = n_own = 0
        problem: FileInfo | None = None
        for relative, info in resolved.found:
            if is_own(info.path):
                n_own += 1
                continue
            is_new = info.path not in seen
            seen.add(info.path)
            kind, suffix = kind_of(info.path)
            is_foreign = any(relative.startswith(folder) for folder in outputs)
            if is_foreign or info.special or (kind is None and not info.problem):
                others[IN_AN_OUTPUT if is_foreign else info.special or suffix] += is_new
                continue
            if info.problem:
                problem = problem or info
            else:
                n_files += 1
            if is_new:
                identifier = relative if len(inputs) == 1 else _joined(resolved, relative)
                files.append(
                    InputFile(
                        path=info.path,
                        kind="" if info.problem or kind is None else kind.name,
                        compressed=suffix.endswith(".gz"),
                        document_id=printable_path(identifier),
                        order=len(files),
                        n_bytes=info.n_bytes,
                        source=printable_path(info.path),
                        problem=info.problem,
                    )
                )
        if n_files == 0:
            others[IN_AN_OUTPUT] += n_own
            raise InputError(_nothing_in(name, resolved, +others, problem))
        skipped.update(others)
    return Listing(tuple(files), {what: skipped[what] for what in sorted(+skipped)})


def _resolve(filesystem: FileSystem, name: str) -> _Input:
    try:
        if filesystem.is_folder(name):
            folder = name.rstrip("/") or "/"
            return _Input(folder, _visible(filesystem.files(folder), folder))
        found = tuple(filesystem.match(name))
    except OSError as error:
        raise InputError(
            f"input {printable_path(name)} cannot be listed: {error.strerror or error}: "
            "make it readable, or name the part of it that is"
        ) from error
    # A file may have a wildcard in its name: a path that matches itself is that file.
    if len(found) == 1 and found[0].path == name:
        return _Input(name, ((name.rsplit("/", 1)[-1], found[0]),), is_single=True)
    wildcard = first_wildcard(name)
    if wildcard is None:
        raise InputError(
            f"input {printable_path(name)} does not exist: name a file, a folder or a glob such as "
            "'docs/**/*.txt'"
        )
    folder = name[: name.rfind("/", 0, wildcard) + 1]
    folder = folder.rstrip("/") or folder[:1]
    return _Input(folder, _visible(found, folder))


def _visible(found: Iterable[FileInfo], folder: str) -> tuple[tuple[str, FileInfo], ...]:
    """Relative paths and files, sorted, without the hidden and the unfinished."""
    base = folder if not folder or folder.endswith("/") else f"{folder}/"
    listed = [(info.path.removeprefix(base).lstrip("/"), info) for info in found]
    return tuple(
        sorted(
            (
                (relative, info)
                for relative, info in listed
                if not any(_is_hidden(part) for part in relative.split("/"))
                and not relative.endswith(TEMPORARY_SUFFIX)
            ),
            key=lambda item: (item[0], item[1].path),
        )
    )


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part not in (".", "..")


def _outputs(filesystem: FileSystem, resolved: _Input) -> tuple[str, ...]:
    """Relative paths of output folders of longbert, each with a slash; "" for the base itself."""
    candidates = set()
    for relative, _ in resolved.found:
        # A table lies in a folder of the output. The manifest may not be among what a glob finds.
        *folders, name = relative.split("/")
        if name.endswith(".parquet") and folders:
            candidates.add("/".join(folders[:-1]))
        elif name in (MANIFEST, CLAIM):
            candidates.add("/".join(folders))
    outputs = (
        folder
        for folder in candidates
        if is_output(filesystem, "/".join(part for part in (resolved.base, folder) if part))
    )
    return tuple(f"{folder}/" if folder else "" for folder in sorted(outputs))


def _joined(resolved: _Input, relative: str) -> str:
    if resolved.is_single or not resolved.base:
        return resolved.base or relative
    return f"{resolved.base.rstrip('/')}/{relative}"


def _below(output: str | None) -> Callable[[str], bool]:
    """Whether a path lies in the output folder, whatever links lead there."""
    if output is None:
        return lambda path: False

    @cache
    def real(folder: str) -> str:
        return (folder if "://" in folder else os.path.realpath(folder)).rstrip("/") + "/"

    inside = real(output)
    return lambda path: real(path[: path.rfind("/") + 1]).startswith(inside)


def _nothing_in(
    name: str, resolved: _Input, others: Mapping[str, int], problem: FileInfo | None
) -> str:
    shown = printable_path(name)
    if problem is not None:
        return (
            f"input {shown} cannot be listed: {printable_path(problem.path)}: {problem.problem}: "
            "make it readable, or name the part of it that is"
        )
    if resolved.is_single:
        (special,) = (info.special for _, info in resolved.found)
        if special:
            return (
                f"input {shown} is a {special}, which cannot be read twice as a run has to: "
                "write what it gives to a file, and name that"
            )
        return (
            f"input {shown} is of a kind that longbert does not read: "
            f"it reads {known_suffixes()}; convert or rename it"
        )
    if others.keys() == {IN_AN_OUTPUT}:
        return (
            f"input {shown} holds nothing but an output of longbert: "
            "name the folder of your documents"
        )
    counts = ", ".join(
        f"{count} {printable_path(what) or 'without suffix'}" for what, count in others.items()
    )
    found = f"only files of other kinds ({counts})" if counts else "no file"
    return (
        f"input {shown} holds {found}: longbert reads {known_suffixes()}, "
        "and passes over hidden files and folders; a glob needs '**' to go into folders"
    )
