"""Where everything is in an output folder, and which files longbert wrote."""

from __future__ import annotations

import re

from longbert.store.filesystem import finished_name
from longbert.store.tables import TABLES

MANIFEST = "manifest.json"
"""Written last; what it does not list does not count."""

CLAIM = "fingerprint.json"
"""Says which configuration a folder belongs to before its first run has finished."""

RUNS = "run.json"
"""Metadata of the runs, which does not affect the output."""

TOP_FILES = (MANIFEST, CLAIM, RUNS)

LOCK = "lock.json"
"""Names the run that is writing; there only while it does."""

RECEIPTS = "receipts"
SHARDS = "manifest"
LEXICAL = "lexical"
CATALOG = "catalog"
INDEX = "index"
ERRORS = "errors"

SEGMENTS = "segments"
"""Holds what workers leave for each other of a document that they share, until it is committed."""

WINDOWS = "windows"
PARTIALS = "partials"

_DIGEST_CHARS = 12

PART_SUFFIXES = {
    **dict.fromkeys(TABLES, ".parquet"),
    LEXICAL: ".safetensors",
    CATALOG: ".safetensors",
    RECEIPTS: ".json",
}
"""Folders in which every part has one file, and the suffix of that file."""

FOLDERS = (*PART_SUFFIXES, SHARDS, INDEX, SEGMENTS)
"""All folders of an output; what else lies beside them is not longbert's."""

_PART_FILE = re.compile(r"\d{6,}-[0-9a-f]{12}(-[0-9a-f]{12})?\.\w+")
_SHARD_FILE = re.compile(r"\d{6,}-[0-9a-f]{12}\.json")
_INDEX_FILE = re.compile(r"[a-z]+-[0-9a-f]{12}\.\w+")
_SEGMENT_FILE = re.compile(rf"\d{{6,}}-[0-9a-f]{{12}}-\d{{6,}}\.({WINDOWS}|{PARTIALS})")
_OTHER_FILES = {SHARDS: _SHARD_FILE, INDEX: _INDEX_FILE, SEGMENTS: _SEGMENT_FILE}


def part_file(folder: str, part: str) -> str:
    """Name of a part's file in one of the folders of :data:`PART_SUFFIXES`."""
    return f"{folder}/{part}{PART_SUFFIXES[folder]}"


def lexical_file(part: str, settings: str) -> str:
    """Name of a part's lexical file, which belongs to the settings that it was made with.

    Args:
        part: its name.
        settings: their digest.
    """
    return part_file(LEXICAL, f"{part}-{settings[:_DIGEST_CHARS]}")


def receipt_file(part: str) -> str:
    """Name of a part's receipt."""
    return part_file(RECEIPTS, part)


def index_file(name: str, *, sha256: str, suffix: str) -> str:
    """Name of a file of an index, which holds the digest of its content."""
    return f"{INDEX}/{name}-{sha256[:_DIGEST_CHARS]}.{suffix}"


def segment_file(part: str, number: int, kind: str) -> str:
    """Name of a file of a segment of the one document of a part.

    Args:
        part: its name.
        number: of the segment, from 0.
        kind: :data:`WINDOWS` or :data:`PARTIALS`.
    """
    return f"{SEGMENTS}/{part}-{number:06d}.{kind}"


def shard_file(number: int, sha256: str) -> str:
    """Name of a shard of the manifest, which holds the digest of its content."""
    return f"{SHARDS}/{number:06d}-{sha256[:_DIGEST_CHARS]}.json"


def is_own(folder: str, name: str) -> bool:
    """Whether longbert wrote the file ``name`` of a folder, finished or not."""
    pattern = _OTHER_FILES.get(folder, _PART_FILE)
    return pattern.fullmatch(finished_name(name)) is not None
