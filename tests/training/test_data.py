"""Which documents are held back, and how classes are weighed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.errors import ConfigError
from longbert.records import LabelledDocument, LabelledSpan
from longbert.training.classify import class_weights, targets_of
from longbert.training.config import TrainConfig
from longbert.training.data import folds_of, n_folds_of, validation_of
from longbert.training.ner import label_weights


def labelled(labels: Sequence[str]) -> list[LabelledDocument]:
    return [LabelledDocument(str(n), "x", "", labels=(label,)) for n, label in enumerate(labels)]


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40), st.data())
def test_folds_partition_and_balance(labels: list[str], data: st.DataObject) -> None:
    n_folds = data.draw(st.integers(2, len(labels)))
    seed = data.draw(st.integers(0, 5))
    folds = folds_of(labelled(labels), n_folds, seed)
    assert folds == folds_of(labelled(labels), n_folds, seed)
    assert sorted(number for fold in folds for number in fold) == list(range(len(labels)))
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in set(labels):
        counts = [Counter(labels[number] for number in fold)[label] for fold in folds]
        assert max(counts) - min(counts) <= 1


@given(
    st.integers(2, 700), st.sampled_from([0.05, 0.1, 0.25, 0.5]), st.sampled_from([None, 0, 2, 7])
)
def test_few_held_back_are_cross_validated(n: int, share: float, asked: int | None) -> None:
    documents = labelled(["ab"[number % 2] for number in range(n)])
    config = TrainConfig(
        task="classify", data=("x",), output="x", validation_share=share, n_folds=asked
    )
    found = n_folds_of(documents, config)
    if asked is not None:
        assert found == asked
    elif len(validation_of(range(n), documents, config)) >= 30:
        assert found == 0
    elif n == 2:
        # A fold would leave nothing to validate on.
        assert found == 0
    else:
        assert found == min(5, n)
        assert all(n - len(fold) >= 2 for fold in folds_of(documents, found, config.seed))


@pytest.mark.parametrize(("n", "expected"), [(290, 5), (291, 0)])
def test_with_the_default_share_folds_end_at_291_documents(n: int, expected: int) -> None:
    documents = [LabelledDocument(str(number), "x", "", spans=()) for number in range(n)]
    config = TrainConfig(task="ner", data=("x",), output="x")
    assert n_folds_of(documents, config) == expected


def test_more_folds_than_documents() -> None:
    with pytest.raises(ConfigError, match="folds must be at most 3 here, got 4"):
        folds_of(labelled("abc"), 4, 0)


@pytest.mark.parametrize(("share", "expected"), [(0.1, 10), (0.2, 20), (0.25, 25), (0.5, 50)])
def test_the_share_that_is_held_back(share: float, expected: int) -> None:
    documents = labelled("ab" * 50)
    config = TrainConfig(task="classify", data=("x",), output="x", validation_share=share)
    held_back = validation_of(range(100), documents, config)
    assert len(held_back) == expected
    counts = Counter(documents[number].labels for number in held_back)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(st.sets(st.integers(0, 29), min_size=2), st.integers(0, 3))
def test_only_what_may_be_is_held_back(numbers: set[int], seed: int) -> None:
    config = TrainConfig(task="classify", data=("x",), output="x", seed=seed)
    held_back = validation_of(sorted(numbers), labelled("abc" * 10), config)
    assert set(held_back) < numbers
    assert held_back


def test_targets_are_the_labels() -> None:
    documents = [
        LabelledDocument("1", "x", "", labels=("b",)),
        LabelledDocument("2", "x", "", labels=()),
        LabelledDocument("3", "x", "", labels=("a", "c")),
    ]
    expected = [[0, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert targets_of(documents, ("a", "b", "c")).tolist() == expected


def test_balanced_classes_weigh_the_same() -> None:
    targets = targets_of(labelled("aaab"), ("a", "b"))
    weights = class_weights(targets, chooses_one=True, balanced=True)
    np.testing.assert_allclose(weights * targets.sum(axis=0), [2, 2], rtol=1e-6)
    assert class_weights(targets, chooses_one=True, balanced=False).tolist() == [1, 1]


def test_balanced_labels_weigh_what_lacks_them() -> None:
    targets = targets_of(labelled("aaab"), ("a", "b", "c"))
    weights = class_weights(targets, chooses_one=False, balanced=True)
    np.testing.assert_allclose(weights, [1 / 3, 3, 3], rtol=1e-6)


def test_balanced_types_weigh_the_same() -> None:
    spans = [LabelledSpan(n, n + 1, "PER" if n else "LOC") for n in range(4)]
    documents = [LabelledDocument("1", "abcd", "", spans=tuple(spans))]
    labels = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    weights = label_weights(documents, labels, balanced=True)
    np.testing.assert_allclose(weights, [1, 2, 2, 2 / 3, 2 / 3], rtol=1e-6)
    assert label_weights(documents, labels, balanced=False).tolist() == [1] * 5
