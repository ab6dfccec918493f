"""The benchmark of the index: what it draws, and its chart."""

import numpy as np
from chart_scale import chart
from index_scale import PASSAGES, WIDTH, draw


def test_the_same_corpus_is_drawn_each_time_with_documents_around_their_passages() -> None:
    documents, passages = draw(200, 3, of=1_000)
    again, _ = draw(200, 3, of=1_000)
    np.testing.assert_array_equal(documents, again)
    assert passages.shape == (200, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(passages, axis=1), 1, rtol=1e-5)
    own = np.repeat(np.arange(len(documents)), PASSAGES)
    assert ((passages @ documents.T).argmax(axis=1) == own).mean() > 0.9


def test_equal_results_give_equal_charts() -> None:
    results = [
        {
            "rows": rows,
            "type": type,
            "build_processor_seconds": rows / 1000,
            "memory_mb": rows / 500,
            "best-mean@10_clock_ms": {"p50": 1.0, "p99": 2.0},
        }
        for rows in (1000, 10_000)
        for type in ("flat", "ivf")
    ]
    assert chart(results) == chart(results[::-1])
    assert b"ms of a query, p99" in chart(results)
