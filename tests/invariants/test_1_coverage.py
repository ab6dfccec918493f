"""Invariant 1, coverage: windows own every token once, and nothing is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoding import encode, hostile_documents, load

from longbert.core.windows import split_windows

Models = Callable[..., Path]


def slow_owners(starts: Sequence[int], size: int, n_tokens: int) -> np.ndarray:
    """The window of each token with the most context on its poorer side, the first of several."""
    owner = np.full(n_tokens, -1)
    most = np.full(n_tokens, -1)
    left = np.arange(size)
    context = np.minimum(left, size - 1 - left)
    for window, start in enumerate(starts):
        held = slice(start, start + size)
        is_better = context > most[held]
        owner[held][is_better] = window
        most[held][is_better] = context[is_better]
    return owner


def check_plan(n_tokens: int, size: int, overlap: int) -> None:
    windows = split_windows(n_tokens, size=size, overlap=overlap)

    if n_tokens <= size:
        assert len(windows) == (n_tokens > 0)
        assert all((w.start, w.stop) == (0, n_tokens) for w in windows)
    else:
        assert all(window.n_tokens == size for window in windows)
        steps = [following.start - window.start for window, following in pairwise(windows)]
        assert set(steps[:-1]) <= {size - overlap}
        assert 1 <= steps[-1] <= size - overlap
        owners = slow_owners([window.start for window in windows], size, n_tokens)
        for number, window in enumerate(windows):
            assert window.n_owned > 0
            owned = np.flatnonzero(owners == number)
            assert owned.tolist() == list(range(window.owned_start, window.owned_stop))
    if windows:
        assert windows[0].start == 0
        assert windows[-1].stop == n_tokens
    owned = [(window.owned_start, window.owned_stop) for window in windows]
    assert [0, *(stop for _, stop in owned)] == [*(start for start, _ in owned), n_tokens]


@given(st.data())
def test_invariant_1_coverage_of_tokens_by_their_owners(data: st.DataObject) -> None:
    size = data.draw(st.integers(3, 512) | st.integers(3, 16), "size")
    overlap = data.draw(st.integers(0, size - 1), "overlap")
    n_tokens = data.draw(st.integers(0, 5_000) | st.integers(0, 3 * size), "n_tokens")
    check_plan(n_tokens, size, overlap)


def test_invariant_1_coverage_by_every_small_window() -> None:
    for size in range(1, 10):
        for overlap in range(size):
            for n_tokens in range(3 * size + 3):
                check_plan(n_tokens, size, overlap)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "modernbert", "albert"])
def test_invariant_1_coverage_of_characters(models: Models, family: str) -> None:
    encoder = load(embed=models(family), window=19, overlap=3, passage=7)
    for result in encode(encoder, hostile_documents(500), 7):
        text = result.document.text
        assert result.n_chars_covered == len(text), result.document.document_id
        spans = [(passage.char_start, passage.char_end) for passage in result.passages]
        assert spans[0][0] == 0
        assert spans[-1][1] == len(text)
        assert all(left[1] == right[0] for left, right in pairwise(spans))
        assert "".join(passage.text for passage in result.passages) == text
        assert all(start < stop for start, stop in spans)
        # Elsewhere a letter may have several tokens, and all of them are in one passage.
        if family == "bert":
            assert len(result.passages) == -(-result.n_tokens // 7)
        (pass_,) = encoder.models.passes
        offsets = pass_.tokenizer.tokenize(text).offsets
        for border, _ in spans[1:]:
            assert not ((offsets[:, 0] < border) & (offsets[:, 1] > border)).any()
        assert result.n_windows == len(split_windows(result.n_tokens, size=17, overlap=3))
        assert result.n_chars_unknown <= len(text)


def test_invariant_1_coverage_where_windows_do_not_overlap(models: Models) -> None:
    for family in ("albert", "modernbert"):
        encoder = load(embed=models(family), window=3, overlap=0)
        for result in encode(encoder, hostile_documents(100), 64):
            assert result.n_windows == result.n_tokens
            assert result.n_chars_covered == len(result.document.text)


def test_invariant_1_coverage_of_lone_surrogates(models: Models) -> None:
    text = "caf\ud83d e\udc00\ud800 end \udfff"
    result = load(embed=models("bert"))(text)
    assert result.document.text == "caf\ufffd e\ufffd\ufffd end \ufffd"
    assert result.document.n_chars_replaced == 4
    assert result.n_chars_covered == len(text)


def test_invariant_1_coverage_of_a_word_of_100_000_characters(models: Models) -> None:
    text = "x" * 100_000
    result = load(embed=models("bert"), window=64)(text)
    assert (result.n_tokens, result.n_windows) == (1, 1)
    assert result.n_chars_covered == result.n_chars_unknown == len(text)

    result = load(embed=models("roberta"), window=512, batch_tokens=8_192)(text[:5_000])
    assert result.n_windows > 1
    assert result.n_chars_covered == 5_000
    assert result.n_chars_unknown == 0
