"""Stitching against a mean taken token by token."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.config import ENTITY_STITCHINGS
from longbert.core.stitching import ScoredRun, Stitcher, kept_tokens, stitch_scores
from longbert.core.windows import Window, split_windows


@st.composite
def scored_windows(draw: st.DrawFn) -> tuple[int, list[tuple[Window, np.ndarray]]]:
    n_tokens = draw(st.integers(1, 60))
    size = draw(st.integers(1, 20))
    overlap = draw(st.integers(0, size - 1))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    windows = split_windows(n_tokens, size=size, overlap=overlap)
    return n_tokens, [
        (window, generator.random((window.n_tokens, 3), dtype=np.float32)) for window in windows
    ]


def runs_of(windows: list[tuple[Window, np.ndarray]], stitching: str) -> list[ScoredRun]:
    runs = []
    for window, scores in windows:
        start, stop = kept_tokens(window, stitching=stitching)
        runs.append(ScoredRun(start, scores[start - window.start : stop - window.start]))
    return runs


@pytest.mark.parametrize("stitching", ENTITY_STITCHINGS)
@given(scored_windows())
def test_like_a_mean_token_by_token(
    stitching: str, drawn: tuple[int, list[tuple[Window, np.ndarray]]]
) -> None:
    n_tokens, windows = drawn
    found = stitch_scores(runs_of(windows, stitching), stitching=stitching)
    assert found.dtype == np.float32
    assert found.shape == (n_tokens, 3)
    for token in range(n_tokens):
        rows, weights = [], []
        for window, scores in windows:
            if not window.start <= token < window.stop:
                continue
            owns = window.owned_start <= token < window.owned_stop
            distance = min(token - window.start, window.stop - 1 - token)
            weight = {"owner": owns, "average": 1, "taper": 1 + distance}[stitching]
            rows.append(scores[token - window.start])
            weights.append(float(weight))
        expected = np.average(rows, axis=0, weights=weights)
        np.testing.assert_allclose(found[token], expected, rtol=1e-6)


@pytest.mark.parametrize("stitching", ENTITY_STITCHINGS)
def test_one_window_keeps_its_scores_to_the_bit(stitching: str) -> None:
    scores = np.random.default_rng(1).random((500, 7), dtype=np.float32)
    run = ScoredRun(0, scores)
    assert np.array_equal(stitch_scores([run], stitching=stitching), scores)


@pytest.mark.parametrize("stitching", ENTITY_STITCHINGS)
@given(scored_windows(), st.data())
def test_scores_of_a_stream_are_those_of_the_whole(
    stitching: str, drawn: tuple[int, list[tuple[Window, np.ndarray]]], data: st.DataObject
) -> None:
    _, windows = drawn
    runs = runs_of(windows, stitching)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(runs) - 1), max_size=5))) if runs[1:] else []
    stitcher = Stitcher(stitching, n_labels=3)
    found = [stitcher.add(runs[start:stop]) for start, stop in pairwise([0, *cuts, len(runs)])]
    # What is handed out early is what later windows no longer hold.
    assert sum(map(len, found)) >= runs[-1].start
    whole = stitch_scores(runs, stitching=stitching)
    assert np.array_equal(np.concatenate([*found, stitcher.finish()]), whole)
