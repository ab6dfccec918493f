"""Listing the inputs: which files there are, of which kind, with which ids, in which order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple, Protocol

from typing_extensions import override

from longbert.errors import InputError
from longbert.readers.kinds import kind_of, known_suffixes
from longbert.readers.paths import printable_path
from longbert.records import InputFile
from longbert.store.filesystem import TEMPORARY_SUFFIX, FileInfo, FileSystem
from longbert.store.globs import first_wildcard
from longbert.store.layout import CLAIM, MANIFEST
from longbert.store.recognition import is_output
from longbert.store.sorting import ExternalSort

IN_AN_OUTPUT = "longbert output"
"""What files inside an output of longbert are counted as, when they are skipped."""

_FOLDERS_KNOWN = 1 << 12


class _Entry(NamedTuple):
    """A file that an input reaches, as they are sorted.

    Attributes:
        number: of the input.
        relative: path from the input's base.
        is_new: whether no input before reaches it.
    """

    number: int
    relative: str
    path: str
    n_bytes: int
    special: str
    problem: str
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class _Input:
    """One input resolved.

    Attributes:
        base: the folder to which paths are relative; with several inputs, what ids begin with.
        is_single: whether the input is a file itself.
        outputs: see :func:`_outputs`.
        special: what that file is, if it is none.
    """

    name: str
    base: str
    is_single: bool = False
    outputs: tuple[str, ...] = ()
    special: str = ""


class InputFiles(Iterable[InputFile]):
    """The documents and tables that inputs name, listed in bounded memory: sorted on disk.

    They are in the order of the inputs, inside each by relative path in code point order. Hidden
    files and folders and unfinished ``.tmp`` files are passed over, and so is what longbert wrote:
    a folder with its manifest. A path that two inputs reach is kept where it comes first. A folder
    that cannot be listed is a file with a ``problem``.

    Args:
        filesystem: where the inputs are.
        inputs: files, folders (recursive) or globs. With more than one, ids are prefixed
            by each input as given, or by the part of a glob before its first wildcard.
        output: a folder of which nothing is read, nor counted as skipped.

    Attributes:
        skipped: what else lies in folders and globs, counted by suffix, or by what it is: pipe,
            socket, device, :data:`IN_AN_OUTPUT`; complete once all files were given.
    """

    def __init__(
        self, filesystem: FileSystem, inputs: Sequence[str], *, output: str | None = None
    ) -> None:
        self._filesystem = filesystem
        self._inputs = inputs
        self._is_own = _below(output)
        self.skipped: Mapping[str, int] = {}

    @override
    def __iter__(self) -> Iterator[InputFile]:
        """Yield the files.

        Raises:
            InputError: an input does not exist, cannot be listed, or holds no document.
        """
        if not self._inputs:
            raise InputError("no input was given: name a file, a folder or a glob")
        skipped: Counter[str] = Counter()
        with ExternalSort[_Entry]() as found:
            resolved = self._find(found)
            entries = found.rows()
            following = next(entries, None)
            order = 0
            for number, one in enumerate(resolved):
                tally = _Tally(one)
                while following is not None and following.number == number:
                    file = self._file(following, tally, order)
                    if file is not None:
                        yield file
                        order += 1
                    following = next(entries, None)
                tally.check()
                skipped.update(tally.others)
        self.skipped = {what: skipped[what] for what in sorted(+skipped)}

    def _find(self, found: ExternalSort[_Entry]) -> list[_Input]:
        """Resolve all inputs; what they reach goes into ``found``."""
        if len(self._inputs) == 1:
            return [_resolve(self._filesystem, self._inputs[0], 0, found)]
        with ExternalSort[_ByPath]() as by_path:
            everything = _Unsorted(by_path)
            resolved = [
                _resolve(self._filesystem, name, number, everything)
                for number, name in enumerate(self._inputs)
            ]
            before = None
            for path, entry in by_path.rows():
                found.add(entry._replace(is_new=path != before))
                before = path
        return resolved

    def _file(self, entry: _Entry, tally: _Tally, order: int) -> InputFile | None:
        """A file to read, or None for what is passed over."""
        one = tally.of
        if self._is_own(entry.path):
            tally.n_own += 1
            return None
        is_new = entry.is_new and entry.path != tally.before
        tally.before = entry.path
        kind, suffix = kind_of(entry.path)
        is_foreign = any(entry.relative.startswith(folder) for folder in one.outputs)
        if is_foreign or entry.special or (kind is None and not entry.problem):
            what = IN_AN_OUTPUT if is_foreign else entry.special or suffix
            tally.others[what] += is_new
            return None
        if entry.problem:
            tally.problem = tally.problem or (entry.path, entry.problem)
        else:
            tally.n_files += 1
        if not is_new:
            return None
        is_alone = len(self._inputs) == 1
        return InputFile(
            path=entry.path,
            kind="" if entry.problem or kind is None else kind.name,
            compressed=suffix.endswith(".gz"),
            document_id=printable_path(
                entry.relative if is_alone else _joined(one, entry.relative)
            ),
            order=order,
            n_bytes=entry.n_bytes,
            source=printable_path(entry.path),
            problem=entry.problem,
        )


_ByPath = tuple[str, _Entry]


class _Sink(Protocol):
    def add(self, row: _Entry) -> None:
        """Keep an entry."""


@dataclass(frozen=True, slots=True)
class _Unsorted:
    """Has entries sorted by path, and by input where they have the same."""

    by_path: ExternalSort[_ByPath]

    def add(self, row: _Entry) -> None:
        """Keep an entry."""
        self.by_path.add((row.path, row))


@dataclass(slots=True)
class _Tally:
    """What one input comes to.

    Attributes:
        others: what is not read, counted as :attr:`InputFiles.skipped`.
        problem: path and reason of the first folder that cannot be listed.
        before: the path before.
    """

    of: _Input
    others: Counter[str] = field(default_factory=Counter)
    n_files: int = 0
    n_own: int = 0
    problem: tuple[str, str] | None = None
    before: str = ""

    def check(self) -> None:
        """Raise InputError if there was no document."""
        if self.n_files == 0:
            self.others[IN_AN_OUTPUT] += self.n_own
            raise InputError(_nothing_in(self.of, +self.others, self.problem))


def _resolve(filesystem: FileSystem, name: str, number: int, found: _Sink) -> _Input:
    """Find what an input is, and all that it reaches."""
    try:
        if filesystem.is_folder(name):
            folder = name.rstrip("/") or "/"
            outputs = _keep_visible(filesystem, filesystem.files(folder), folder, number, found)
            return _Input(name, folder, outputs=outputs)
        matching = iter(filesystem.match(name))
        some = [*islice(matching, 2)]
        # A file may have a wildcard in its name: a path that matches itself is that file.
        if len(some) == 1 and some[0].path == name:
            _keep(some[0], name.rsplit("/", 1)[-1], number, found)
            return _Input(name, name, is_single=True, special=some[0].special)
        wildcard = first_wildcard(name)
        if wildcard is None:
            raise InputError(
                f"input {printable_path(name)} does not exist: name a file, a folder or a glob "
                "such as 'docs/**/*.txt'"
            )
        folder = name[: name.rfind("/", 0, wildcard) + 1]
        folder = folder.rstrip("/") or folder[:1]
        outputs = _keep_visible(filesystem, chain(some, matching), folder, number, found)
        return _Input(name, folder, outputs=outputs)
    except OSError as error:
        raise InputError(
            f"input {printable_path(name)} cannot be listed: {error.strerror or error}: "
            "make it readable, or name the part of it that is"
        ) from error


def _keep_visible(
    filesystem: FileSystem, infos: Iterable[FileInfo], folder: str, number: int, found: _Sink
) -> tuple[str, ...]:
    """Keep what is neither hidden nor unfinished; outputs of longbert below the folder."""
    base = folder if not folder or folder.endswith("/") else f"{folder}/"
    candidates: set[str] = set()
    for info in infos:
        relative = info.path.removeprefix(base).lstrip("/")
        is_hidden = any(map(_is_hidden, relative.split("/")))
        if not is_hidden and not relative.endswith(TEMPORARY_SUFFIX):
            _keep(info, relative, number, found)
            candidates.update(_may_be_output(relative))
    return _outputs(filesystem, folder, candidates)


def _keep(info: FileInfo, relative: str, number: int, found: _Sink) -> None:
    found.add(_Entry(number, relative, info.path, info.n_bytes, info.special, info.problem))


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part not in (".", "..")


def _may_be_output(relative: str) -> Iterator[str]:
    """The folder that a file lies in or under if that is an output of longbert."""
    # A table lies in a folder of the output. The manifest may not be among what a glob finds.
    *folders, name = relative.split("/")
    if name.endswith(".parquet") and folders:
        yield "/".join(folders[:-1])
    elif name in (MANIFEST, CLAIM):
        yield "/".join(folders)


def _outputs(filesystem: FileSystem, base: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Relative paths of output folders of longbert, each with a slash; "" for the base itself."""
    outputs = (
        folder
        for folder in candidates
        if is_output(filesystem, "/".join(part for part in (base, folder) if part))
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

    @lru_cache(_FOLDERS_KNOWN)
    def real(folder: str) -> str:
        return (folder if "://" in folder else os.path.realpath(folder)).rstrip("/") + "/"

    inside = real(output)
    return lambda path: real(path[: path.rfind("/") + 1]).startswith(inside)


def _nothing_in(
    resolved: _Input, others: Mapping[str, int], problem: tuple[str, str] | None
) -> str:
    shown = printable_path(resolved.name)
    if problem is not None:
        path, reason = problem
        return (
            f"input {shown} cannot be listed: {printable_path(path)}: {reason}: "
            "make it readable, or name the part of it that is"
        )
    if resolved.is_single:
        if resolved.special:
            return (
                f"input {shown} is a {resolved.special}, which cannot be read twice as a run has "
                "to: write what it gives to a file, and name that"
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
