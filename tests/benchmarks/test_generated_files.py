"""Generated inputs are the same wherever they are read from."""

import json

import pytest
from generated_files import BLOCK_BYTES, FOLDER, Content, GeneratedFiles, Records, Text

CONTENTS: dict[str, Content] = {
    "a/text.txt": Text(BLOCK_BYTES + 1_000),
    "lines.jsonl": Records(700, 2_048),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_any_place_has_the_bytes_of_the_whole(name: str) -> None:
    files = GeneratedFiles(CONTENTS)
    path = f"{FOLDER}/{name}"
    with files.open(path) as file:
        whole = file.read()
    assert len(whole) == CONTENTS[name].n_bytes
    assert {info.path: info.n_bytes for info in files.files(FOLDER)}[path] == len(whole)
    with files.open(path) as file:
        for place in (0, 1, 2_070, BLOCK_BYTES - 3, BLOCK_BYTES, len(whole) - 1, len(whole)):
            file.seek(place)
            assert file.read(5_000) == whole[place : place + 5_000]


def test_lines_are_records_of_their_own() -> None:
    with GeneratedFiles(CONTENTS).open(f"{FOLDER}/lines.jsonl") as file:
        records = [json.loads(line) for line in file]
    assert [int(one["id"]) for one in records] == list(range(700))
    assert len({one["text"] for one in records}) == 700
    assert {len(one["text"]) for one in records} == {2_048}
