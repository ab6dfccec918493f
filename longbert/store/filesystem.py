"""The few file operations that longbert needs, and their local implementation.

Higher layers work on a :class:`FileSystem`, so that the Beam layer can supply one that supports
object stores.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, BinaryIO, Protocol, TypeVar

from typing_extensions import override

from longbert.store.globs import ANY_FOLDERS, first_wildcard, path_matches

TEMPORARY_SUFFIX = ".tmp"
"""Suffix of a file that is still being written."""

_TRIES = 5
"""How often a file is written anew that vanishes before it has its name."""

_Result = TypeVar("_Result")

_TEMPORARY_END = re.compile(r"(\.[0-9a-f]+-[0-9a-f]+)?\.tmp")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file's path as given to ``open``, and its size.

    Attributes:
        special: ``pipe``, ``socket`` or ``device`` for what cannot be read twice; opening one
            may block forever.
        problem: why the folder ``path`` cannot be listed; else not set.
        version: in an object store, another one for any other content; else not set.
    """

    path: str
    n_bytes: int
    special: str = ""
    problem: str = ""
    version: str = field(default="", compare=False)


class FileSystem(Protocol):
    """Files by path; paths use ``/`` and may carry a scheme such as ``gs://``."""

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` is a folder (in an object store: a prefix with files under it)."""

    def files(self, path: str) -> Iterator[FileInfo]:
        """All files under the folder ``path``, recursively, in any order.

        A subfolder that cannot be listed is returned as an item that says so.

        Raises:
            OSError: the folder itself cannot be listed.
        """

    def match(self, pattern: str) -> Iterator[FileInfo]:
        """Files whose path matches ``pattern`` (a plain path matches itself), in any order.

        Patterns are those of :mod:`longbert.store.globs`.
        """

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading; raises OSError."""

    def local_path(self, path: str) -> str | None:
        """Local path of the file, for memory mapping; None if it is not on this machine."""

    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Write a file piece by piece, creating its folders.

        It appears under its name, whole, when the context ends; where that ends with an exception,
        the file stays as it was, or, in an object store, is removed.

        Raises:
            OSError: the folder cannot be made, is not writable, or is full.
        """

    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        """Write a file, if its content is still what it was.

        Of several processes that expect the same, one succeeds, as far as the place can
        promise it.

        Args:
            path: of the file; its folders are created.
            data: new content.
            expected: content that it must have; None: it must not exist.

        Returns:
            Whether it was written.

        Raises:
            OSError: it cannot be read or written.
        """

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Write a file in one piece; see :meth:`create`."""
        with self.create(path) as file:
            file.write(data)

    def write_problem(self, folder: str) -> str:
        """Why nothing can be written to a folder, which may not exist yet, without trying it.

        Returns:
            What the system would say; empty if nothing is known that speaks against it.
        """
        return ""

    def remove(self, path: str) -> None:
        """Remove a file; no error if there is none."""

    def remove_folder(self, path: str) -> None:
        """Remove a folder if it is empty; no error if it is not, or if there is none.

        Object stores have no folders of their own.
        """
        return


def finished_name(name: str) -> str:
    """The name that an unfinished file is to have; any other name as it is."""
    end = _TEMPORARY_END.search(name)
    return name if end is None or end.end() < len(name) else name[: end.start()]


def join(folder: str, name: str) -> str:
    """Path of a file that is named relative to a folder."""
    return f"{folder.rstrip('/') or folder}/{name}"


class LocalFileSystem(FileSystem):
    """Files of this machine."""

    @override
    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    @override
    def files(self, path: str) -> Iterator[FileInfo]:
        # Links are followed, except into a folder that contains them.
        yield from _files(path, above=frozenset())

    @override
    def match(self, pattern: str) -> Iterator[FileInfo]:
        # A path that exists is taken literally, even if its name contains wildcards.
        if os.path.lexists(pattern):
            if not os.path.isdir(pattern):
                yield _info(pattern)
        elif pattern.startswith("/"):
            yield from _matches("/", pattern.lstrip("/").split("/"))
        else:
            yield from _matches("", pattern.split("/"))

    @override
    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    @override
    def local_path(self, path: str) -> str | None:
        return path

    @override
    @contextmanager
    def create(self, path: str) -> Iterator[IO[bytes]]:
        folder = os.path.dirname(path) or "."
        os.makedirs(folder, exist_ok=True)
        with _beside(path) as (file, name):
            yield file
            _make_whole(file)
            os.replace(name, path)
        _sync_folder(folder)

    @override
    def write(self, path: str, data: bytes | memoryview) -> None:
        def once() -> None:
            with self.create(path) as file:
                file.write(data)

        _with_patience(once)

    @override
    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        folder = os.path.dirname(path) or "."
        os.makedirs(folder, exist_ok=True)
        with _alone_in(folder):
            try:
                with open(path, "rb") as file:
                    found: bytes | None = file.read()
            except FileNotFoundError:
                found = None
            if found != expected:
                return False
            if expected is not None:
                self.write(path, data)
                return True
            return _with_patience(lambda: _write_new(path, data))

    @override
    def write_problem(self, folder: str) -> str:
        there = os.path.abspath(folder)
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        if not os.path.isdir(there):
            return os.strerror(errno.ENOTDIR)
        if os.access(there, os.W_OK | os.X_OK):
            return ""
        is_read_only = os.statvfs(there).f_flag & os.ST_RDONLY
        return os.strerror(errno.EROFS if is_read_only else errno.EACCES)

    @override
    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    @override
    def remove_folder(self, path: str) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(path)


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Wait until no other process of this machine is in such a block for the folder.

    Network file systems may refuse to lock a folder; the block then runs all the same.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _with_patience(write: Callable[[], _Result]) -> _Result:
    """Write a file, again if what was written of it has gone.

    A step that is done twice at once may have taken it for one left behind.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return write()
    return write()


def _write_new(path: str, data: bytes) -> bool:
    """Write a file that must not exist; atomic on NFS, too, where links are."""
    try:
        with _beside(path) as (file, name):
            file.write(data)
            _make_whole(file)
            os.link(name, path)
            os.unlink(name)
    except FileExistsError:
        return False
    _sync_folder(os.path.dirname(path) or ".")
    return True


@contextmanager
def _beside(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """A file to write beside ``path``, and its name; if the block is stopped, it is removed."""
    # Whoever writes the same file at the same time has a name of their own for it.
    writer = f"{os.getpid():x}-{threading.get_ident():x}"
    beside = f"{path}.{writer}{TEMPORARY_SUFFIX}"
    try:
        with open(beside, "wb") as file:
            yield file, beside
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _make_whole(file: IO[bytes]) -> None:
    """Have the content of a file outlive a loss of power."""
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: str) -> None:
    """Have the names in a folder outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: str, *, above: frozenset[tuple[int, int]]) -> Iterator[FileInfo]:
    """Files under a folder; an empty name is the current folder, which paths leave out."""
    status = os.stat(folder or ".")
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for name, is_folder in _entries(folder):
        path = os.path.join(folder, name)
        if not is_folder:
            yield _info(path)
            continue
        try:
            yield from _files(path, above=above | {identity})
        except OSError as error:
            yield _unlistable(path, error)


def _matches(folder: str, pattern: Sequence[str]) -> Iterator[FileInfo]:
    """Files under a folder that match a pattern, given as a list of parts."""
    wanted, rest = pattern[0], pattern[1:]
    try:
        if wanted == ANY_FOLDERS:
            prefix = os.path.join(folder, "")
            for info in _files(folder, above=frozenset()):
                below = info.path.removeprefix(prefix)
                if info.problem or path_matches(below, "/".join(pattern)):
                    yield info
            return
        if first_wildcard(wanted) is None:
            path = os.path.join(folder, wanted)
            entries = [(wanted, os.path.isdir(path))] if os.path.lexists(path) else []
        else:
            entries = _entries(folder)
    except OSError as error:
        yield _unlistable(folder, error)
        return
    for name, is_folder in entries:
        path = os.path.join(folder, name)
        if path_matches(name, wanted):
            if rest and is_folder:
                yield from _matches(path, rest)
            elif not rest and not is_folder:
                yield _info(path)


def _entries(folder: str) -> list[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder or a link to one."""
    with os.scandir(folder or ".") as entries:
        return [(entry.name, _is_folder(entry)) for entry in entries]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _unlistable(folder: str, error: OSError) -> FileInfo:
    return FileInfo(folder or ".", 0, problem=error.strerror or type(error).__name__)


def _info(path: str) -> FileInfo:
    """What a path is; a dangling link counts as a file, so that it does not go unnoticed."""
    try:
        status = os.stat(path)
    except OSError:
        return FileInfo(path, 0)
    if stat.S_ISREG(status.st_mode):
        return FileInfo(path, status.st_size)
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return FileInfo(path, 0, special=kinds.get(stat.S_IFMT(status.st_mode), "device"))
