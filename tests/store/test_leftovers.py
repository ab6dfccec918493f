"""Files that a manifest does not name are found without all names in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.written_tables import a_manifest

from longbert.errors import LockError
from longbert.store import sorting
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.layout import LEXICAL, PART_SUFFIXES, part_file
from longbert.store.leftovers import foreign_files, remove_unnamed, unnamed_files
from longbert.store.receipts import PartEntry

# The last one's number has a digit more.
PARTS = tuple(f"{number:06d}-{number % 7:012x}" for number in (*range(40), 1_000_003))
SETTINGS = ("a" * 64, "b" * 64)


def entry(part: str) -> PartEntry:
    return PartEntry(name=part, fingerprint="f", lexical=SETTINGS[0], counts={}, files={})


class Listed(LocalFileSystem):
    """Folders of which nothing but names is there."""

    def __init__(self, files: set[str]) -> None:
        self._names = files

    def is_folder(self, path: str) -> bool:
        return True

    def files(self, path: str):  # type: ignore[no-untyped-def]
        from longbert.store.filesystem import FileInfo

        own = (name for name in self._names if f"out/{name}".startswith(f"{path}/"))
        return (FileInfo(f"out/{name}", 1) for name in own)


FILES = sorted(
    {part_file(folder, part) for folder in PART_SUFFIXES for part in PARTS if folder != LEXICAL}
    | {entry(part).path(LEXICAL) for part in PARTS}
    | {part_file(LEXICAL, f"{part}-{SETTINGS[1][:12]}") for part in PARTS}
    | {"manifest/000000-0123456789ab.json", "index/passages-0123456789ab.faiss"}
    | {"documents/mine.parquet", "passages/000001-000000000001.parquet.1f-2e.tmp"}
)


@given(st.sets(st.sampled_from(FILES)), st.sets(st.sampled_from(PARTS)), st.integers(1, 9))
def test_what_is_not_named_is_found(there: set[str], parts: set[str], in_memory: int) -> None:
    kept = ["index/passages-0123456789ab.faiss"]
    named = {*kept} | {entry(part).path(folder) for folder in PART_SUFFIXES for part in parts}
    output = OutputFolder(Listed(there), "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "ROWS_IN_MEMORY", in_memory)
        found = [*unnamed_files(output, map(entry, sorted(parts)), kept)]
    assert sorted(found) == sorted(there - named - {"documents/mine.parquet"})
    assert [*foreign_files(output)] == [*({"documents/mine.parquet"} & there)]


def test_unfinished_records_are_found(tmp_path: Path) -> None:
    for name in ("manifest.json.3f-1.tmp", "manifest.json", "other.tmp"):
        (tmp_path / name).write_bytes(b"")
    output = OutputFolder(LocalFileSystem(), str(tmp_path))
    assert [*unnamed_files(output, [], [])] == ["manifest.json.3f-1.tmp"]


def test_what_is_not_named_is_removed_with_the_folder_of_segments(tmp_path: Path) -> None:
    left = ["segments/000001-000000000001-000000.windows", "documents/000001-000000000001.parquet"]
    for name in (*left, "documents/mine.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    output, manifest = OutputFolder(LocalFileSystem(), str(tmp_path)), a_manifest()

    def taken() -> None:
        raise LockError("another run")

    with pytest.raises(LockError):
        remove_unnamed(output, manifest, check=taken)
    assert all((tmp_path / name).exists() for name in left)
    remove_unnamed(output, manifest)
    assert not (tmp_path / "segments").exists()
    assert [one.name for one in (tmp_path / "documents").iterdir()] == ["mine.parquet"]
    # Nothing is left that another run would mind.
    remove_unnamed(output, manifest, check=taken)
