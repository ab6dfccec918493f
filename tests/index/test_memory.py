"""Estimates are near what indexes really take, and a limit is kept or refused with figures."""

import pytest
from fakes.memory_files import MemoryFiles
from support.vectors import built_index, one_segment

from longbert.errors import ConfigError
from longbert.index.kinds import INDEX_KINDS, TRAINED_AT_LEAST
from longbert.index.memory import AUTO_BYTES, choose_type, estimate, megabytes

MILLION = 1_000_000


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_the_estimate_is_near_the_size_of_what_search_reads(type: str) -> None:
    files = MemoryFiles()
    segment = one_segment(built_index(files, type, n_rows=3_000, width=32))
    expected = estimate(type, 3_000, 32).search
    # Codebooks are a few ten kilobytes however many vectors there are.
    assert segment.memory_bytes == pytest.approx(expected, rel=0.05, abs=40_000)


def test_auto_goes_by_size_and_memory() -> None:
    def auto(n_rows: int, memory_bytes: int | None = None) -> str:
        return choose_type("auto", n_rows, 384, memory_bytes, table="passages")

    assert auto(52_000) == "flat"
    assert auto(53_000) == auto(MILLION) == "ivf"
    assert auto(MILLION, 1_350_000_000) == "ivf-sq8"
    assert auto(MILLION, 900_000_000) == "ivf-pq"
    assert auto(MILLION, 830_000_000) == "ivf-rabitq"
    assert auto(52_000, 82_000_000) == "flat"
    # Nothing was asked for, so nothing is refused.
    assert estimate("ivf-rabitq", 100 * MILLION, 384).most > AUTO_BYTES
    assert auto(100 * MILLION) == "ivf-rabitq"


def test_few_vectors_are_flat_whatever_is_wanted() -> None:
    for type in INDEX_KINDS:
        assert choose_type(type, TRAINED_AT_LEAST - 1, 384, None, table="passages") == "flat"
        assert choose_type(type, TRAINED_AT_LEAST, 384, None, table="passages") == type


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(ConfigError) as refusal:
        choose_type("hnsw", MILLION, 384, 900_000_000, table="passages")
    message = str(refusal.value)
    assert "memory leaves 900MB for the 1,000,000 vectors of 384 numbers in the table" in message
    asked = "too little for type hnsw, asked for now or by an earlier run"
    assert f"{asked}: try --type ivf-pq or ivf-rabitq\n" in message
    for type in INDEX_KINDS:
        found = estimate(type, MILLION, 384)
        assert f"{type}: {megabytes(found.build)} to build, {megabytes(found.search)}" in message


def test_a_memory_below_the_smallest_index_is_refused() -> None:
    smallest = min(estimate(type, MILLION, 384).most for type in INDEX_KINDS)
    least = rf": the least is {megabytes(smallest)}, with ivf-rabitq: give more --memory"
    for type in ("auto", *INDEX_KINDS):
        named = "all types that auto picks from" if type == "auto" else f"type {type}, asked for"
        with pytest.raises(ConfigError, match=rf"too little for {named}.*{least}"):
            choose_type(type, MILLION, 384, smallest - 1, table="passages")
    with pytest.raises(ConfigError, match=r"type flat, which all indexes of fewer than 1,000"):
        choose_type("ivf", 100, 384, 1_000, table="passages")


def test_both_tables_together_have_to_fit() -> None:
    files = MemoryFiles()
    whole = built_index(files, "flat", n_rows=200, width=16)
    parts = (whole.documents, whole.passages)
    taken = sum(segment.memory_bytes for table in parts for segment in table.segments)
    built_index(files, "flat", n_rows=200, width=16, memory_bytes=taken)
    with pytest.raises(ConfigError, match="200 vectors of 16 numbers in the table passages"):
        built_index(files, "flat", n_rows=200, width=16, memory_bytes=int(taken * 0.9))


def test_sizes_are_rounded_to_what_is_enough() -> None:
    assert [megabytes(n) for n in (1, 1_500, 10**6 + 1, 10**10)] == ["1kB", "2kB", "2MB", "10GB"]
    assert megabytes(1_999, up=False) == "1kB"
