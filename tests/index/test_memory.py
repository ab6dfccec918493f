"""Estimates are near what indexes really take, and a limit is kept or refused with figures."""

import re
from pathlib import Path

import pytest
from fakes.memory_files import MemoryFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from support.vectors import built_index, indexed, one_segment, write_rows
from support.written_tables import index_settings

from longbert.config import parse_bytes
from longbert.errors import ConfigError
from longbert.index.kinds import INDEX_KINDS, TRAINED_AT_LEAST
from longbert.index.memory import (
    AUTO_BYTES,
    Sizes,
    Types,
    check_least,
    choose_types,
    estimate,
    megabytes,
)
from longbert.store.fingerprints import IndexSettings

MILLION = 1_000_000


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_the_estimate_is_near_the_size_of_what_search_reads(type: str) -> None:
    files = MemoryFiles()
    segment = one_segment(built_index(files, type, n_rows=3_000, width=32))
    expected = estimate(type, 3_000, 32).search
    # Codebooks are a few ten kilobytes however many vectors there are.
    assert segment.memory_bytes == pytest.approx(expected, rel=0.05, abs=40_000)


@pytest.mark.parametrize(
    ("type", "n_rows", "measured_mb"),
    [
        ("flat", 100_000, 171),
        ("flat", MILLION, 170),
        ("ivf", 100_000, 381),
        ("ivf", MILLION, 2_156),
        ("ivf-sq8", 100_000, 272),
        ("ivf-sq8", MILLION, 692),
        ("ivf-pq", 100_000, 289),
        ("ivf-pq", MILLION, 581),
        ("ivf-rabitq", 100_000, 237),
        ("ivf-rabitq", MILLION, 551),
        ("hnsw", 100_000, 349),
    ],
)
def test_building_took_less_than_is_estimated(type: str, n_rows: int, measured_mb: int) -> None:
    estimated = Types(type, type).estimate(Sizes(n_rows // 20, n_rows, 384)).build
    assert measured_mb * 10**6 < estimated < 2.2 * measured_mb * 10**6
    # The figures of docs/search.md.
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    (row,) = re.findall(rf"(?m)^\| `{type}` \| {n_rows:,} \| .*$", page)
    assert f"| {measured_mb:,} ({megabytes(estimated)[:-2]}) |" in row


def asked(type: str, memory_bytes: int | None = None) -> IndexSettings:
    return index_settings(type=type, memory_bytes=memory_bytes)


def test_auto_goes_by_size_and_memory() -> None:
    def auto(n_rows: int, memory_bytes: int | None = None) -> str:
        types = choose_types(asked("auto", memory_bytes), Sizes(20, n_rows, 384))
        assert types.documents == "flat"
        return types.passages

    assert auto(52_000) == "flat"
    assert auto(53_000) == auto(MILLION) == "ivf"
    assert auto(MILLION, 1_520_000_000) == "ivf-sq8"
    assert auto(MILLION, 1_070_000_000) == "ivf-pq"
    assert auto(MILLION, 1_000_000_000) == "ivf-rabitq"
    assert auto(52_000, 170_000_000) == "flat"
    # Nothing was asked for, so nothing is refused.
    assert estimate("ivf-rabitq", 100 * MILLION, 384).most > AUTO_BYTES
    assert auto(100 * MILLION) == "ivf-rabitq"


def test_few_vectors_are_flat_whatever_is_wanted() -> None:
    for type in INDEX_KINDS:
        sizes = Sizes(TRAINED_AT_LEAST - 1, TRAINED_AT_LEAST, 384)
        assert choose_types(asked(type), sizes) == Types(documents="flat", passages=type)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    sizes = Sizes(50_000, MILLION, 384)
    with pytest.raises(ConfigError) as refusal:
        choose_types(asked("hnsw", 1_100_000_000), sizes)
    message = str(refusal.value)
    takes = megabytes(Types("hnsw", "hnsw").estimate(sizes).most)
    assert message.startswith(
        "memory is 1,100MB, and for 1,000,000 passages and 50,000 documents, with vectors of 384 "
        "numbers, type hnsw, asked for now or by an earlier run, takes "
        f"{takes}: give at least --memory {takes.replace(',', '')}"
    )
    assert ", or try --type ivf-pq or ivf-rabitq\n" in message
    for type in INDEX_KINDS:
        found = Types(type, type).estimate(sizes)
        assert f"{type}: {megabytes(found.build)} to build, {megabytes(found.search)}" in message


def test_where_no_type_fits_the_smallest_is_named() -> None:
    sizes = Sizes(50_000, MILLION, 384)
    smallest = Types("ivf-rabitq", "ivf-rabitq").estimate(sizes).most
    named = f"--type ivf-rabitq --memory {megabytes(smallest)}"
    with pytest.raises(ConfigError, match=f"type ivf, .*, or {named}"):
        choose_types(asked("ivf", 1_000), sizes)
    with pytest.raises(ConfigError, match=r"the smallest type that auto picks from takes .*at l"):
        choose_types(asked("auto", 1_000), sizes)
    with pytest.raises(ConfigError, match="type flat, which all of fewer than 1,000 vectors have"):
        choose_types(asked("ivf", 1_000), Sizes(1, 100, 384))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    type=st.sampled_from(["auto", *INDEX_KINDS]),
    n_documents=st.integers(200, 2_000_000),
    per_document=st.integers(1, 50),
    width=st.sampled_from([1, 32, 384, 1024]),
)
def test_the_memory_that_a_refusal_names_is_enough_and_little_less_is_not(
    type: str, n_documents: int, per_document: int, width: int
) -> None:
    sizes = Sizes(n_documents, n_documents * per_document, width)
    with pytest.raises(ConfigError) as refusal:
        choose_types(asked(type, 1), sizes)
    for found in re.findall(r"--memory (\w+)", str(refusal.value)):
        assert parse_bytes("memory", found)
    named = re.search(r"at least --memory (\w+)", str(refusal.value))
    assert named is not None
    least = parse_bytes("memory", named[1])
    assert least is not None
    types = choose_types(asked(type, least), sizes)
    assert types.estimate(sizes).most <= least
    with pytest.raises(ConfigError):
        # It is rounded to kB, MB or GB.
        choose_types(asked(type, int(least * 0.45)), sizes)


@settings(derandomize=True, deadline=None)
@given(
    n_documents=st.integers(1, 100_000),
    more=st.integers(0, 1_000_000),
    type=st.sampled_from(["auto", *INDEX_KINDS]),
    megabytes=st.integers(1, 3_000),
)
def test_what_is_refused_before_passages_are_counted_would_not_fit_later(
    n_documents: int, more: int, type: str, megabytes: int
) -> None:
    limited = asked(type, megabytes * 10**6)
    try:
        choose_types(limited, Sizes(n_documents, n_documents + more, 384))
    except ConfigError:
        return
    check_least(limited, n_documents, 384)


def test_what_cannot_fit_is_refused_before_anything_is_encoded() -> None:
    with pytest.raises(ConfigError, match=r"(?s)memory is 9MB, .*nothing has been encoded yet$"):
        check_least(asked("auto", 9_000_000), 5_000, 384)


def test_both_tables_together_have_to_fit() -> None:
    files = MemoryFiles()
    with pytest.raises(ConfigError) as refusal:
        built_index(files, "flat", n_rows=200, width=16, memory_bytes=1)
    (least,) = re.findall(r"at least --memory (\w+)", str(refusal.value))
    enough = parse_bytes("memory", least)
    built_index(files, "flat", n_rows=200, width=16, memory_bytes=enough)


def test_an_index_that_outgrows_its_memory_is_refused() -> None:
    files = MemoryFiles()
    for part, n_rows in (("a", 3_000), ("b", 900)):
        write_rows(files, part, n_rows, 32)
    limit = Types("flat", "flat").estimate(Sizes(300, 3_000, 32)).most + 1_000
    before = indexed(files, ["a"], "auto", memory_bytes=limit)
    assert before.passages.type == "flat"
    with pytest.raises(ConfigError, match="memory is 82MB, and for 3,900 passages"):
        indexed(files, ["a", "b"], "auto", before, memory_bytes=limit)


def test_sizes_are_rounded_to_what_is_enough() -> None:
    assert [megabytes(n) for n in (1_000, 1_500, 10**6 + 1, 10**10)] == [
        "1kB",
        "2kB",
        "2MB",
        "10GB",
    ]
    assert [megabytes(n) for n in (1, 999)] == ["1 byte", "999 bytes"]
    assert megabytes(1_999, up=False) == "1kB"
